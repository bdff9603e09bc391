"""The network: a Vision Transformer of timm and one linear head."""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from geomix.errors import InputError


class Encoder(nn.Module):
    """Backbone and head: images (N, C, H, W) -> features of the backbone (N, width) and embeddings (N, outputs)."""

    def __init__(self, backbone: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(width, outputs)
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of images."""
        features = self.backbone(images)
        return features, self.head(features)


def build_encoder(backbone: Mapping[str, Any], outputs: int, image_shape: tuple[int, int, int], seed: int) -> Encoder:
    """Build an untrained encoder; the same seed gives the same weights.

    Args:
        backbone: Section `backbone` of params.yaml.
        outputs: D of the embeddings.
        image_shape: Height, width, channels of the images.
        seed: Of the initial weights.

    Raises:
        InputError: If timm has no model of this name, or patches do not divide the image.
    """
    torch.manual_seed(seed)
    height, width, channels = image_shape
    if not timm.is_model(backbone["name"]):
        raise InputError(f"backbone.name: found {backbone['name']!r}, expected the name of a Vision Transformer of timm")
    if height % backbone["patch"] or width % backbone["patch"]:
        raise InputError(
            f"backbone.patch: found {backbone['patch']}, expected a divisor of the image's {height} x {width} pixels"
        )
    network = timm.create_model(
        backbone["name"],
        pretrained=False,
        num_classes=0,
        img_size=(height, width),
        in_chans=channels,
        patch_size=backbone["patch"],
        embed_dim=backbone["width"],
        depth=backbone["depth"],
        num_heads=backbone["heads"],
    )
    return Encoder(network, backbone["width"], outputs)
