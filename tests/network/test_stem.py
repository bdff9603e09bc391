"""The convolutional stem: its patches, the layers of its definition, each image by itself."""

from typing import Any

import pytest
import torch
from torch import nn

from geomix.errors import InputError
from geomix.network.stem import ConvStem, choose_stem
from tests.network.conftest import build, section

CONV: dict[str, Any] = {"stem": "conv"}
SHAPE = {"patch": 8, "width": 32}
BACKBONE = CONV | SHAPE | {"depth": 1, "heads": 4}


@pytest.mark.parametrize(
    ("patch", "channels"), [(2, [32]), (4, [16, 32]), (8, [8, 16, 32]), (16, [4, 8, 16, 32])]
)
def test_convolutions_halve_the_side_and_double_the_channels(
    patch: int, channels: list[int]
) -> None:
    stem: Any = ConvStem(img_size=(48, 32), patch_size=patch, in_chans=3, embed_dim=32)
    *halving, last = [layer for layer in stem.proj if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in halving] == channels
    assert all(
        layer.kernel_size == (3, 3) and layer.stride == (2, 2) and layer.bias is None
        for layer in halving
    )
    assert last.kernel_size == (1, 1)
    assert last.bias is not None
    assert (
        stem(torch.zeros(2, 3, 48, 32)).shape
        == (2, stem.num_patches, 32)
        == (2, 48 * 32 // patch**2, 32)
    )
    assert stem.grid_size == (48 // patch, 32 // patch)


def test_a_stem_is_its_definition_layer_by_layer() -> None:
    torch.manual_seed(0)
    stem: Any = ConvStem(img_size=16, patch_size=4, in_chans=1, embed_dim=6)
    images = torch.randn(2, 1, 16, 16)
    first, _, _, second, _, _, last = stem.proj
    maps = images
    for layer in (first, second):
        maps = nn.functional.conv2d(maps, layer.weight, stride=2, padding=1)
        moments = torch.var_mean(maps, (1, 2, 3), correction=0, keepdim=True)
        maps = ((maps - moments[1]) / (moments[0] + 1e-5).sqrt()).clamp(min=0)
    expected = torch.einsum("oc,nchw->nhwo", last.weight[:, :, 0, 0], maps) + last.bias
    torch.testing.assert_close(stem(images), expected.reshape(2, 16, 6))


def test_an_image_s_embedding_does_not_depend_on_its_batch() -> None:
    encoder = build(BACKBONE, 10, (32, 32, 3), seed=0).train()
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(encoder(images)[1][:1], encoder(images[:1])[1], atol=1e-5, rtol=0)


def test_the_seed_fixes_the_stem() -> None:
    first, again, other = (
        build(BACKBONE, 10, (32, 32, 3), seed).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["backbone.patch_embed.proj.0.weight"], other["backbone.patch_embed.proj.0.weight"]
    )


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2.lvd142m",
        "vit_base_patch32_clip_224",  # a norm follows: no bias
        "deit_small_distilled_patch16_224",
        "deit3_small_patch16_224",
    ],
)
def test_models_of_timm_take_the_stem_and_learn_all_of_it(name: str) -> None:
    encoder = build(BACKBONE | {"name": name}, 10, (16, 16, 1), seed=0)
    encoder(torch.randn(2, 1, 16, 16))[1].square().sum().backward()
    stem: Any = encoder.backbone.patch_embed
    assert isinstance(stem, ConvStem)
    assert all(weight.grad is not None and weight.grad.any() for weight in stem.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"patch": 1},
            "backbone.patch: found 1, expected a power of two, at least 2, for backbone.stem conv",
        ),
        ({"patch": 14}, "backbone.patch: found 14, expected a power of two"),
        (
            {"width": 30},
            "backbone.width: found 30, expected a multiple of 4 for backbone.stem conv of patch 8",
        ),
        (
            {"name": "eva02_tiny_patch14_224"},
            "backbone.stem: found conv, expected patch for eva02_tiny_patch14_224",
        ),
        (
            {"name": "vit_small_patch16_dinov3.lvd1689m"},
            "expected patch for vit_small_patch16_dinov3.lvd1689m",
        ),
        (
            {"name": "beit_base_patch16_224"},
            "backbone.stem: found conv, expected patch for beit_base_patch16_224",
        ),
    ],
)
def test_a_stem_that_cannot_be_built_is_refused(change: dict[str, Any], message: str) -> None:
    settings = CONV | SHAPE | change
    with pytest.raises(InputError, match=message):
        choose_stem(section(settings), settings)
    assert not choose_stem(section(settings | {"stem": "patch"}), settings)
