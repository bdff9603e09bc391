"""Glyphs: the letters are those of the rule, each drawing fits and is unlike any other, what is missing is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from geomix.download import glyphs
from geomix.errors import InputError
from geomix.files import hash_file, read_json


@pytest.fixture(scope="module")
def letters() -> list[str]:
    return glyphs.read_letters()


def test_the_list_is_that_of_the_rule(letters: list[str]) -> None:
    assert letters == glyphs.select_letters(glyphs.fonts_folder())
    assert len(letters) == len(set(letters)) == 1216


def test_twins_of_other_scripts_are_left_out(letters: list[str]) -> None:
    assert "A" in letters
    assert "Α" not in letters  # Greek Alpha
    assert "А" not in letters  # Cyrillic A
    assert "é" in letters
    assert "è" in letters


def test_every_drawing_is_white_on_black_and_whole(letters: list[str]) -> None:
    for path in glyphs.open_faces(glyphs.fonts_folder()).values():
        images = glyphs.draw_face(path, letters)
        assert images.shape == (1216, 32, 32)
        assert images.max(axis=(1, 2)).min() > 100
        assert images[:, 0].mean() < 8
        assert images.mean() < 80


def test_script_and_base_letter() -> None:
    assert [glyphs.script_of(letter) for letter in "éжΩ"] == ["LATIN", "CYRILLIC", "GREEK"]
    assert [glyphs.base_of(letter) for letter in "éÉǖø"] == ["e", "E", "u", "ø"]


def test_a_missing_font_is_named(tmp_path: Path) -> None:
    for path in list(glyphs.open_faces(glyphs.fonts_folder()).values())[1:]:
        shutil.copy(path, tmp_path)
    with pytest.raises(InputError, match="found no font DejaVuSans; expected the 12"):
        glyphs.draw_glyphs(tmp_path, ["a"])


def test_a_missing_letter_is_named_with_its_font() -> None:
    path = glyphs.fonts_folder() / "DejaVuSans.ttf"
    with pytest.raises(
        InputError, match=r"DejaVuSans.ttf: found no letter 中 \(U\+4E2D\); expected all 2"
    ):
        glyphs.draw_face(path, ["a", "中"])


def test_two_letters_of_one_drawing_are_refused() -> None:
    with pytest.raises(InputError, match="DejaVuSans: found one drawing for A and Α"):
        glyphs.draw_glyphs(glyphs.fonts_folder(), ["A", "B", "Α"])


def test_the_raw_folder_has_sheets_a_table_and_a_manifest_and_the_same_bytes_every_time(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        glyphs.save_glyphs(tmp_path / name)
    manifest = read_json(tmp_path / "a" / "manifest.json")
    assert (manifest["classes"], manifest["images"]) == (1216, 14592)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(
        [*(f"{face}.png" for face in glyphs.FACES), "letters.csv", "manifest.json"]
    )
    assert all(
        hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name) for name in names
    )


def test_a_failed_download_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "fonts_folder", lambda: tmp_path / "nowhere")
    with pytest.raises(InputError, match="found no font"):
        glyphs.save_glyphs(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_sheet_is_filled_row_by_row() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    assert glyphs.tile(images, 2).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 0, 0],
        [2, 2, 0, 0],
    ]
