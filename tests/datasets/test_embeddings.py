"""Vectors packed: float32 beside a table whose classes are in one split only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.data.packed import open_packed
from geomix.datasets import embeddings as module
from geomix.datasets.embeddings import pack_embeddings
from geomix.errors import InputError

SPLIT = {"seed": 0, "train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Give the folder of 24 vectors in 8 classes, as download stores them."""
    folder = tmp_path / "raw"
    folder.mkdir()
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(24, 5)))
    rows = [{"id": f"{row}", "label": f"{row // 3:03}", "kind": "NA"} for row in range(24)]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


def test_vectors_are_packed_as_they_are_and_opened_in_place(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 50)
    pack_embeddings(raw, tmp_path / "packed", SPLIT)
    packed = open_packed(tmp_path / "packed")
    assert isinstance(packed.images, np.memmap)
    assert packed.images.dtype == np.float32
    assert np.array_equal(packed.images, np.load(raw / "vectors.npy").astype(np.float32))
    assert (packed.form, packed.image_shape, packed.channels) == ("vectors", (1, 1, 5), 5)
    assert packed.card["levels"] == ["kind"]
    assert packed.card["counts"]["val"] == {"vectors": 6, "classes": 2, "kind": 1}


def test_a_class_is_in_one_split_only(raw: Path, tmp_path: Path) -> None:
    pack_embeddings(raw, tmp_path / "packed", SPLIT)
    samples = open_packed(tmp_path / "packed").samples
    assert samples.groupby("label")["split"].nunique().eq(1).all()
    assert samples["split"].value_counts().to_dict() == {"train": 12, "val": 6, "test": 6}
    pack_embeddings(raw, tmp_path / "again", SPLIT)
    pack_embeddings(raw, tmp_path / "other", SPLIT | {"seed": 1})
    tables = [
        (tmp_path / name / "samples.csv").read_bytes() for name in ("packed", "again", "other")
    ]
    assert tables[0] == tables[1] != tables[2]


def test_an_official_split_and_roles_are_kept(raw: Path, tmp_path: Path) -> None:
    table = pd.read_csv(raw / "table.csv", dtype=str, keep_default_na=False)
    table["split"] = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    table["role"] = [""] * 18 + ["query", "gallery", "gallery"] * 2
    table.to_csv(raw / "table.csv", index=False)
    pack_embeddings(raw, tmp_path / "packed", SPLIT)
    packed = open_packed(tmp_path / "packed")
    assert packed.queries("test").tolist() == [18, 21]
    assert packed.gallery("test").tolist() == [19, 20, 22, 23]


def test_vectors_and_table_that_do_not_fit_are_refused(raw: Path, tmp_path: Path) -> None:
    np.save(raw / "vectors.npy", np.zeros((23, 5)))
    with pytest.raises(InputError, match="found 23 vectors and 24 rows of table.csv"):
        pack_embeddings(raw, tmp_path / "packed", SPLIT)
    (raw / "vectors.npy").unlink()
    with pytest.raises(InputError, match=r"vectors\.npy: not found"):
        pack_embeddings(raw, tmp_path / "packed", SPLIT)
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label": [*"aaabbbcccdddeeefff", *"ghijkl"]},
            "split.test: found 6 samples of 6 classes .* and no query with another",
        ),
        (
            {"role": [""] * 18 + ["gallery"] * 6},
            "split.test: found 6 samples of 2 classes .* and no query with another sample",
        ),
        ({"role": [""] * 18 + ["query"] * 6}, "split.test: found 0 classes in the gallery"),
        (
            {"role": [""] * 18 + ["query", "gallery", ""] * 2},
            "split.test: found roles, but none for 20, 23",
        ),
    ],
)
def test_vectors_that_cannot_be_searched_are_refused(
    raw: Path, tmp_path: Path, change: dict[str, list[str]], message: str
) -> None:
    table = pd.read_csv(raw / "table.csv", dtype=str, keep_default_na=False)
    official = {"split": ["train"] * 12 + ["val"] * 6 + ["test"] * 6}
    table.assign(**official | change).to_csv(raw / "table.csv", index=False)
    with pytest.raises(InputError, match=message):
        pack_embeddings(raw, tmp_path / "packed", SPLIT)
    assert not (tmp_path / "packed").exists()
