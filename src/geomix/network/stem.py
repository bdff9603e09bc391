"""The stem of a network that starts from scratch: patches cut out as they are, or a few small convolutions."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.layers import PatchEmbed
from torch import nn

from geomix.errors import InputError

TAKING = ["vision_transformer", "deit"]  # modules of timm whose models let others embed the patches


class ConvStem(PatchEmbed):
    """Embed patches by 3x3 convolutions of stride 2, as many as it takes: images (N, C, H, W) ->
    patches (N, L, width).

    For patch 2^n their channels are width / 2^(n-1), ..., width / 2, width; after each come a norm
    and a ReLU, and a 1x1 convolution is last. L is H / patch * W / patch, and everything else timm
    asks of a patch embedding is `PatchEmbed`'s.

    Source:
        Xiao et al. 2021 (arXiv:2106.14881), section 4. Their batch norm is a group norm of one
        group here, so that an image's embedding does not depend on the other images of its batch.
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
            bias: Of the last convolution; the others have none, as their norms have one.
            others: As timm's `PatchEmbed` takes them.
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
        self.add_module(
            "proj", nn.Sequential(*layers, nn.Conv2d(channels, embed_dim, 1, bias=bias, **place))
        )  # in place of the one that cuts patches out


def choose_stem(settings: Mapping[str, Any], shape: Mapping[str, int]) -> dict[str, Any]:
    """Choose what timm's model is created with, beside its shape, for the stem asked for: nothing
    for patches.

    Args:
        settings: Section `backbone`: its name, stem, pretrained and checkpoint.
        shape: What its patch and width came to, in pixels and channels.

    Returns:
        Keyword arguments of `timm.create_model`.

    Raises:
        InputError: For a convolutional stem of weights from elsewhere, of a model that embeds its
            patches itself, of a patch that is no power of two, or of a width that cannot be halved
            as often.
    """
    if settings["stem"] == "patch":
        return {}
    patch, width = shape["patch"], shape["width"]
    if settings["pretrained"] or settings["checkpoint"] is not None:
        key = "pretrained" if settings["pretrained"] else "checkpoint"
        raise InputError(
            f"backbone.stem: found conv beside backbone.{key}, expected patch: published stems are not ours"
        )
    if not timm.models.is_model_in_modules(settings["name"].partition(".")[0], TAKING):
        raise InputError(
            f"backbone.stem: found conv, expected patch for {settings['name']}, which embeds patches in its own way"
        )
    if patch < 2 or patch & (patch - 1):
        raise InputError(
            f"backbone.patch: found {patch}, expected a power of two, at least 2, for backbone.stem conv"
        )
    if width % (patch // 2):
        raise InputError(
            f"backbone.width: found {width}, expected a multiple of {patch // 2} for backbone.stem conv of patch {patch}"
        )
    return {"embed_layer": ConvStem}
