"""A packed data set opens whole or is refused with what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from geomix.errors import InputError
from geomix.samples import Packed, open_packed, read_samples


def test_rows_of_a_split_are_in_the_order_of_the_table(packed: Packed) -> None:
    assert packed.rows("val").tolist() == list(range(20, 40))
    assert packed.images.shape == (60, 16, 16, 1)
    assert set(packed.samples["label"][packed.rows("test")]) == {"class 8", "class 9", "class 10", "class 11"}


def test_a_card_without_a_key_is_refused(packed_folder: Path) -> None:
    path = packed_folder / "card.json"
    path.write_text(path.read_text().replace('"levels"', '"lavels"'))
    with pytest.raises(InputError, match="card.json: found no levels, expected dataset, levels"):
        open_packed(packed_folder)


def test_truncated_images_are_refused(packed_folder: Path) -> None:
    path = packed_folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="images.npy: damaged: found sha256 .*expected"):
        open_packed(packed_folder)


@pytest.mark.parametrize("name", ["images.npy", "samples.csv", "card.json"])
def test_a_missing_file_is_named(packed_folder: Path, name: str) -> None:
    (packed_folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: not found"):
        open_packed(packed_folder)


def test_a_missing_column_is_named(packed_folder: Path) -> None:
    path = packed_folder / "samples.csv"
    path.write_text(path.read_text().replace("label", "lable", 1))
    with pytest.raises(InputError, match="samples.csv: found columns id, lable, .*; expected label too"):
        open_packed(packed_folder)


def test_a_table_edited_by_hand_is_refused(packed_folder: Path) -> None:
    path = packed_folder / "samples.csv"
    path.write_text(path.read_text().replace("train", "test", 1))
    with pytest.raises(InputError, match="samples.csv: damaged"):
        open_packed(packed_folder)


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("id,label,split\n1,a,train\n2,b,query\n")
    with pytest.raises(InputError, match="found split query; expected train, val, test or nothing"):
        read_samples(tmp_path / "samples.csv", [])


@pytest.mark.parametrize("content", ["", 'id,label,split\n1,"a,train\n'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "samples.csv").write_text(content)
    with pytest.raises(InputError, match="samples.csv: not a table"):
        read_samples(tmp_path / "samples.csv", [])


def test_labels_stay_text(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("id,label,split\n1,NA,train\n2,007,train\n", encoding="utf-8")
    assert read_samples(tmp_path / "samples.csv", [])["label"].tolist() == ["NA", "007"]


def test_images_are_not_loaded_until_used(packed: Packed) -> None:
    assert isinstance(packed.images, np.memmap)
