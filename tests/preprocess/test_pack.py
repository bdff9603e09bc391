"""Packing: a table, an array and a card that fit each other, the same bytes every time."""

from pathlib import Path

import pytest

from geomix.download.glyphs import save_glyphs
from geomix.errors import InputError
from geomix.files import hash_file
from geomix.preprocess.pack import pack
from geomix.samples import open_packed

SPLIT = {"seed": 0, "train": 0.375, "val": 0.125, "test": 0.5}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "raw"
    save_glyphs(folder)
    return folder


def test_the_card_counts_what_is_there(raw: Path, tmp_path: Path) -> None:
    pack("glyphs", raw, tmp_path / "packed", SPLIT)
    packed = open_packed(tmp_path / "packed")
    assert packed.card["counts"]["train"]["classes"] == 456
    assert packed.card["image_shape"] == [32, 32, 1]
    for split, counts in packed.card["counts"].items():
        rows = packed.samples.iloc[packed.rows(split)]
        expected = {
            "images": len(rows),
            "classes": rows["label"].nunique(),
            "script": rows["script"].nunique(),
            "base": rows["base"].nunique(),
        }
        assert counts == expected


def test_the_same_bytes_every_time(raw: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack("glyphs", raw, tmp_path / name, SPLIT)
    for name in ("images.npy", "samples.csv", "card.json"):
        assert hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name)


def test_a_data_set_too_small_to_split_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split.val: found 1 of 1216 classes"):
        pack("glyphs", raw, tmp_path / "packed", SPLIT | {"val": 0.001})
    assert not list(tmp_path.iterdir())
