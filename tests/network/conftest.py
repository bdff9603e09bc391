"""What several tests of the network use: sections `backbone`, and encoders built from them."""

from typing import Any

import numpy as np

from geomix.config.sections import Backbone
from geomix.network.encoder import Encoder, build_encoder

PLAIN: dict[str, Any] = {
    "name": "vit_tiny_patch16_224",
    "pretrained": False,
    "checkpoint": None,
    "stem": "patch",
    "side": None,
    "patch": None,
    "width": None,
    "depth": None,
    "heads": None,
    "drop_path": 0,
    "freeze_patch_embedding": False,
}


def section(settings: dict[str, Any]) -> Backbone:
    """Return a section that differs from timm's own vit_tiny in some settings."""
    return Backbone(**PLAIN | settings)


def build(
    settings: dict[str, Any],
    outputs: int,
    image_shape: tuple[int, int, int],
    seed: int,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> Encoder:
    """Build an encoder whose backbone differs from timm's own vit_tiny in some settings."""
    return build_encoder(section(settings), outputs, image_shape, seed, moments)
