"""Decode images and squeeze them to squares: what packing does to each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from geomix.data.pixels import load_image, open_image
from geomix.errors import InputError
from geomix.preprocess.mend import check_png, convert_tiff, is_png, is_tiff, strip_texts

# A box filter first, where an image shrinks to less than a third: the same to the eye, and faster.
REDUCING_GAP = 3.0


@dataclass(frozen=True)
class Prepared:
    """What is kept of an image beside its file."""

    aspect: float
    """Width over height."""
    square: np.ndarray | None
    """uint8, (side, side, C), in the decoded form."""
    file: bytes | None = None
    """A file that takes the place of one which later stages cannot read."""


def decode(data: bytes, channels: int) -> np.ndarray:
    """Decode the file of an image as every stage sees it.

    EXIF rotation is applied and transparency laid on white. CMYK and palettes become RGB, 16 bits
    become their upper eight, and an animation becomes its first picture. Of 16 bits only the full
    range is known: 12 bits in 16 would become black.

    Args:
        data: A JPEG, PNG, BMP, GIF or WebP file.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8, shape (H, W, channels).

    Raises:
        InputError: If the file is broken, truncated, of another kind, larger than Pillow's limit
            of pixels, or its values have another range.
    """
    image = load_image(open_image(data), channels)
    return np.asarray(image).reshape(image.height, image.width, channels)


def read_file(data: bytes, channels: int) -> tuple[np.ndarray, bytes | None]:
    """Decode the file of an image, and mend one that is whole but that later stages cannot read.

    Args:
        data: A file as `decode` takes it, or a TIFF.
        channels: 1 or 3.

    Returns:
        Pixels as `decode` returns them; and a PNG of the same pixels in the place of a TIFF or of a
        PNG with texts or profiles beyond Pillow's limit, else nothing.

    Raises:
        InputError: As `decode`, or if a checksum of a PNG does not hold.
    """
    if is_tiff(data):
        file = convert_tiff(data, channels)
        return decode(file, channels), file
    if not is_png(data):
        return decode(data, channels), None
    check_png(data)
    try:
        return decode(data, channels), None
    except InputError:
        file = strip_texts(data)
        if file == data:
            raise
        return decode(file, channels), file


def squeeze(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize a whole image to a square, whatever its proportions.

    Args:
        pixels: uint8, shape (H, W, C) with 1 or 3 channels.
        side: Pixels.

    Returns:
        uint8, shape (side, side, C); the same array if it has this size already.
    """
    height, width, channels = pixels.shape
    if (height, width) == (side, side):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    square = image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    return np.asarray(square).reshape(side, side, channels)


def prepare(image: bytes | np.ndarray, channels: int, side: int | None) -> Prepared:
    """Decode an image, which shows that it is whole, and squeeze it to a square on request.

    Args:
        image: A file, or pixels, uint8 (H, W, C).
        channels: 1 or 3.
        side: Of the square in pixels; None for no square.

    Raises:
        InputError: As `read_file`.
        ValueError: If pixels have another shape or type.
    """
    pixels, file = read_file(image, channels) if isinstance(image, bytes) else (image, None)
    if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != np.uint8:
        found = f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"image: found {found}, expected uint8 of (H, W, {channels})")
    height, width = pixels.shape[:2]
    square = None if side is None else squeeze(pixels, side)
    return Prepared(width / height, square, file)


def prepare_all(
    images: Sequence[bytes | np.ndarray], channels: int, side: int | None
) -> list[Prepared | str]:
    """Prepare images; for a broken one, return the reason instead."""
    found: list[Prepared | str] = []
    for image in images:
        try:
            found.append(prepare(image, channels, side))
        except InputError as error:
            found.append(str(error))
    return found
