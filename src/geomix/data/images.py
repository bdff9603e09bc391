"""Images as the network sees them: cropped, normalised, and changed at random for training.

Vectors are only standardised.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geomix.config.sections import Augment, Crop
from geomix.data.crops import WHOLE, crop_decoded, crop_encoded, draw_fitted, draw_flips
from geomix.data.packed import Encoded, Packed

SIDE = 32  # pixels of a side, of the raw pixels of images that are packed encoded
FILES = 512  # decoded at a time for raw pixels


class Format(Protocol):
    """The format in which an encoder takes images; `Encoder` has these attributes."""

    @property
    def side(self) -> int:
        """Pixels of the squares."""

    @property
    def mean(self) -> Tensor:
        """Subtracted from pixels in [0, 1], shape (C,)."""

    @property
    def std(self) -> Tensor:
        """Divisor of the difference, shape (C,)."""


def draw_boxes(
    packed: Packed, rows: np.ndarray, crop: Crop, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a random crop and a flip of each image; nothing is drawn for vectors.

    Args:
        packed: The data set.
        rows: Of its table, (N,).
        crop: Section `crop` of params.yaml.
        generator: On the CPU.

    Returns:
        Boxes, float64 (N, 4), as in `crops`, and which images to mirror, bool (N,).
    """
    area, flip = (1, 0) if packed.form == "vectors" else (crop.area, crop.flip)
    boxes = draw_fitted(torch.from_numpy(packed.aspects[rows]), crop.fit, area, generator)
    return boxes, draw_flips(len(rows), flip, generator)


def load_batch(
    packed: Packed,
    rows: np.ndarray,
    boxes: Tensor,
    flips: Tensor,
    encoder: Format,
    device: torch.device,
    held: Tensor | None = None,
) -> Tensor:
    """Read images, cut boxes out of them and normalise them for an encoder.

    Args:
        packed: The data set, in either form.
        rows: Of its table, (N,).
        boxes: The part of each original, shape (N, 4), as in `crops`.
        flips: Which to mirror, bool (N,).
        encoder: Whose side, mean and std the images get.
        device: Of the result.
        held: All images on the device, from `hold_images`; None to read them.

    Returns:
        float32, shape (N, C, side, side). Whole images of that side are not resampled: with a mean
        and std of 0.5 they are exactly pixels / 127.5 - 1, in [-1, 1]. A padding is 0, up to
        rounding to 1/255. Vectors have shape (N, C), and boxes and flips do not change them.

    Raises:
        InputError: If the file of an image is broken.
    """
    side = encoder.side
    if isinstance(packed.images, Encoded):
        files = [packed.images.read(row) for row in rows]
        squares = crop_encoded(files, boxes, flips, side, packed.channels, device, encoder.mean)
        return normalise(squares, encoder.mean, encoder.std)
    place = torch.from_numpy(rows)
    images = read_rows(packed.images, rows, device) if held is None else held[place]
    if images.ndim == 2:
        return (images - encoder.mean.to(device)) / encoder.std.to(device)
    untouched = (
        images.shape[1:3] == (side, side)
        and not flips.any()
        and bool((boxes == boxes.new_tensor(WHOLE)).all())
    )
    if untouched:
        return normalise(images.permute(0, 3, 1, 2).contiguous(), encoder.mean, encoder.std)
    mean, std = (moment.to(device)[:, None, None] for moment in (encoder.mean, encoder.std))
    return crop_decoded(images, boxes, flips, side, encoder.mean).sub_(mean).div_(std)


def read_rows(images: np.ndarray, rows: np.ndarray, device: torch.device) -> Tensor:
    """Read rows of images or vectors and bring them to a device."""
    found = torch.from_numpy(np.ascontiguousarray(images[rows]))
    if device.type == "cuda":  # out of pinned memory the copy waits for nothing
        found = found.pin_memory()
    return found.to(device, non_blocking=True)


def hold_images(packed: Packed, device: torch.device) -> Tensor | None:
    """Bring all images or vectors to a CUDA device, if they take at most a quarter of what is free.

    Returns:
        None for other devices, for more images, and for files, which are decoded batch by batch.
    """
    if device.type != "cuda" or isinstance(packed.images, Encoded):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    fits = packed.images.nbytes <= free // 4
    return torch.from_numpy(np.array(packed.images)).to(device) if fits else None


