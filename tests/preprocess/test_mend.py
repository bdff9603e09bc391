"""Files beyond their pixels: checksums of PNG hold, long texts do no harm, TIFF becomes PNG."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from geomix.data.pixels import EXIF_ORIENTATION
from geomix.errors import InputError
from geomix.preprocess.decode import decode, prepare, read_file
from geomix.preprocess.mend import PNG, check_png, list_chunks, strip_texts

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)


def save(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Build a chunk of a PNG."""
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def insert(png: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """Put chunks into a PNG before the first of a kind."""
    place = png.index(before) - 4
    return b"".join([png[:place], *chunks, png[place:]])


PLAIN = save(Image.fromarray(PIXELS))


def test_every_bit_of_the_data_and_its_checksum_counts() -> None:
    check_png(PLAIN)
    begin, end = next((b, e) for kind, b, e in list_chunks(PLAIN) if kind == b"IDAT")
    for place in [*range(begin + 8, end, 97), end - 1]:
        flipped = bytearray(PLAIN)
        flipped[place] ^= 1
        message = r"image: found a broken PNG file \(the checksum of IDAT\), expected a whole one"
        with pytest.raises(InputError, match=message):
            read_file(bytes(flipped), 3)


@pytest.mark.parametrize(
    ("kind", "refused"),
    [(b"PLTE", True), (b"tRNS", True), (b"tEXt", False), (b"gAMA", False), (b"prVt", False)],
)
def test_only_what_decides_on_pixels_needs_its_checksum(kind: bytes, refused: bool) -> None:
    broken = bytearray(chunk(kind, b"abc"))
    broken[-1] ^= 1
    data = insert(PLAIN, bytes(broken))
    if refused:
        with pytest.raises(InputError, match=f"the checksum of {kind.decode()}"):
            check_png(data)
    else:
        check_png(data)


def test_what_follows_the_end_is_no_chunk() -> None:
    kinds = [kind for kind, _, _ in list_chunks(PLAIN + chunk(b"IDAT", b"x") + b"\xff")]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    check_png(PLAIN + b"\xff" * 100)
    assert [kind for kind, _, _ in list_chunks(PLAIN[:60])] == [b"IHDR"]


def long_text(kind: str) -> bytes:
    """Return the PNG with a text or profile of 3 MB."""
    info = PngImagePlugin.PngInfo()
    if kind == "zTXt":
        info.add_text("x", "y" * 3_000_000, zip=True)
    elif kind == "iTXt":
        info.add_itxt("x", "y" * 3_000_000, zip=True)
    profile = b"y" * 3_000_000 if kind == "iCCP" else None
    return save(Image.fromarray(PIXELS), pnginfo=info, icc_profile=profile)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_a_long_text_or_profile_does_not_hide_the_pixels(kind: str) -> None:
    data = long_text(kind)
    with pytest.raises(InputError, match="too large"):
        decode(data, 3)
    pixels, file = read_file(data, 3)
    assert np.array_equal(pixels, PIXELS)
    assert file is not None
    assert np.array_equal(decode(file, 3), PIXELS)
    assert prepare(data, 3, None).file == file


def test_many_texts_do_not_hide_the_pixels_either() -> None:
    texts = [chunk(b"tEXt", b"x\0" + b"y" * 1_000_000) for _ in range(70)]
    assert np.array_equal(read_file(insert(PLAIN, *texts), 3)[0], PIXELS)


def test_what_is_stripped_is_no_pixel_and_no_rotation() -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    data = save(Image.fromarray(PIXELS), exif=exif)
    texts = chunk(b"tEXt", b"x\0y"), chunk(b"iCCP", b"x\0\1y")  # of an unknown compression
    stripped, _ = read_file(insert(data, *texts), 3)
    assert np.array_equal(stripped, decode(data, 3))
    assert stripped.shape == (20, 30, 3)
    assert strip_texts(insert(PLAIN, texts[0])) == PLAIN
    assert strip_texts(PLAIN) == PLAIN
    assert strip_texts(PLAIN[:-20]) == PLAIN[:-20]


def test_a_broken_file_with_a_text_is_still_broken() -> None:
    data = insert(PLAIN, chunk(b"tEXt", b"x\0y"))
    for length in (len(data) // 2, len(data) - 30):
        with pytest.raises(InputError, match="^image: found a broken"):
            read_file(data[:length], 3)


def test_a_file_that_can_be_read_stays_as_it_is() -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        assert read_file(save(Image.fromarray(PIXELS), kind), 3)[1] is None


TIFFS = [
    pytest.param(save(Image.fromarray(PIXELS), "TIFF"), id="plain"),
    pytest.param(save(Image.fromarray(PIXELS), "TIFF", compression="tiff_lzw"), id="packed"),
    pytest.param(save(Image.fromarray(PIXELS), "TIFF", big_tiff=True), id="64 bits"),
    pytest.param(
        save(
            Image.fromarray(PIXELS),
            "TIFF",
            save_all=True,
            append_images=[Image.new("RGB", (9, 9), "red")],
        ),
        id="two pictures",
    ),
]


@pytest.mark.parametrize("content", TIFFS)
def test_a_tiff_becomes_a_png_of_the_pixels_of_its_first_picture(content: bytes) -> None:
    pixels, file = read_file(content, 3)
    assert np.array_equal(pixels, PIXELS)
    assert file is not None
    assert file.startswith(PNG)
    assert np.array_equal(decode(file, 3), PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_upright_once(orientation: int) -> None:
    content = save(Image.fromarray(PIXELS), "TIFF", tiffinfo={EXIF_ORIENTATION: orientation})
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    expected = decode(save(Image.fromarray(PIXELS), exif=exif), 3)
    assert expected.shape == ((30, 20, 3) if orientation < 5 else (20, 30, 3))
    assert np.array_equal(read_file(content, 3)[0], expected)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("I;16", 0x8034, (128, 128, 128)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ],
)
def test_every_mode_of_a_tiff_becomes_colour_on_white(
    mode: str, colour: Any, expected: tuple[int, int, int]
) -> None:
    content = save(Image.new(mode, (4, 3), colour), "TIFF")
    assert np.abs(read_file(content, 3)[0].astype(int) - expected).max() <= 1
    assert read_file(content, 1)[0].shape == (3, 4, 1)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_broken_or_too_large_tiff_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = save(Image.fromarray(PIXELS), "TIFF", compression="tiff_lzw")
    for length in (4, 10, len(content) // 2):
        with pytest.raises(InputError, match="^image: found .*broken"):
            read_file(content[:length], 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(InputError, match="found 20 x 30 pixels, expected at most 500"):
        read_file(content, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (20_000, 2), (2, 20_000)])
def test_sides_of_one_and_of_twenty_thousand_pixels_are_read(shape: tuple[int, int]) -> None:
    height, width = shape
    image = Image.new("RGB", (width, height), (9, 90, 200))
    for kind in ("PNG", "TIFF"):
        found = prepare(save(image, kind), 3, 16)
        assert found.aspect == width / height
        assert found.square is not None
        assert np.array_equal(found.square, np.full((16, 16, 3), (9, 90, 200)))


def test_exif_of_pillow_turns_as_we_do() -> None:
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 5
    content = save(image, "TIFF", tiffinfo={EXIF_ORIENTATION: 5})
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(save(image, exif=exif))))
    assert np.array_equal(read_file(content, 3)[0], np.asarray(turned))
