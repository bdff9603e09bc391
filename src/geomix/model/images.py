"""Images as the network sees them: numbers in [-1, 1], and random changes for training."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def to_floats(images: np.ndarray, device: torch.device) -> Tensor:
    """Turn packed images, uint8 (N, H, W, C), into floats (N, C, H, W) in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def augment(images: Tensor, strength: Mapping[str, float], generator: torch.Generator) -> Tensor:
    """Change each image of a batch by its own random affine map, then add noise.

    Args:
        images: Shape (N, C, H, W), values in [-1, 1].
        strength: Section `augment` of params.yaml: the largest rotation in degrees, zoom, shear and shift as shares,
            and the standard deviation of the noise for pixels in [0, 1].
        generator: On the CPU, so that every device draws the same changes.

    Returns:
        Shape (N, C, H, W). What comes in from outside repeats the border.
    """
    count = len(images)

    def uniform(limit: float, columns: int = 1) -> Tensor:
        return (torch.rand(count, columns, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(strength["rotate"])).squeeze(1)
    zoom = 1 + uniform(strength["zoom"]).squeeze(1)
    shear = uniform(strength["shear"]).squeeze(1)
    shift = 2 * uniform(strength["shift"], 2)  # a grid spans [-1, 1], twice the side
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([torch.stack([cos, shear - sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = functional.affine_grid(rows.to(images.device), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return moved + 2 * strength["noise"] * noise