def read_raw(packed: Packed, split: str) -> np.ndarray:
    """Return the raw input of a split, a row for each sample.

    Decoded images are flattened, uint8 (n, H * W * C); encoded ones are squeezed to squares of 32
    pixels first. Vectors are returned as they are, float32 (n, D).

    Raises:
        InputError: If the file of an image is broken.
    """
    rows = packed.rows(split)
    if not isinstance(packed.images, Encoded):
        return np.asarray(packed.images[rows]).reshape(len(rows), -1)
    parts = []
    for start in range(0, len(rows), FILES):
        files = [packed.images.read(row) for row in rows[start : start + FILES]]
        boxes = torch.tensor(WHOLE).expand(len(files), 4)
        flips = torch.zeros(len(files), dtype=torch.bool)
        squares = crop_encoded(files, boxes, flips, SIDE, packed.channels)
        parts.append(squares.flatten(1).numpy())
    return np.concatenate(parts)


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Turn pixels in [0, 255], (N, C, H, W), into float32 (pixels / 255 - mean) / std.

    Mean and std have shape (C,).
    """
    mean, std = (moment.to(pixels.device)[:, None, None] for moment in (mean, std))
    return pixels.to(torch.float32, copy=True).div_(255 * std).sub_(mean / std)


def augment(
    images: Tensor,
    strength: Augment,
    generator: torch.Generator,
    std: Tensor | float = 0.5,
) -> Tensor:
    """Change each image of a batch by a random affine map of its own, then add noise.

    Args:
        images: Shape (N, C, H, W), normalised; or standardised vectors (N, C), which only get
            noise.
        strength: Section `augment` of params.yaml: the largest rotation in degrees, zoom, shear and
            shift as shares, and the standard deviation of the noise for pixels in [0, 1].
        generator: On the CPU, so that every device draws the same changes.
        std: Divisor of the pixels, a number or shape (C,); 0.5 for values in [-1, 1]. It does not
            scale the noise of vectors.

    Returns:
        The shape of the images. The border is repeated outside the image. Nothing is drawn if
        nothing may change.
    """
    return apply_changes(images, draw_changes(images.shape, strength, generator), strength, std)


class Changes(NamedTuple):
    """Random changes of N images: affine maps (N, 2, 3) of a grid, and noise of their shape."""

    maps: Tensor | None = None
    noise: Tensor | None = None

    def part(self, rows: slice) -> "Changes":
        """Return the changes of some of the images."""
        maps, noise = (None if one is None else one[rows] for one in self)
        return Changes(maps, noise)


def draw_changes(shape: Sequence[int], strength: Augment, generator: torch.Generator) -> Changes:
    """Draw what `augment` changes in a batch of this shape."""
    changes = strength.rotate, strength.zoom, strength.shear, strength.shift, strength.noise
    if not any(changes):
        return Changes()
    if len(shape) == 2:
        return Changes(noise=torch.randn(*shape, generator=generator))
    count = shape[0]

    def uniform(limit: float, columns: int = 1) -> Tensor:
        """Draw numbers from -limit to limit, (N, columns)."""
        return (torch.rand(count, columns, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(strength.rotate)).squeeze(1)
    zoom = 1 + uniform(strength.zoom).squeeze(1)
    shear = uniform(strength.shear).squeeze(1)
    shift = 2 * uniform(strength.shift, 2)  # a grid spans [-1, 1], twice the side
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    first = torch.stack([cos, shear - sin, shift[:, 0]], 1)
    second = torch.stack([sin, cos, shift[:, 1]], 1)
    noise = torch.randn(*shape, generator=generator) if strength.noise else None
    return Changes(torch.stack([first, second], 1), noise)


def apply_changes(
    images: Tensor, changes: Changes, strength: Augment, std: Tensor | float = 0.5
) -> Tensor:
    """Change images as was drawn; see `augment`."""
    noise = None if changes.noise is None else changes.noise.to(images.device)
    if images.ndim == 2:
        return images if noise is None else images + strength.noise * noise
    if changes.maps is None:
        return images
    maps = changes.maps.to(images.device)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    moved = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    if noise is None:
        return moved
    spread = torch.as_tensor(std, device=images.device).view(-1, 1, 1)
    return moved + strength.noise / spread * noise
