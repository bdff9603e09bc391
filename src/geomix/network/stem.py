"""The stem of a network that starts from scratch: plain patches, or a few small convolutions."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.layers import PatchEmbed
from torch import nn

from geomix.config.sections import Backbone
from geomix.errors import InputError

TAKING = ["vision_transformer", "deit"]  # modules of timm whose models take another embedding


class ConvStem(PatchEmbed):
    """Embed patches by 3x3 convolutions of stride 2.

    Images (N, C, H, W) -> patches (N, L, width), L = H / patch * W / patch. For patch 2^n there are
    n convolutions with width / 2^(n-1), ..., width / 2, width channels. A norm and a ReLU follow
    each of them, and a 1x1 convolution is last. Everything else comes from `PatchEmbed`.

    Source:
        Xiao et al. 2021 (arXiv:2106.14881), section 4. A group norm of one group replaces their
        batch norm, so that an image's embedding does not depend on the rest of its batch.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] | None = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        bias: bool = True,
        **others: Any,
    ) -> None:
        """Build the convolutions.

        Args:
            img_size: Height and width, in pixels, multiples of the patch.
            patch_size: In pixels, a power of two, at least 2.
            in_chans: C.
            embed_dim: The width, a multiple of patch / 2.
            bias: Of the last convolution; the others have none, because their norms have one.
            others: Other arguments of timm's `PatchEmbed`.
        """
        super().__init__(img_size, patch_size, in_chans, embed_dim, bias=bias, **others)
        place: dict[str, Any] = {key: others.get(key) for key in ("device", "dtype")}
        layers: list[nn.Module] = []
        channels = in_chans
        for halving in reversed(range(patch_size.bit_length() - 1)):
            wider = embed_dim >> halving
            layers += [
                nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False, **place),
                nn.GroupNorm(1, wider, **place),
                nn.ReLU(inplace=True),
            ]
            channels = wider
        last = nn.Conv2d(channels, embed_dim, 1, bias=bias, **place)
        self.add_module("proj", nn.Sequential(*layers, last))  # replaces the convolution of timm


def choose_stem(backbone: Backbone, shape: Mapping[str, int]) -> dict[str, Any]:
    """Choose the arguments of `timm.create_model` for a stem: none for plain patches.

    Args:
        backbone: Section `backbone`.
        shape: Its patch and width, in pixels and channels, with the model's own numbers for null.

    Raises:
        InputError: For a convolutional stem of a model that embeds patches in its own way, of a
            patch that is no power of two, or of a width that cannot be halved that often.
    """
    if backbone.stem == "patch":
        return {}
    patch, width = shape["patch"], shape["width"]
    if not timm.models.is_model_in_modules(backbone.name.partition(".")[0], TAKING):
        expected = f"patch for {backbone.name}, which embeds patches in its own way"
        raise InputError(f"backbone.stem: found conv, expected {expected}")
    if patch < 2 or patch & (patch - 1):
        expected = "a power of two, at least 2, for backbone.stem conv"
        raise InputError(f"backbone.patch: found {patch}, expected {expected}")
    if width % (patch // 2):
        expected = f"a multiple of {patch // 2} for backbone.stem conv of patch {patch}"
        raise InputError(f"backbone.width: found {width}, expected {expected}")
    return {"embed_layer": ConvStem}
