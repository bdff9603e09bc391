"""Images as people should see them: in their true proportions, decoded where they are kept as files."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from geomix.data.packed import Encoded, Packed
from geomix.data.pixels import load_image, open_image

SIDE = 96  # pixels of the longer side, at most, of images kept as files or squeezed to squares


def read_pictures(packed: Packed, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """Give images of a packed data set, uint8 (H, W, C), the longer side at most 96 pixels unless
    they are square.

    Args:
        packed: The data set.
        rows: Of its table.
    """
    return [_read_picture(packed, int(row)) for row in rows]


def _read_picture(packed: Packed, row: int) -> np.ndarray:
    if isinstance(packed.images, Encoded):
        file = open_image(packed.images.read(row))
        file.draft(None, (2 * SIDE, 2 * SIDE))
        image = load_image(file, packed.channels)
        image.thumbnail((SIDE, SIDE))
        return np.asarray(image).reshape(image.height, image.width, -1)
    pixels: np.ndarray = np.asarray(packed.images[row])
    aspect = float(packed.samples["aspect"].iloc[row]) if "aspect" in packed.samples else 1.0
    if aspect == 1:
        return pixels
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width * aspect)
    image = Image.fromarray(pixels.squeeze()).resize(
        (max(1, round(width * aspect * scale)), max(1, round(height * scale)))
    )
    return np.asarray(image).reshape(image.height, image.width, -1)
