"""Glyphs: the letters are those of the rule, each drawing is unlike any other and read as drawn."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets import glyphs
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import hash_file, read_json

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
CATEGORIES = ("Ll", "Lu", "Lt", "Lo")
PARAMS = DownloadParams(
    download=Download(mirror=None),
    folder=Folder(path=None, table=None),
    embeddings=Embeddings(path=None, table=None),
)


def draw(out: Path) -> None:
    obtain("glyphs", glyphs.SOURCE, PARAMS, out)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "raw"
    draw(folder)
    return folder


def select_letters() -> str:
    """Select from the fonts the letters of the data set: the rule by which they were chosen."""
    paths = glyphs.open_faces(glyphs.fonts_folder()).values()
    common = set.intersection(*(set(FT2Font(path).get_charmap()) for path in paths))
    letters = [
        letter
        for letter in map(chr, sorted(common))
        if unicodedata.category(letter) in CATEGORIES and glyphs.script_of(letter) in SCRIPTS
    ]
    drawings = [glyphs.draw_face(path, letters) for path in paths]
    seen: list[set[bytes]] = [set() for _ in paths]
    chosen = []
    for index, letter in enumerate(letters):
        keys = [images[index].tobytes() for images in drawings]
        if not any(key in known for key, known in zip(keys, seen, strict=True)):
            chosen.append(letter)
            for key, known in zip(keys, seen, strict=True):
                known.add(key)
    return "".join(chosen)


def test_the_list_is_that_of_the_rule() -> None:
    assert select_letters() == glyphs.LETTERS
    assert len(glyphs.LETTERS) == len(set(glyphs.LETTERS)) == 1216


def test_twins_of_other_scripts_are_left_out() -> None:
    assert "A" in glyphs.LETTERS
    assert "Α" not in glyphs.LETTERS  # Greek Alpha
    assert "А" not in glyphs.LETTERS  # Cyrillic A
    assert "é" in glyphs.LETTERS
    assert "è" in glyphs.LETTERS


def test_every_drawing_is_white_on_black_and_whole() -> None:
    for path in glyphs.open_faces(glyphs.fonts_folder()).values():
        images = glyphs.draw_face(path, glyphs.LETTERS)
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
        draw(tmp_path / name)
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
        draw(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_sheet_is_filled_row_by_row() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    assert glyphs.tile(images, 2).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 0, 0],
        [2, 2, 0, 0],
    ]


def test_every_image_is_the_drawing_its_row_names(raw: Path) -> None:
    listing = glyphs.read(raw)
    table, images = listing.samples, np.stack([image for _, image in listing.images()])
    assert images.shape == (14592, 32, 32, 1)
    assert [row for row, _ in listing.images()] == list(range(14592))
    assert (listing.levels, listing.channels, listing.form, listing.side) == (
        ("script", "base"),
        1,
        "decoded",
        32,
    )
    assert table["label"].tolist() == [letter for letter in glyphs.LETTERS for _ in glyphs.FACES]
    expected = glyphs.draw_face(glyphs.fonts_folder() / "DejaVuSerif-Bold.ttf", glyphs.LETTERS)
    rows = table.index[table["id"].str.endswith("-DejaVuSerif-Bold")]
    assert np.array_equal(images[rows, :, :, 0], expected)
    assert table.loc[
        table["label"] == "é", ["script", "base"]
    ].drop_duplicates().to_numpy().tolist() == [["LATIN", "e"]]
    assert table["id"].is_unique


def test_a_changed_sheet_is_refused(raw: Path, tmp_path: Path) -> None:
    for path in raw.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    sheet = np.array(Image.open(raw / "DejaVuSans.png"))
    sheet[5, 5] ^= 1
    Image.fromarray(sheet).save(tmp_path / "DejaVuSans.png")
    with pytest.raises(InputError, match="DejaVuSans.png: found pixels of sha256"):
        glyphs.read(tmp_path)
    path = tmp_path / "DejaVuSans.png"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="DejaVuSans.png: not a whole image"):
        glyphs.read(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="DejaVuSans.png: not found"):
        glyphs.read(tmp_path)


def test_a_table_that_does_not_fit_is_refused(raw: Path, tmp_path: Path) -> None:
    for path in raw.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "letters.csv"
    path.write_text(
        "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8"
    )
    with pytest.raises(
        InputError, match="letters.csv: found 1215 rows of letter, script, base, expected 1216"
    ):
        glyphs.read(tmp_path)


@pytest.mark.parametrize("count", [1, 6, 7])
def test_cutting_a_sheet_undoes_laying_it_out(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 255, (count, 4, 4), np.uint8)
    assert np.array_equal(glyphs.untile(glyphs.tile(images, 3), 4, count), images)
