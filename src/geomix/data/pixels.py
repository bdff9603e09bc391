"""Images out of their files: upright, 8 bits, grey or colour.

A file can be broken in many ways; each of them is an InputError.
"""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from geomix.errors import InputError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
MODES = {1: "L", 3: "RGB"}  # by number of channels
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(content: bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Read the head of an image's file without decoding its pixels.

    Args:
        content: A file.
        formats: What it may be, by Pillow's names.

    Raises:
        InputError: If it is none of these, its head is broken, or it would have more than
            Image.MAX_IMAGE_PIXELS pixels.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        found = f"{len(content)} bytes of another kind or broken"
        expected = f"a {', '.join(formats)}"
        raise InputError(f"image: found {found}, expected {expected}") from None
    except Exception as error:  # Pillow's readers raise whatever a broken file leads to
        reason = _one_line(error)
        raise InputError(f"image: found a broken file, expected a whole one: {reason}") from None
    width, height = image.size
    most = Image.MAX_IMAGE_PIXELS
    if most and width * height > most:
        raise InputError(f"image: found {width} x {height} pixels, expected at most {most:,}")
    return image


def find_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, if it is missing or unreadable."""
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # a broken EXIF block is common on the web, and the picture is still readable
        return 1
    return orientation if orientation in UPRIGHT else 1


def load_image(image: Image.Image, channels: int) -> Image.Image:
    """Decode an opened image: upright, 8 bits, transparent parts on white.

    Args:
        image: From `open_image`.
        channels: 1 for grey (mode L), 3 for colour (mode RGB).

    Raises:
        InputError: If the file is broken or truncated, or its pixels are neither of 8 bits nor of
            16 in their full range.
        ValueError: On another number of channels.
    """
    if channels not in MODES:
        raise ValueError(f"channels: found {channels}, expected 1 or 3")
    try:
        image.load()  # which turns a TIFF upright
        orientation = find_orientation(image)
        plain = _to_mode(image, MODES[channels])
    except InputError:
        raise
    except Exception as error:  # as in open_image
        found, reason = f"a broken {image.format} file", _one_line(error)
        raise InputError(f"image: found {found}, expected a whole one: {reason}") from None
    return plain.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else plain


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "F":
        raise InputError("image: found pixels with fractions (float), expected 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _take_upper_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _take_upper_bits(image: Image.Image) -> Image.Image:
    """Return the upper 8 of 16 bits.

    Raises:
        InputError: If the values are of another range: those of 8 or 12 bits would become black.
    """
    values = np.asarray(image)
    least, most = int(values.min()), int(values.max())
    if least < 0 or not 0x1000 <= most <= 0xFFFF:
        found = f"16 bits with values up to {most}" if least >= 0 else f"a value of {least}"
        raise InputError(f"image: found {found}, expected the full range, or 8 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())
