"""Decoding: every kind of file becomes upright pixels of 8 bits, and broken ones are refused."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from geomix.data.pixels import EXIF_ORIENTATION
from geomix.errors import InputError
from geomix.preprocess.decode import decode, prepare, prepare_all, read_file, squeeze

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
SMOOTH = np.mgrid[0:160:2, 0:240:2].sum(0).astype(np.uint8)  # (80, 120)


def save(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode: str, colour: Any, **options: Any) -> bytes:
    return save(Image.new(mode, (4, 3), colour), **options)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_pixels_come_back_as_they_were_saved(kind: str, options: dict[str, Any]) -> None:
    assert np.array_equal(decode(save(Image.fromarray(PIXELS), kind, **options), 3), PIXELS)


def test_a_jpeg_comes_back_nearly() -> None:
    found = decode(save(Image.fromarray(SMOOTH), "JPEG", quality=95), 1)
    assert found.shape == (80, 120, 1)
    assert np.abs(found[:, :, 0].astype(int) - SMOOTH).mean() < 1


def test_of_an_animation_the_first_picture_is_taken() -> None:
    red, blue = (Image.new("RGB", (4, 3), colour) for colour in ("red", "blue"))
    found = decode(save(red, "GIF", save_all=True, append_images=[blue]), 3)
    assert found.reshape(-1, 3).tolist() == [[255, 0, 0]] * 12


PALETTE = Image.new("RGB", (4, 3), (9, 90, 200)).quantize(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(plain("L", 100), (100, 100, 100), id="grey"),
        pytest.param(plain("1", 1), (255, 255, 255), id="black and white"),
        pytest.param(save(PALETTE), (9, 90, 200), id="palette"),
        pytest.param(
            save(PALETTE, transparency=PALETTE.getpixel((0, 0))),
            (255, 255, 255),
            id="transparent palette",
        ),
        pytest.param(plain("RGBA", (200, 0, 0, 0)), (255, 255, 255), id="transparent"),
        pytest.param(plain("RGBA", (0, 0, 250, 51)), (204, 204, 254), id="a fifth opaque"),
        pytest.param(plain("LA", (0, 51)), (204, 204, 204), id="grey, a fifth opaque"),
        pytest.param(
            plain("RGB", (1, 2, 3), transparency=(1, 2, 3)),
            (255, 255, 255),
            id="a transparent colour",
        ),
        pytest.param(plain("I;16", 0x8034), (128, 128, 128), id="16 bits"),
        pytest.param(
            plain("CMYK", (0, 255, 255, 0), kind="JPEG", quality=100), (255, 0, 0), id="CMYK"
        ),
    ],
)
def test_every_mode_becomes_colour_on_white(content: bytes, expected: tuple[int, int, int]) -> None:
    found = decode(content, 3)
    assert found.shape == (3, 4, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "content",
    [plain("RGB", (20, 20, 20)), plain("RGBA", (20, 20, 20, 255)), plain("I;16", 20 << 8)],
)
def test_grey_has_one_channel(content: bytes) -> None:
    assert decode(content, 1).tolist() == [[[20]] * 4] * 3


@pytest.mark.parametrize("most", [200, 4095])
def test_few_bits_in_sixteen_are_refused_and_not_black(most: int) -> None:
    expected = "expected the full range, or 8 bits"
    for content in (plain("I;16", most), plain("I;16", most, kind="TIFF")):
        with pytest.raises(
            InputError, match=f"^image: found 16 bits with .* to {most}, {expected}$"
        ):
            read_file(content, 3)


@pytest.mark.parametrize(
    ("mode", "value", "found"),
    [
        ("I", 255, "16 bits with values up to 255, expected the full range, or 8 bits"),
        ("I", 0x10000, "16 bits with values up to 65536, expected the full range"),
        ("I", -1, "a value of -1, expected the full range"),
        ("F", 0.5, "pixels with fractions .float., expected 8 or 16 bits"),
    ],
)
def test_a_tiff_whose_values_have_another_range_is_refused(
    mode: str, value: float, found: str
) -> None:
    with pytest.raises(InputError, match=f"^image: found {found}"):
        read_file(plain(mode, value, kind="TIFF"), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = save(Image.fromarray(SMOOTH), "JPEG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert expected.shape == ((80, 120) if orientation < 5 else (120, 80))
    assert np.array_equal(decode(content, 1)[:, :, 0], expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_broken_exif_block_leaves_the_picture_as_it_is() -> None:
    content = save(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode(content, 1).shape == (80, 120, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    content = save(noise, kind)
    with pytest.raises(InputError, match=r"^image: found .*, expected a[^\n]*$"):
        decode(content[: int(share * len(content))], 3)


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>", save(Image.fromarray(PIXELS), "TGA")]
)
def test_another_kind_of_file_is_refused(content: bytes) -> None:
    with pytest.raises(
        InputError,
        match=f"image: found {len(content)} bytes of another kind or broken, expected a ",
    ):
        decode(content, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("most", "message"), [(34, "found 7 x 5 pixels, expected at most 34"), (10, "exceeds limit")]
)
def test_too_many_pixels_are_refused(
    monkeypatch: pytest.MonkeyPatch, most: int, message: str
) -> None:
    content = save(Image.fromarray(PIXELS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 35)
    assert decode(content, 3).shape == (5, 7, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    with pytest.raises(InputError, match=message):
        decode(content, 3)


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="channels: found 4, expected 1 or 3"):
        decode(save(Image.fromarray(PIXELS)), 4)


def test_a_square_of_the_size_is_not_touched() -> None:
    square = PIXELS[:5, :5]
    assert squeeze(square, 5) is square


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(40, 100), (7, 16), (900, 30)])
def test_the_whole_of_an_image_is_squeezed(channels: int, shape: tuple[int, int]) -> None:
    height, width = shape
    across = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, channels))
    square = squeeze(across.astype(np.uint8), 8)
    assert square.shape == (8, 8, channels)
    assert np.abs(square[:, :, 0] - np.linspace(255 / 16, 255 - 255 / 16, 8)).max() < 12
    assert (np.ptp(square.astype(int), axis=0) == 0).all()


def test_shrinking_averages() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    square = squeeze(board[:, :, None].astype(np.uint8), 16)
    assert np.abs(square.astype(int) - 127).max() <= 2


def test_an_image_is_prepared_with_its_proportions() -> None:
    file = prepare(save(Image.fromarray(PIXELS)), 3, None)
    assert (file.aspect, file.square) == (7 / 5, None)
    square = prepare(PIXELS, 3, 4)
    assert square.aspect == 7 / 5
    assert square.square is not None
    assert square.square.shape == (4, 4, 3)


def test_a_broken_image_does_not_stop_the_others() -> None:
    files: list[bytes | np.ndarray] = [save(Image.fromarray(PIXELS)), b"GIF89a", PIXELS]
    first, second, third = prepare_all(files, 3, 4)
    assert not isinstance(first, str)
    assert not isinstance(third, str)
    assert isinstance(second, str)
    assert second.startswith("image: found")


def test_pixels_of_another_shape_are_a_defect() -> None:
    message = r"image: found uint8 of shape \(5, 7, 1\), expected uint8 of \(H, W, 3\)"
    with pytest.raises(ValueError, match=message):
        prepare_all([PIXELS, PIXELS[:, :, :1]], 3, 4)
