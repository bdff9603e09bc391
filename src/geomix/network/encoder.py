"""The network: a Vision Transformer of timm, untrained or with weights from elsewhere, or an MLP; and one linear head."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.network.checkpoints import (
    Weights,
    describe_mismatch,
    describe_shape,
    load_checkpoint,
    load_pretrained,
)
from geomix.network.mlp import NAME, build_mlp
from geomix.network.stem import choose_stem

# Modules of timm whose models have square patches, blocks of one width, and an image size of
# choice; DINOv3 is in eva.
FAMILIES = ("vision_transformer", "deit", "eva", "beit")
ARCHITECTURE = {
    "patch": "patch_size",
    "width": "embed_dim",
    "depth": "depth",
    "heads": "num_heads",
}  # with timm's names
PARTS = (
    ("depth",),
    ("width", "heads"),
    ("patch",),
)  # of an architecture, that timm accepts or refuses together
REFUSALS = (
    AssertionError,
    RuntimeError,
    ValueError,
)  # of timm, for a shape that a model cannot have
DEFAULTS = {
    "pretrained": False,
    "checkpoint": None,
    "stem": "patch",
    "side": None,
    "drop_path": 0,
    "freeze_patch_embedding": False,
}
GREY = (0.5, 0.5, 0.5)  # mean and deviation that take [0, 1] to [-1, 1]


class Encoder(nn.Module):
    """Backbone and head: images (N, C, side, side) -> features of the backbone (N, width) and
    embeddings (N, outputs).

    Images are normalised by the caller: (pixels in [0, 1] - mean) / std, with `mean` and `std` of
    shape (C,), which are not among the saved weights unless they are of the data, as those of
    vectors (N, C) are: these come in place of images. `weights` says where the backbone's first
    weights are from.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        outputs: int,
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
        self.head = nn.Linear(width, outputs)
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of images."""
        features = self.backbone(images)
        return features, self.head(features)


def build_encoder(
    backbone: Mapping[str, Any],
    outputs: int,
    image_shape: tuple[int, int, int],
    seed: int,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> Encoder:
    """Build an encoder before training; the same seed gives the same weights.

    Features are what the timm model pools and norms before its classifier: the class token, the
    mean of the class and the distillation token in distilled DeiT, the mean of the patches in
    models made for it. A position embedding for another side, and a first convolution for 3
    channels where images have 1, are adapted by timm when the weights are loaded.

    Args:
        backbone: Section `backbone` of params.yaml; of its keys name alone is required here.
        outputs: D of the embeddings.
        image_shape: Height, width, channels of the packed images; height and width 0 where they are
            packed encoded.
        seed: Of the initial weights, the head's with a pretrained backbone.
        moments: Of vectors, mean and standard deviation of each of their D numbers, (D,); None for
            images. The backbone must be mlp with them, and no other takes it.

    Raises:
        InputError: If the backbone does not fit the data, timm has no Vision Transformer of this
            name or cannot build it in this shape or with this stem, patches do not divide the
            image, or weights cannot be had or do not fit.
    """
    settings: dict[str, Any] = {**DEFAULTS, **dict.fromkeys(ARCHITECTURE), **backbone}
    name = settings["name"]
    if moments or name == NAME:
        return _build_for_vectors(settings, outputs, moments, seed)
    published = find_model(name)
    own = describe_model(name)
    shape = {key: own[key] if settings[key] is None else settings[key] for key in ARCHITECTURE}
    stem = choose_stem(settings, shape)
    weights = _load_weights(settings)
    if weights:
        refuse_other_shape(settings, shape, own, weights)
    if shape["width"] % shape["heads"]:
        raise InputError(
            f"backbone.heads: found {shape['heads']}, expected a divisor of the width {shape['width']}"
        )
    if own["rotary"] and shape["width"] // shape["heads"] % 4:
        found = f"{shape['width']} for {shape['heads']} heads"
        raise InputError(
            f"backbone.width: found {found}, expected a multiple of 4 for each, as {name} rotates pairs on two axes"
        )
    channels = image_shape[2]
    side = choose_side(
        settings,
        shape["patch"],
        image_shape,
        published["input_size"][-1] if weights else own["side"],
    )
    torch.manual_seed(seed)
    arguments = {
        "num_classes": 0,
        "img_size": (side, side),
        "in_chans": channels,
        **{argument: shape[key] for key, argument in ARCHITECTURE.items()},
        "drop_path_rate": settings["drop_path"],
        **stem,
    }
    network = (
        _create_with(name, weights, published, arguments)
        if weights
        else _create_untrained(name, shape, own, arguments)
    )
    if settings["freeze_patch_embedding"]:
        network.patch_embed.requires_grad_(False)
    mean, std = (torch.tensor(published[key] if weights else GREY) for key in ("mean", "std"))
    if channels != len(mean):
        mean, std = (moment.mean().expand(channels).clone() for moment in (mean, std))
    return Encoder(
        network,
        shape["width"],
        outputs,
        side,
        mean,
        std,
        weights.origin if weights else {"source": "scratch"},
    )


def _build_for_vectors(
    settings: Mapping[str, Any],
    outputs: int,
    moments: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> Encoder:
    if not moments or settings["name"] != NAME:
        expected = (
            f"{NAME} for vectors"
            if moments
            else "the name of a Vision Transformer of timm for images"
        )
        raise InputError(f"backbone.name: found {settings['name']}, expected {expected}")
    mean, std = (torch.from_numpy(moment).float() for moment in moments)
    network, width = build_mlp(settings, len(mean), seed)
    return Encoder(network, width, outputs, 1, mean, std, {"source": "scratch"}, of_data=True)


def find_model(name: str) -> dict[str, Any]:
    """Give timm's own config of a Vision Transformer: input_size (C, H, W), mean, std and more.

    Raises:
        InputError: If timm has none of this name or tag; the message has the nearest names.
    """
    architecture, _, tag = name.partition(".")
    known = timm.list_models(module=FAMILIES)
    if architecture in known:
        known = timm.list_models(architecture, include_tags=True)
        if not tag or name in known:
            config = timm.get_pretrained_cfg(name)
            return dict(config.to_dict() if config else timm.models.PretrainedCfg().to_dict())
    nearest = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0))
    raise InputError(
        f"backbone.name: found {name!r}, expected the name of a Vision Transformer of timm, such as {nearest}"
    )


@cache
def describe_model(name: str) -> Mapping[str, int]:
    """Give the patch, width, depth, heads and side (in pixels) of a timm model, and whether its embeddings are rotary."""
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


def choose_side(
    settings: Mapping[str, Any], patch: int, image_shape: tuple[int, int, int], own: int
) -> int:
    """Choose the side of the images that the network sees, in pixels.

    Args:
        settings: Section `backbone`: its side where given; that of the packed images without
            weights from elsewhere.
        patch: Pixels.
        image_shape: Height, width, channels of the packed images, 0 x 0 where they are packed
            encoded.
        own: The side of the model, otherwise.

    Raises:
        InputError: If packed images are not square, or patches do not divide the side.
    """
    height, width, _ = image_shape
    if height != width:
        raise InputError(f"images: found {height} x {width} pixels, expected squares")
    elsewhere = settings["pretrained"] or settings["checkpoint"] is not None
    side = settings["side"] or (own if elsewhere or not height else height)
    if side % patch and (elsewhere or settings["side"]):
        raise InputError(
            f"backbone.side: found {side}, expected a multiple of the patch, {patch} pixels"
        )
    if side % patch:
        raise InputError(
            f"backbone.patch: found {patch}, expected a divisor of the image's {side} x {side} pixels"
        )
    return int(side)


def refuse_other_shape(
    settings: Mapping[str, Any], shape: Mapping[str, int], own: Mapping[str, int], weights: Weights
) -> None:
    """Refuse a patch, width, depth or number of heads that the weights do not have.

    timm would resample another patch in silence, and no tensor's shape tells the heads: at the
    model's own width they are the model's own, at another the checkpoint's are taken on trust.

    Args:
        settings: Section `backbone`, null for the model's own.
        shape: What the settings came to.
        own: What the model has of its own.
        weights: From a checkpoint or the hub.

    Raises:
        InputError: Naming the first key that differs.
    """
    expected = dict(own) | (
        describe_shape(weights.tensors) if settings["checkpoint"] is not None else {}
    )
    if expected["width"] != own["width"]:
        expected["heads"] = shape["heads"]
    for key in ARCHITECTURE:
        if shape[key] != expected[key]:
            found = (
                f"{shape[key]}, {settings['name']}'s own" if settings[key] is None else shape[key]
            )
            raise InputError(
                f"backbone.{key}: found {found}, expected {expected[key]} for the weights of {_file_of(weights)}"
            )


def _load_weights(settings: Mapping[str, Any]) -> Weights | None:
    if settings["checkpoint"] is None:
        return load_pretrained(settings["name"]) if settings["pretrained"] else None
    if settings["pretrained"]:
        raise InputError(
            f"backbone.pretrained: found true beside backbone.checkpoint {settings['checkpoint']}, expected one"
        )
    return load_checkpoint(settings["checkpoint"])


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
    """Find the part of a shape that timm refuses, all else being the model's own; nothing where there is none."""
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
    """Build a model around weights, through timm's own conversion, and refuse keys that are missing or left over."""
    channels = describe_shape(weights.tensors).get("channels", published["input_size"][0])
    overlay = {
        "state_dict": weights.tensors,
        "num_classes": 0,  # as many as asked for: timm then loads strictly
        "input_size": (channels, *published["input_size"][1:]),
    }
    try:
        network: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
        )
    except (
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        ValueError,
    ) as error:  # of timm's conversion too
        found = describe_mismatch(str(error))
        raise InputError(
            f"{_file_of(weights)}: found {found}, expected the weights of {name}"
        ) from None
    network.pretrained_cfg.pop("state_dict")  # a second copy of all weights
    return network


def _file_of(weights: Weights) -> str:
    return weights.origin.get("file", weights.origin["source"])
