"""Images as the network sees them: crops, normalised, and random changes for training. Vectors are standardised alone."""

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geomix.data.crops import WHOLE, crop_decoded, crop_encoded
from geomix.data.packed import Encoded, Packed


class Format(Protocol):
    """How an encoder wants its images; `Encoder` has these."""

    @property
    def side(self) -> int:
        """Pixels of the squares."""

    @property
    def mean(self) -> Tensor:
        """What is subtracted from pixels in [0, 1], shape (C,)."""

    @property
    def std(self) -> Tensor:
        """What they are divided by then, shape (C,)."""


def load_batch(
    packed: Packed,
    rows: np.ndarray,
    boxes: Tensor,
    flips: Tensor,
    encoder: Format,
    device: torch.device,
) -> Tensor:
    """Read images, cut boxes out of them and normalise them for an encoder.

    Args:
        packed: The data set, in either form.
        rows: Of its table, (N,).
        boxes: Which part of each original, shape (N, 4), as in `crops`.
        flips: Which to mirror, bool (N,).
        encoder: Its side, mean and std say how it sees images.
        device: Where the result shall be.

    Returns:
        float32, shape (N, C, side, side). Whole images of that side are not resampled, and with
        mean and std of 0.5 they are exactly their pixels / 127.5 - 1, in [-1, 1]. Vectors have
        shape (N, C), and no boxes.

    Raises:
        InputError: If the file of an image is broken.
    """
    side = encoder.side
    if isinstance(packed.images, Encoded):
        files = [packed.images.read(row) for row in rows]
        return normalise(
            crop_encoded(files, boxes, flips, side, packed.channels, device),
            encoder.mean,
            encoder.std,
        )
    images = torch.from_numpy(np.ascontiguousarray(packed.images[rows])).to(device)
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
    return crop_decoded(images, boxes, flips, side).sub_(mean).div_(std)


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Take pixels in [0, 255], shape (N, C, H, W), to (pixels / 255 - mean) / std in float32; mean and std have shape (C,)."""
    mean, std = (moment.to(pixels.device)[:, None, None] for moment in (mean, std))
    return pixels.to(torch.float32, copy=True).div_(255 * std).sub_(mean / std)


def augment(
    images: Tensor,
    strength: Mapping[str, float],
    generator: torch.Generator,
    std: Tensor | float = 0.5,
) -> Tensor:
    """Change each image of a batch by its own random affine map, then add noise.

    Args:
        images: Shape (N, C, H, W), normalised; or standardised vectors (N, C), which get noise
            alone.
        strength: Section `augment` of params.yaml: the largest rotation in degrees, zoom, shear and
            shift as shares, and the standard deviation of the noise for pixels in [0, 1].
        generator: On the CPU, so that every device draws the same changes.
        std: What the pixels were divided by, a number or shape (C,); 0.5 for values in [-1, 1]. The
            noise of vectors has the deviation asked for whatever they were divided by.

    Returns:
        The shape of the images. What comes in from outside repeats the border. Where nothing may
        change nothing is drawn.
    """
    if not any(strength.values()):
        return images
    if images.ndim == 2:
        return images + strength["noise"] * torch.randn(images.shape, generator=generator).to(
            images.device
        )
    count = len(images)

    def uniform(limit: float, columns: int = 1) -> Tensor:
        """Draw numbers from -limit to limit, (N, columns)."""
        return (torch.rand(count, columns, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(strength["rotate"])).squeeze(1)
    zoom = 1 + uniform(strength["zoom"]).squeeze(1)
    shear = uniform(strength["shear"]).squeeze(1)
    shift = 2 * uniform(strength["shift"], 2)  # a grid spans [-1, 1], twice the side
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack(
        [torch.stack([cos, shear - sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)],
        1,
    )
    grid = functional.affine_grid(rows.to(images.device), list(images.shape), align_corners=False)
    moved = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    if not strength["noise"]:
        return moved
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    spread = torch.as_tensor(std, device=images.device).view(-1, 1, 1)
    return moved + strength["noise"] / spread * noise
