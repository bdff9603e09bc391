"""What several tests of the network use: sections `backbone`, and encoders built from them."""

from typing import Any, Literal

import numpy as np

from geomix.config.sections import Backbone, Head
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
    norm: Literal["none", "batch", "layer"] = "none",
) -> Encoder:
    """Build an encoder whose backbone differs from timm's own vit_tiny in some settings."""
    head = Head(outputs=outputs, norm=norm)
    return build_encoder(section(settings), head, image_shape, seed, moments)
