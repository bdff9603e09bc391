"""The network: a Vision Transformer of timm, an MLP or nothing, a linear head, and its norm."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from geomix.config.base import FOR_VECTORS
from geomix.config.sections import Backbone, Head
from geomix.errors import InputError
from geomix.network.checkpoints import (
    Weights,
    describe_mismatch,
    describe_shape,
    load_checkpoint,
    load_pretrained,
)
from geomix.network.mlp import build_mlp
from geomix.network.stem import choose_stem

# Modules of timm whose models have square patches, blocks of one width, and an image size of
# choice; DINOv3 is in eva.
FAMILIES = ("vision_transformer", "deit", "eva", "beit")
ARCHITECTURE = {  # our keys with timm's names
    "patch": "patch_size",
    "width": "embed_dim",
    "depth": "depth",
    "heads": "num_heads",
}
PARTS = (("depth",), ("width", "heads"), ("patch",))  # that timm accepts or refuses together
REFUSALS = (AssertionError, RuntimeError, ValueError)  # of timm, for a shape it cannot build
MISFITS = (*REFUSALS, AttributeError, LookupError)  # of timm's conversion of weights too
GREY = (0.5, 0.5, 0.5)  # mean and deviation that take [0, 1] to [-1, 1]
SCRATCH = {"source": "scratch"}


class Encoder(nn.Module):
    """Backbone, head, and the norm of its outputs.

    Images (N, C, side, side) -> features of the backbone (N, width) and embeddings (N, outputs).
    The caller normalises images: (pixels in [0, 1] - mean) / std, with `mean` and `std` of shape
    (C,). These are saved only if they are of the data, as those of vectors (N, C) are, which take
    the place of images. `weights` says where the backbone's first weights are from.

    The norm has no weights: none returns the head's outputs; batch gives each output mean 0 and
    variance 1, over the batch in training and over the train split after `settle_norm`; layer does
    so for each embedding, over its outputs.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        head: Head,
        side: int,
        mean: Tensor,
        std: Tensor,
        weights: dict[str, str],
        of_data: bool = False,
    ) -> None:
        super().__init__()
        self.side = side
        self.weights = weights
        self.register_buffer("mean", mean, persistent=of_data)
        self.register_buffer("std", std, persistent=of_data)
        self.backbone = backbone
        self.head = nn.Linear(width, head.outputs)
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.norm = build_norm(head)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of images; embeddings are float32 under autocast too.

        Only the backbone runs under the caller's autocast. At a low temperature embeddings differ
        by less than the 0.4 % that bfloat16 resolves.
        """
        features = self.backbone(images)
        return features, self.project(features)

    def project(self, features: Tensor) -> Tensor:
        """Return the embeddings of features of the backbone, in the type of the head's weights."""
        with torch.autocast(features.device.type, enabled=False):
            embeddings: Tensor = self.norm(self.head(features.to(self.head.weight.dtype)))
            return embeddings


def build_norm(head: Head) -> nn.Module:
    """Build the norm of the head's outputs; none of them draws or learns anything."""
    if head.norm == "batch":
        return nn.BatchNorm1d(head.outputs, affine=False)
    if head.norm == "layer":
        return nn.LayerNorm(head.outputs, elementwise_affine=False)
    return nn.Identity()


