"""Reading glyphs: the images are those that were drawn, and damage is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomix.datasets.glyphs import list_glyphs, untile
from geomix.download.glyphs import FACES, draw_face, fonts_folder, read_letters, save_glyphs, tile
from geomix.errors import InputError


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "raw"
    save_glyphs(folder)
    return folder


def test_every_image_is_the_drawing_its_row_names(raw: Path) -> None:
    listing = list_glyphs(raw)
    table, images = listing.samples, np.stack([image for _, image in listing.images()])
    assert images.shape == (14592, 32, 32, 1)
    assert [row for row, _ in listing.images()] == list(range(14592))
    assert (listing.levels, listing.channels, listing.form, listing.side) == (
        ("script", "base"),
        1,
        "decoded",
        32,
    )
    letters = read_letters()
    assert table["label"].tolist() == [letter for letter in letters for _ in FACES]
    expected = draw_face(fonts_folder() / "DejaVuSerif-Bold.ttf", letters)
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
        list_glyphs(tmp_path)
    path = tmp_path / "DejaVuSans.png"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="DejaVuSans.png: not a whole image"):
        list_glyphs(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="DejaVuSans.png: not found"):
        list_glyphs(tmp_path)


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
        list_glyphs(tmp_path)


@pytest.mark.parametrize("count", [1, 6, 7])
def test_cutting_a_sheet_undoes_laying_it_out(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 255, (count, 4, 4), np.uint8)
    assert np.array_equal(untile(tile(images, 3), 4, count), images)
