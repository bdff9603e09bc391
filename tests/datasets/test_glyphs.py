"""Glyphs: every letter has its script, its base and its drawings, read as drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets import glyphs, letters
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import hash_file, read_json

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


def test_script_and_base_letter() -> None:
    assert [glyphs.script_of(letter) for letter in "éжΩ"] == ["LATIN", "CYRILLIC", "GREEK"]
    assert [glyphs.base_of(letter) for letter in "éÉǖø"] == ["e", "E", "u", "ø"]


def test_the_raw_folder_has_sheets_a_table_and_a_manifest_and_the_same_bytes_every_time(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        draw(tmp_path / name)
    manifest = read_json(tmp_path / "a" / "manifest.json")
    assert (manifest["classes"], manifest["images"]) == (1216, 14592)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(
        [*(f"{face}.png" for face in letters.FACES), "letters.csv", "manifest.json"]
    )
    assert all(
        hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name) for name in names
    )


def test_a_failed_download_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "fonts_folder", lambda: tmp_path / "nowhere")
    with pytest.raises(InputError, match="found no font"):
        draw(tmp_path / "out")
    assert not list(tmp_path.iterdir())


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
    assert table["label"].tolist() == [letter for letter in letters.LETTERS for _ in letters.FACES]
    expected = letters.draw_face(letters.fonts_folder() / "DejaVuSerif-Bold.ttf", letters.LETTERS)
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
