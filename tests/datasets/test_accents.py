"""Accents: a letter's ancestors are those whose decomposition begins its own."""

import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from geomix.datasets import accents, letters
from geomix.datasets.listing import ancestors


def test_a_chain_of_marks_is_a_lineage() -> None:
    found = accents.find_lineages("eêếxẹệ")
    assert found == {"e": "e", "ê": "e/ê", "ế": "e/ê/ế", "ẹ": "e/ẹ", "ệ": "e/ẹ/ệ"}


def test_a_letter_whose_middle_is_missing_grows_from_the_next_above() -> None:
    assert accents.find_lineages("eế") == {"e": "e", "ế": "e/ế"}


def test_letters_without_relatives_are_left_out() -> None:
    assert accents.find_lineages("xêa") == {}


def test_every_lineage_is_a_chain_of_decompositions_of_the_set() -> None:
    found = accents.find_lineages(letters.LETTERS)
    assert set(found) <= set(letters.LETTERS)
    for letter, path in found.items():
        names = path.split("/")
        assert names[-1] == letter
        codes = [unicodedata.normalize("NFD", name) for name in names]
        for shorter, longer in pairwise(codes):
            assert longer.startswith(shorter)
            assert len(longer) > len(shorter)
        assert all(path.rpartition("/")[2] in found for path in ancestors(path))
    assert found["ệ"] == "e/ẹ/ệ"
    assert found["ᾧ"] == "ω/ὡ/ὧ/ᾧ"
    assert "ß" not in found


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, obtain_raw: Callable[[str, Path], Path]) -> Path:
    return obtain_raw("accents", tmp_path_factory.mktemp("accents") / "raw")


def test_images_are_those_of_glyphs_with_all_faces_at_a_node(raw: Path) -> None:
    listing = accents.read(raw)
    found = accents.find_lineages(letters.LETTERS)
    samples = listing.samples
    assert samples["label"].tolist() == [letter for letter in found for _ in letters.FACES]
    assert samples["lineage"].tolist() == [path for path in found.values() for _ in letters.FACES]
    assert samples["id"].is_unique
    assert (listing.unit, listing.levels, listing.channels) == ("leaf", (), 1)
    expected = letters.draw_face(letters.fonts_folder() / "DejaVuSerif-Bold.ttf", list(found))
    rows = np.flatnonzero(samples["id"].str.endswith("-DejaVuSerif-Bold"))
    images = np.stack([image for _, image in listing.images()])
    assert np.array_equal(images[rows, :, :, 0], expected)
