"""Backbones for vectors: residual blocks, a Transformer's without attention, or nothing."""

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from geomix.config.sections import Backbone
from geomix.errors import InputError

LINEAR = "linear"  # the backbone in params.yaml without layers: the head alone is trained
WIDTH, DEPTH = 256, 2  # if params.yaml has null
RATIO = 4  # of a block's inner width to its outer width


class Block(nn.Module):
    """Features (N, width) plus the result of LayerNorm, Linear, GELU and Linear on them."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, RATIO * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, features: Tensor) -> Tensor:
        """Add the block's output to its input."""
        return features + self.drop_path(self.mlp(self.norm(features)))


def build_mlp(backbone: Backbone, inputs: int, seed: int) -> tuple[nn.Sequential, int]:
    """Build an untrained backbone for standardised vectors; the same seed gives the same weights.

    Of mlp a linear map comes first. A norm before it would leave nothing of a vector of one number.
    A norm comes last. linear has no layers: features are the vectors, and the head, which follows,
    is a linear map of them.

    Args:
        backbone: Section `backbone` of params.yaml, of which mlp uses width (null: 256), depth
            (null: 2) and drop_path, which rises linearly over the blocks.
        inputs: D of the vectors.
        seed: Of the initial weights.

    Returns:
        The network, vectors (N, D) -> features (N, width), and its width.

    Raises:
        InputError: If the section names weights from elsewhere.
    """
    for key in ("pretrained", "checkpoint"):
        if found := getattr(backbone, key):
            expected = f"none: {backbone.name} starts from scratch"
            raise InputError(f"backbone.{key}: found {found}, expected {expected}")
    torch.manual_seed(seed)
    if backbone.name == LINEAR:
        return nn.Sequential(), inputs
    width, depth = backbone.width or WIDTH, backbone.depth or DEPTH
    drops = torch.linspace(0, backbone.drop_path, depth).tolist()
    blocks = [Block(width, drop) for drop in drops]
    return nn.Sequential(nn.Linear(inputs, width), *blocks, nn.LayerNorm(width)), width
