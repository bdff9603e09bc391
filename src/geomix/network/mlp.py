"""A backbone for vectors: residual blocks, each the part of a Transformer's that is no attention."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from geomix.errors import InputError

NAME = "mlp"  # of the backbone in params.yaml
WIDTH, DEPTH = 256, 2  # where params.yaml has null
RATIO = 4  # of a block's inner width to its outer


class Block(nn.Module):
    """Features (N, width) plus what LayerNorm, Linear, GELU and Linear make of them."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, RATIO * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, features: Tensor) -> Tensor:
        """Add the block's own to the features."""
        return features + self.drop_path(self.mlp(self.norm(features)))


def build_mlp(backbone: Mapping[str, Any], inputs: int, seed: int) -> tuple[nn.Sequential, int]:
    """Build an untrained backbone for standardised vectors; the same seed gives the same weights.

    A linear map comes first, without a norm before it, which would leave nothing of a vector of one
    number; a norm comes last.

    Args:
        backbone: Section `backbone` of params.yaml; width (null: 256), depth (null: 2) and
            drop_path, which rises linearly over the blocks, are used.
        inputs: D of the vectors.
        seed: Of the initial weights.

    Returns:
        The network, vectors (N, D) -> features (N, width), and its width.

    Raises:
        InputError: If weights from elsewhere are asked for.
    """
    for key in ("pretrained", "checkpoint"):
        if backbone.get(key):
            raise InputError(
                f"backbone.{key}: found {backbone[key]}, expected none: {NAME} starts from scratch"
            )
    width, depth = backbone.get("width") or WIDTH, backbone.get("depth") or DEPTH
    torch.manual_seed(seed)
    drops = torch.linspace(0, backbone.get("drop_path", 0), depth).tolist()
    blocks = [Block(width, drop) for drop in drops]
    return nn.Sequential(nn.Linear(inputs, width), *blocks, nn.LayerNorm(width)), width
