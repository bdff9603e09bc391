"""The user's own images: the table that download stored, with any levels."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets.folder import list_folder
from geomix.errors import InputError

TABLE = """\
path,label,kind,family,split,role
a/1.jpg,Müller,NA,x,test,query
"b, c/2.jpg",001,bird,y,,
"""
IMAGES = {"b, c/2.jpg": b"second", "a/1.jpg": b"first"}


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    write_zip(tmp_path / "images.zip", IMAGES)
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_every_column_stays_text_and_every_other_column_is_a_level(raw: Path) -> None:
    listing = list_folder(raw)
    assert listing.levels == ("kind", "family")
    assert listing.samples.to_dict("records") == [
        {
            "id": "a/1.jpg",
            "label": "Müller",
            "kind": "NA",
            "family": "x",
            "split": "test",
            "role": "query",
        },
        {
            "id": "b, c/2.jpg",
            "label": "001",
            "kind": "bird",
            "family": "y",
            "split": "",
            "role": "",
        },
    ]
    assert dict(listing.images()) == {0: b"first", 1: b"second"}
    assert (listing.form, listing.channels) == ("encoded", 3)


def test_path_and_label_are_enough(raw: Path) -> None:
    (raw / "table.csv").write_text("path,label\na/1.jpg,a\n")
    listing = list_folder(raw)
    assert (listing.levels, list(listing.samples)) == ((), ["id", "label"])


def test_a_table_that_does_not_fit_is_refused(raw: Path) -> None:
    (raw / "table.csv").write_text("path,class\na/1.jpg,a\n")
    with pytest.raises(
        InputError, match=r"table\.csv: found columns path, class; expected label too"
    ):
        list_folder(raw)
    (raw / "table.csv").write_text("path,label\na/1.jpg,a\na/2.jpg,a\n")
    with pytest.raises(InputError, match=r"images\.zip: found no a/2\.jpg; expected the 2 files"):
        list_folder(raw)
    (raw / "table.csv").unlink()
    with pytest.raises(InputError, match=r"table\.csv: not found"):
        list_folder(raw)
