"""Letters: those of the list are those of the rule, and each drawing is unlike any other."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from geomix.datasets import glyphs, letters
from geomix.errors import InputError

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
CATEGORIES = ("Ll", "Lu", "Lt", "Lo")


def select_letters() -> str:
    """Select from the fonts the letters of the data set: the rule by which they were chosen."""
    paths = letters.open_faces(letters.fonts_folder()).values()
    common = set.intersection(*(set(FT2Font(path).get_charmap()) for path in paths))
    candidates = [
        letter
        for letter in map(chr, sorted(common))
        if unicodedata.category(letter) in CATEGORIES and glyphs.script_of(letter) in SCRIPTS
    ]
    drawings = [letters.draw_face(path, candidates) for path in paths]
    seen: list[set[bytes]] = [set() for _ in paths]
    chosen = []
    for index, letter in enumerate(candidates):
        keys = [images[index].tobytes() for images in drawings]
        if not any(key in known for key, known in zip(keys, seen, strict=True)):
            chosen.append(letter)
            for key, known in zip(keys, seen, strict=True):
                known.add(key)
    return "".join(chosen)


def test_the_list_is_that_of_the_rule() -> None:
    assert select_letters() == letters.LETTERS
    assert len(letters.LETTERS) == len(set(letters.LETTERS)) == 1216


def test_twins_of_other_scripts_are_left_out() -> None:
    assert "A" in letters.LETTERS
    assert "Α" not in letters.LETTERS  # Greek Alpha
    assert "А" not in letters.LETTERS  # Cyrillic A
    assert "é" in letters.LETTERS
    assert "è" in letters.LETTERS


def test_every_drawing_is_white_on_black_and_whole() -> None:
    for path in letters.open_faces(letters.fonts_folder()).values():
        images = letters.draw_face(path, letters.LETTERS)
        assert images.shape == (1216, 32, 32)
        assert images.max(axis=(1, 2)).min() > 100
        assert images[:, 0].mean() < 8
        assert images.mean() < 80


def test_a_missing_font_is_named(tmp_path: Path) -> None:
    for path in list(letters.open_faces(letters.fonts_folder()).values())[1:]:
        shutil.copy(path, tmp_path)
    with pytest.raises(InputError, match="found no font DejaVuSans; expected the 12"):
        letters.draw_letters(tmp_path, ["a"])


def test_a_missing_letter_is_named_with_its_font() -> None:
    path = letters.fonts_folder() / "DejaVuSans.ttf"
    with pytest.raises(
        InputError, match=r"DejaVuSans.ttf: found no letter 中 \(U\+4E2D\); expected all 2"
    ):
        letters.draw_face(path, ["a", "中"])


def test_two_letters_of_one_drawing_are_refused() -> None:
    with pytest.raises(InputError, match="DejaVuSans: found one drawing for A and Α"):
        letters.draw_letters(letters.fonts_folder(), ["A", "B", "Α"])


def test_a_sheet_is_filled_row_by_row() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    assert letters.tile(images, 2).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 0, 0],
        [2, 2, 0, 0],
    ]


@pytest.mark.parametrize("count", [1, 6, 7])
def test_cutting_a_sheet_undoes_laying_it_out(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 255, (count, 4, 4), np.uint8)
    assert np.array_equal(letters.untile(letters.tile(images, 3), 4, count), images)