def build_encoder(
    backbone: Backbone,
    head: Head,
    image_shape: tuple[int, int, int],
    seed: int,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> Encoder:
    """Build an encoder before training; the same seed gives the same weights.

    Features are what the timm model pools and norms before its classifier: the class token, the
    mean of the class and the distillation token in distilled DeiT, the mean of the patches in
    models made for it. timm adapts a position embedding for another side, and a first convolution
    for 3 channels if images have 1, when it loads weights.

    Args:
        backbone: Section `backbone` of params.yaml.
        head: Section `head`.
        image_shape: Height, width, channels of the packed images; height and width are 0 if they
            are packed encoded.
        seed: Of the initial weights, those of the head with a pretrained backbone.
        moments: Of vectors, mean and standard deviation of each of their D numbers, (D,); None for
            images. The backbones mlp and linear take vectors, all others take images.

    Raises:
        InputError: If timm has no Vision Transformer of this name or cannot build it in this shape
            or with this stem, patches do not divide the image, or weights cannot be had or do not
            fit.
        ValueError: If the backbone is for images and the data are vectors, or the reverse.
    """
    name = backbone.name
    if (name in FOR_VECTORS) != (moments is not None):
        data = "images" if moments is None else "vectors"
        raise ValueError(f"backbone.name: found {name}, expected a backbone for {data}")
    if moments:
        mean, std = (torch.from_numpy(moment).float() for moment in moments)
        network, width = build_mlp(backbone, len(mean), seed)
        return Encoder(network, width, head, 1, mean, std, SCRATCH, of_data=True)
    published, own = find_model(name), describe_model(name)
    asked = {key: getattr(backbone, key) for key in ARCHITECTURE}
    shape = {key: own[key] if number is None else number for key, number in asked.items()}
    stem = choose_stem(backbone, shape)
    weights = _load_weights(backbone)
    if weights:
        refuse_other_shape(backbone, shape, own, weights)
    _check_heads(name, shape, own)
    channels = image_shape[2]
    own_side = published["input_size"][-1] if weights else own["side"]
    side = choose_side(backbone, shape["patch"], image_shape, own_side)
    arguments = {
        "num_classes": 0,
        "img_size": (side, side),
        "in_chans": channels,
        **{argument: shape[key] for key, argument in ARCHITECTURE.items()},
        "drop_path_rate": backbone.drop_path,
        **stem,
    }
    torch.manual_seed(seed)
    if weights:
        network = _create_with(name, weights, published, arguments)
    else:
        network = _create_untrained(name, shape, own, arguments)
    if backbone.freeze_patch_embedding:
        network.patch_embed.requires_grad_(False)
    mean, std = (torch.tensor(published[key] if weights else GREY) for key in ("mean", "std"))
    if channels != len(mean):
        mean, std = (moment.mean().expand(channels).clone() for moment in (mean, std))
    origin = weights.origin if weights else SCRATCH
    return Encoder(network, shape["width"], head, side, mean, std, origin)


def find_model(name: str) -> dict[str, Any]:
    """Return timm's config of a Vision Transformer: input_size (C, H, W), mean, std and more.

    Raises:
        InputError: If timm has no model of this name or tag; the message lists the nearest names.
    """
    architecture, _, tag = name.partition(".")
    known = timm.list_models(module=FAMILIES)
    if architecture in known:
        known = timm.list_models(architecture, include_tags=True)
        if not tag or name in known:
            config = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
            return dict(config.to_dict())
    nearest = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0))
    expected = f"the name of a Vision Transformer of timm, such as {nearest}"
    raise InputError(f"backbone.name: found {name!r}, expected {expected}")


@cache
def describe_model(name: str) -> Mapping[str, int]:
    """Return patch, width, depth, heads and side (pixels) of a timm model.

    `rotary` is 1 if its position embeddings rotate.
    """
    with torch.device("meta"):
        network: Any = timm.create_model(name, num_classes=0)
    attentions = (module for module in network.blocks[0].modules() if hasattr(module, "num_heads"))
    return {
        "patch": network.patch_embed.patch_size[0],
        "width": network.embed_dim,
        "depth": len(network.blocks),
        "heads": next(attentions).num_heads,
        "side": network.patch_embed.img_size[0],
        "rotary": getattr(network, "rope", None) is not None,
    }


def choose_side(backbone: Backbone, patch: int, image_shape: tuple[int, int, int], own: int) -> int:
    """Choose the side of the images that the network sees, in pixels.

    Args:
        backbone: Its side if it has one; without it and without weights from elsewhere, the side of
            the packed images.
        patch: Pixels.
        image_shape: Height, width, channels of the packed images, 0 x 0 if they are packed encoded.
        own: The side of the model, otherwise.

    Raises:
        InputError: If packed images are not square, or patches do not divide the side.
    """
    height, width, _ = image_shape
    if height != width:
        raise InputError(f"images: found {height} x {width} pixels, expected squares")
    elsewhere = backbone.pretrained or backbone.checkpoint is not None
    side = backbone.side or (own if elsewhere or not height else height)
    if side % patch and (elsewhere or backbone.side):
        expected = f"a multiple of the patch, {patch} pixels"
        raise InputError(f"backbone.side: found {side}, expected {expected}")
    if side % patch:
        expected = f"a divisor of the image's {side} x {side} pixels"
        raise InputError(f"backbone.patch: found {patch}, expected {expected}")
    return side


