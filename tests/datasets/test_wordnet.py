"""WordNet's mammals: the table is whole, its texts become vectors, near for near relatives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geomix.data.lineages import hops, parse_paths
from geomix.datasets import wordnet
from geomix.errors import InputError


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, obtain_raw: Callable[[str, Path], Path]) -> Path:
    return obtain_raw("wordnet", tmp_path_factory.mktemp("wordnet") / "raw")


def test_the_raw_folder_has_the_table_with_its_licence(raw: Path) -> None:
    assert sorted(path.name for path in raw.iterdir()) == [
        "mammals-LICENSE",
        "mammals.csv",
        "manifest.json",
    ]
    assert "WordNet 3.0 Copyright 2006" in (raw / "mammals-LICENSE").read_text()


def test_meanings_have_lineages_and_readable_names(raw: Path) -> None:
    listing = wordnet.read(raw)
    samples = listing.samples
    assert len(samples) == 1164
    assert samples["id"].is_unique
    assert samples["lineage"].is_unique
    assert (listing.form, listing.channels, listing.unit) == ("vectors", 128, "leaf")
    row = samples[samples["id"] == "naked mole rat"].iloc[0]
    assert row["lineage"] == "mammal/fossorial mammal/naked mole rat"
    assert parse_paths(samples["lineage"]).depth.max() == 10
    known = set(samples["lineage"])
    assert all(path.rpartition("/")[0] in known for path in known if "/" in path)


def test_texts_of_siblings_are_nearer_than_of_others(raw: Path) -> None:
    listing = wordnet.read(raw)
    vectors = np.stack([vector for _, vector in listing.images()])
    assert vectors.shape == (1164, 128)
    assert vectors.dtype == np.float32
    again = np.stack([vector for _, vector in listing.images()])
    assert vectors.tobytes() == again.tobytes()
    lineages = parse_paths(listing.samples["lineage"])
    between = hops(lineages, lineages)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    means = [cosines[between == count].mean() for count in (1, 2, 4, 8)]
    assert means[0] > means[2] + 0.05
    assert means[1] > means[2] > means[3]


def test_a_table_of_other_bytes_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raw: Path,
    obtain_raw: Callable[[str, Path], Path],
) -> None:
    monkeypatch.setattr(wordnet, "TABLES", tmp_path)
    with pytest.raises(InputError, match=r"mammals\.csv: found nothing, expected sha256 2b763a85"):
        obtain_raw("wordnet", tmp_path / "out")
    (tmp_path / "mammals.csv").write_bytes((raw / "mammals.csv").read_bytes() + b"\n")
    with pytest.raises(InputError, match=r"mammals\.csv: found [0-9a-f]{16}, expected sha256"):
        obtain_raw("wordnet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mammals\.csv: not found"):
        wordnet.read(tmp_path)
    (tmp_path / "mammals.csv").write_text("lineage,words\na,b\n")
    with pytest.raises(InputError, match="found columns lineage, words; expected gloss too"):
        wordnet.read(tmp_path)
