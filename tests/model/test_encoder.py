"""The encoder: a real ViT of the size asked for, the same for the same seed."""

from typing import Any

import pytest
import torch

from geomix.errors import InputError
from geomix.model.encoder import build_encoder

SETTINGS = {"name": "vit_tiny_patch16_224", "patch": 8, "width": 32, "depth": 2, "heads": 4}


def test_the_vit_has_the_size_asked_for() -> None:
    encoder = build_encoder(SETTINGS, 10, (32, 24, 3), seed=0)
    backbone, head = encoder(torch.zeros(2, 3, 32, 24))
    assert backbone.shape == (2, 32)
    assert head.shape == (2, 10)
    names = dict(encoder.named_parameters())
    assert "backbone.blocks.1.attn.qkv.weight" in names
    assert "backbone.blocks.2.attn.qkv.weight" not in names
    assert names["backbone.pos_embed"].shape == (1, 4 * 3 + 1, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "vit_of_no_kind"}, "backbone.name: found 'vit_of_no_kind', expected the name of a Vision Transformer"),
        ({"patch": 5}, "backbone.patch: found 5, expected a divisor of the image's 32 x 24 pixels"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_encoder(SETTINGS | change, 10, (32, 24, 3), seed=0)


def test_the_head_starts_orthogonal_without_bias() -> None:
    head = build_encoder(SETTINGS, 10, (32, 32, 1), seed=0).head
    torch.testing.assert_close(head.weight @ head.weight.T, torch.eye(10), atol=1e-5, rtol=0)
    assert not head.bias.any()


def test_the_seed_fixes_the_weights() -> None:
    first, again, other = (build_encoder(SETTINGS, 10, (32, 32, 1), seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.patch_embed.proj.weight"], other["backbone.patch_embed.proj.weight"])