def refuse_other_shape(
    backbone: Backbone, shape: Mapping[str, int], own: Mapping[str, int], weights: Weights
) -> None:
    """Refuse a patch, width, depth or number of heads that the weights do not have.

    timm would resample another patch in silence. No tensor's shape tells the heads: at the model's
    own width they are the model's own, at another width those asked for are trusted.

    Args:
        backbone: Section `backbone`; null is the model's own.
        shape: The resulting architecture.
        own: The model's own.
        weights: From a checkpoint or the hub.

    Raises:
        InputError: Naming the first key that differs.
    """
    read = {} if backbone.checkpoint is None else describe_shape(weights.tensors)
    expected = {**own, **read}
    if expected["width"] != own["width"]:
        expected["heads"] = shape["heads"]
    for key in ARCHITECTURE:
        if shape[key] != expected[key]:
            found = f"{shape[key]}"
            if getattr(backbone, key) is None:
                found += f", {backbone.name}'s own"
            needed = f"{expected[key]} for the weights of {_file_of(weights)}"
            raise InputError(f"backbone.{key}: found {found}, expected {needed}")


def _check_heads(name: str, shape: Mapping[str, int], own: Mapping[str, int]) -> None:
    """Refuse heads that do not divide the width, once timm's own numbers stand in for null."""
    width, heads = shape["width"], shape["heads"]
    if width % heads:
        expected = f"a divisor of the width {width}"
        raise InputError(f"backbone.heads: found {heads}, expected {expected}")
    if own["rotary"] and width // heads % 4:
        expected = f"a multiple of 4 for each, as {name} rotates pairs on two axes"
        raise InputError(f"backbone.width: found {width} for {heads} heads, expected {expected}")


def _load_weights(backbone: Backbone) -> Weights | None:
    if backbone.checkpoint is not None:
        return load_checkpoint(backbone.checkpoint)
    return load_pretrained(backbone.name) if backbone.pretrained else None


def _create_untrained(
    name: str, shape: Mapping[str, int], own: Mapping[str, int], arguments: Mapping[str, Any]
) -> Any:
    """Build a model from scratch, and refuse a shape that timm cannot build."""
    try:
        return timm.create_model(name, **arguments)
    except REFUSALS:
        _refuse_part(name, shape, own)
        raise


def _refuse_part(name: str, shape: Mapping[str, int], own: Mapping[str, int]) -> None:
    """Find the part of a shape that timm refuses while all others are the model's own."""
    for key, *others in PARTS:
        arguments: dict[str, Any] = {ARCHITECTURE[part]: shape[part] for part in (key, *others)}
        try:
            with torch.device("meta"):
                timm.create_model(name, num_classes=0, **arguments)
        except REFUSALS as error:
            found, expected = (
                " for ".join([f"{of[key]}", *(f"{of[part]} {part}" for part in others)])
                for of in (shape, own)
            )
            reason = f" ({' '.join(str(error).split())})" if str(error) else ""
            expected = f"a number that {name} takes, such as its own {expected}{reason}"
            raise InputError(f"backbone.{key}: found {found}, expected {expected}") from None


def _create_with(
    name: str, weights: Weights, published: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Any:
    """Build a model around weights by timm's conversion; refuse missing and left-over keys."""
    channels = describe_shape(weights.tensors).get("channels", published["input_size"][0])
    overlay = {
        "state_dict": weights.tensors,
        "num_classes": 0,  # the number asked for: timm then loads strictly
        "input_size": (channels, *published["input_size"][1:]),
    }
    try:
        network: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
        )
    except MISFITS as error:
        found = describe_mismatch(str(error), weights.tensors)
        expected = f"the weights of {name}"
        raise InputError(f"{_file_of(weights)}: found {found}, expected {expected}") from None
    network.pretrained_cfg.pop("state_dict")  # a second copy of all weights
    return network


def _file_of(weights: Weights) -> str:
    return weights.origin.get("file", weights.origin["source"])
