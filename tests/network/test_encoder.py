"""The encoder: a ViT of the given size, the same for the same seed, or with given weights."""

from pathlib import Path
from typing import Any, Literal

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import nn

from geomix.errors import InputError
from geomix.files import hash_file
from geomix.network.encoder import Encoder
from geomix.network.stem import ConvStem
from tests.network.conftest import build

SETTINGS: dict[str, Any] = {
    "name": "vit_tiny_patch16_224",
    "patch": 8,
    "width": 32,
    "depth": 1,
    "heads": 4,
}
TINY = "test_vit.r160_in1k"  # timm's own, patch 16, width 64, depth 6, heads 2
SQUARE = (32, 32, 3)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an encoder like `SETTINGS`, as train saves it."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(build(SETTINGS, 10, SQUARE, seed=7).state_dict(), path)
    return path


def draw_images(count: int) -> torch.Tensor:
    """Draw images that differ, (count, 3, 32, 32)."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def built_by_timm(seed: int, outputs: int, **arguments: Any) -> nn.Module:
    """Build backbone and head in the plain way."""
    torch.manual_seed(seed)
    module = nn.Module()
    module.backbone = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, num_classes=0, **arguments
    )
    module.head = nn.Linear(arguments["embed_dim"], outputs)
    nn.init.orthogonal_(module.head.weight)
    nn.init.zeros_(module.head.bias)
    return module


def test_the_vit_has_the_size_asked_for() -> None:
    encoder = build(SETTINGS | {"depth": 2}, 10, SQUARE, seed=0)
    backbone, head = encoder(torch.zeros(2, 3, 32, 32))
    assert backbone.shape == (2, 32)
    assert head.shape == (2, 10)
    names = dict(encoder.named_parameters())
    assert "backbone.blocks.1.attn.qkv.weight" in names
    assert "backbone.blocks.2.attn.qkv.weight" not in names
    assert names["backbone.pos_embed"].shape == (1, 4 * 4 + 1, 32)
    assert encoder.weights == {"source": "scratch"}


def test_a_seed_gives_the_weights_of_plain_timm_bit_for_bit() -> None:
    ours = build(SETTINGS, 10, (32, 32, 1), seed=5).state_dict()
    plain = built_by_timm(
        5, 10, img_size=(32, 32), in_chans=1, patch_size=8, embed_dim=32, depth=1, num_heads=4
    ).state_dict()
    assert list(ours) == list(plain)
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_a_conv_stem_replaces_the_patches_and_nothing_else() -> None:
    backbone: Any = build(SETTINGS | {"stem": "conv"}, 10, SQUARE, seed=0).backbone
    plain: Any = build(SETTINGS, 10, SQUARE, seed=0).backbone
    assert isinstance(backbone.patch_embed, ConvStem)
    patches = {name for name, _ in plain.named_parameters() if name.startswith("patch_embed.")}
    rest = {name for name, _ in backbone.named_parameters() if not name.startswith("patch_embed.")}
    assert rest == {name for name, _ in plain.named_parameters()} - patches


def test_another_seed_gives_other_weights() -> None:
    first, other = (build(SETTINGS, 10, SQUARE, seed).state_dict() for seed in (0, 1))
    assert not torch.equal(
        first["backbone.patch_embed.proj.weight"], other["backbone.patch_embed.proj.weight"]
    )


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch16_224.augreg_in21k",
        "vit_small_patch16_224.dino",
        "deit_small_distilled_patch16_224",
        "vit_small_patch14_dinov2.lvd142m",
        "vit_small_patch16_dinov3.lvd1689m",
        "eva02_tiny_patch14_224",
        "beit_base_patch16_224",
    ],
)
def test_every_family_takes_the_shape_asked_for(name: str) -> None:
    features, _ = build(SETTINGS | {"name": name}, 10, (16, 16, 1), seed=0)(
        torch.zeros(2, 1, 16, 16)
    )
    assert features.shape == (2, 32)


def test_features_of_distilled_deit_are_the_mean_of_its_two_tokens() -> None:
    encoder = build(
        SETTINGS | {"name": "deit_small_distilled_patch16_224"}, 10, SQUARE, seed=0
    ).eval()
    images = torch.randn(2, 3, 32, 32)
    tokens = encoder.backbone.forward_features(images)  # type: ignore[operator]
    torch.testing.assert_close(encoder(images)[0], (tokens[:, 0] + tokens[:, 1]) / 2)


@pytest.mark.parametrize(
    ("side", "packed", "expected"),
    [(None, 32, 32), (None, 0, 160), (64, 32, 64), (64, 0, 64)],
)
def test_an_untrained_vit_sees_the_side_given_or_packed_or_its_own(
    side: int | None, packed: int, expected: int
) -> None:
    encoder = build({"name": TINY, "side": side}, 10, (packed, packed, 3), seed=0)
    assert encoder.side == expected
    embedding: Any = encoder.backbone.patch_embed
    assert embedding.grid_size == (expected // 16, expected // 16)
    assert encoder(torch.zeros(1, 3, expected, expected))[0].shape == (1, 64)


@pytest.mark.parametrize(
    ("change", "image_shape", "message"),
    [
        (
            {"name": "vit_tiny_patch16_242"},
            SQUARE,
            "'vit_tiny_patch16_242', expected .* such as vit_tiny_patch16_224, ",
        ),
        (
            {"name": "vit_tiny_patch16_224.none"},
            SQUARE,
            "expected .* such as vit_tiny_patch16_224.augreg_in21k",
        ),
        (
            {"name": "resnet50"},
            SQUARE,
            "backbone.name: found 'resnet50', expected the name of a Vision Transformer",
        ),
        (
            {"patch": 5},
            SQUARE,
            "backbone.patch: found 5, expected a divisor of the image's 32 x 32 pixels",
        ),
        (
            {"side": 20},
            SQUARE,
            "backbone.side: found 20, expected a multiple of the patch, 8 pixels",
        ),
        (
            {"width": None, "heads": 5},
            SQUARE,
            "backbone.heads: found 5, expected a divisor of the width 192",
        ),
        ({"heads": None}, SQUARE, "backbone.heads: found 3, expected a divisor of the width 32"),
        (
            {"name": "eva02_tiny_patch14_224", "width": 24},
            SQUARE,
            "backbone.width: found 24 for 4 heads, expected a multiple of 4",
        ),
        (
            {"name": "vit_base_patch16_sapiens2"},
            SQUARE,
            r"^backbone.depth: found 1, expected a number that vit_base_.* takes, "
            r"such as its own 12 \(num_kv_heads .*\)$",
        ),
        (
            {"name": "vit_giant_patch14_dinov2", "width": 64},
            SQUARE,
            "^backbone.width: found 64 for 4 heads, expected a number that vit_.* takes, "
            "such as its own 1536 for 24 heads$",
        ),
        ({}, (32, 24, 3), "images: found 32 x 24 pixels, expected squares"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused(
    change: dict[str, Any], image_shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(SETTINGS | change, 10, image_shape, seed=0)


def test_the_head_starts_orthogonal_without_bias() -> None:
    head = build(SETTINGS, 10, SQUARE, seed=0).head
    torch.testing.assert_close(head.weight @ head.weight.T, torch.eye(10), atol=1e-5, rtol=0)
    assert not head.bias.any()


def test_without_a_norm_embeddings_are_the_outputs_of_the_head() -> None:
    encoder = build(SETTINGS, 10, SQUARE, seed=0)
    features, embeddings = encoder(draw_images(4))
    assert torch.equal(embeddings, encoder.head(features))
    assert not [name for name in encoder.state_dict() if name.startswith("norm.")]


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_norm_changes_no_first_weight_and_learns_none(norm: Literal["batch", "layer"]) -> None:
    plain = build(SETTINGS, 10, SQUARE, seed=0)
    normed = build(SETTINGS, 10, SQUARE, seed=0, norm=norm)
    first, other = dict(plain.named_parameters()), dict(normed.named_parameters())
    assert list(first) == list(other)
    assert all(torch.equal(first[name], other[name]) for name in first)


def test_batch_norm_gives_each_output_mean_0_and_variance_1_over_the_batch() -> None:
    encoder = build(SETTINGS, 10, SQUARE, seed=0, norm="batch")
    features, embeddings = encoder(draw_images(7))
    outputs = encoder.head(features).detach().double()
    centred = outputs - outputs.mean(0)
    expected = centred / (centred.square().mean(0) + 1e-5).sqrt()  # torch's eps
    torch.testing.assert_close(embeddings.double(), expected, rtol=1e-4, atol=1e-4)


def test_layer_norm_gives_each_embedding_mean_0_and_length_root_d() -> None:
    encoder = build(SETTINGS, 10, SQUARE, seed=0, norm="layer")
    _, embeddings = encoder(draw_images(4))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.full((4,), 10**0.5), rtol=1e-3, atol=0)
    torch.testing.assert_close(embeddings.mean(1), torch.zeros(4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_head_and_norm_are_float32_under_autocast(norm: Literal["none", "batch", "layer"]) -> None:
    encoder = build(SETTINGS, 10, SQUARE, seed=0, norm=norm)
    images = draw_images(4)
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder.backbone(images)
        _, embeddings = encoder(images)
    assert embeddings.dtype == torch.float32
    assert not torch.equal(features.float(), encoder.backbone(images))
    assert torch.equal(embeddings, encoder.norm(encoder.head(features.float())))


def test_a_checkpoint_gives_the_backbone_and_the_seed_the_head(trained: Path) -> None:
    encoder = build(SETTINGS | {"checkpoint": str(trained), "side": 32}, 10, SQUARE, seed=1)
    first = build(SETTINGS, 10, SQUARE, seed=7)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(encoder(images)[0], first(images)[0])
    assert not torch.equal(encoder.head.weight, first.head.weight)
    assert encoder.weights == {
        "source": "checkpoint",
        "file": "model.safetensors",
        "sha256": hash_file(trained),
    }


def test_a_position_embedding_is_resampled_to_the_side(trained: Path) -> None:
    encoder = build(SETTINGS | {"checkpoint": str(trained), "side": 48}, 10, SQUARE, seed=1)
    source = build(SETTINGS, 10, SQUARE, seed=7)
    expected = resample_abs_pos_embed(
        source.backbone.pos_embed, new_size=(6, 6), num_prefix_tokens=1
    )
    torch.testing.assert_close(encoder.backbone.pos_embed, expected)
    assert encoder(torch.zeros(1, 3, 48, 48))[0].shape == (1, 32)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_get_the_sum_of_the_colours_filters(trained: Path, channels: int) -> None:
    encoder = build(
        SETTINGS | {"checkpoint": str(trained), "side": 32}, 10, (32, 32, channels), seed=1
    )
    colours = build(SETTINGS, 10, SQUARE, seed=7)
    grey = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(
        encoder(grey.expand(-1, channels, -1, -1))[0], colours(grey.expand(-1, 3, -1, -1))[0]
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_checkpoint_of_grey_images_serves_grey_and_colours(tmp_path: Path, channels: int) -> None:
    first = build(SETTINGS, 10, (32, 32, 1), seed=7)
    torch.save({"model": first.state_dict()}, tmp_path / "grey.pth")
    settings = SETTINGS | {"checkpoint": str(tmp_path / "grey.pth"), "side": 32}
    encoder = build(settings, 10, (32, 32, channels), seed=1)
    grey = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(encoder(grey.expand(-1, channels, -1, -1))[0], first(grey)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"patch": 16},
            "backbone.patch: found 16, expected 8 for the weights of model.safetensors",
        ),
        ({"patch": None}, "backbone.patch: found 16, vit_tiny_patch16_224's own, expected 8"),
        ({"width": 64}, "backbone.width: found 64, expected 32"),
        ({"depth": None}, "backbone.depth: found 12, vit_tiny_patch16_224's own, expected 1"),
        (
            {"name": "deit_tiny_distilled_patch16_224"},
            "model.safetensors: found .*, expected the weights of deit_tiny_dist",
        ),
        (
            {"name": "deit3_small_patch16_224", "patch": 8},
            r"safetensors: found 2 missing \(blocks.0.ls1.gamma, blocks.0.ls2.gamma\); "
            r"1 misshapen \(pos_embed",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    trained: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(SETTINGS | {"checkpoint": str(trained), "side": 32} | change, 10, SQUARE, seed=0)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file like the hub's of `TINY`, with its classifier."""
    path = tmp_path_factory.mktemp("hub") / "snapshots" / "0123abcd" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(timm.create_model(TINY).state_dict(), path)
    return path


def pretrained(path: Path, monkeypatch: pytest.MonkeyPatch, **change: Any) -> Encoder:
    """Build `TINY` with the file instead of the hub's."""
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, file: str(path))
    return build({"name": "test_vit", "pretrained": True} | change, 10, SQUARE, seed=0)


def test_pretrained_takes_timm_s_side_mean_and_deviation(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = pretrained(published, monkeypatch)
    config = timm.get_pretrained_cfg(TINY)
    assert config
    assert encoder.side == 160
    torch.testing.assert_close(encoder.mean, torch.tensor(config.mean))
    torch.testing.assert_close(encoder.std, torch.tensor(config.std))
    assert encoder.weights == {
        "source": f"timm/{TINY}",
        "revision": "0123abcd",
        "sha256": hash_file(published),
    }
    assert "state_dict" not in encoder.backbone.pretrained_cfg  # type: ignore[operator]


def test_published_patches_of_another_size_are_left_to_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(
        timm.create_model(TINY, patch_size=32, img_size=320).state_dict(),
        tmp_path / "model.safetensors",
    )
    backbone: Any = pretrained(tmp_path / "model.safetensors", monkeypatch).backbone
    assert backbone.patch_embed.patch_size == (16, 16)


@pytest.mark.parametrize("change", [{"patch": 8}, {"width": 32}, {"depth": 1}, {"heads": 4}])
def test_pretrained_weights_have_one_shape(
    published: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, int]
) -> None:
    ((key, found),) = change.items()
    with pytest.raises(
        InputError,
        match=f"backbone.{key}: found {found}, expected .* for the weights of timm/{TINY}",
    ):
        pretrained(published, monkeypatch, **change)


def test_grey_images_get_the_mean_of_the_colours_moments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "vit_tiny_patch16_dinov3_qkvb.eupe_lvd1689m"  # its three means differ
    path = tmp_path / "model.safetensors"
    shape = {"patch": 8, "width": 32, "depth": 1, "heads": 2}
    save_file(build({"name": name} | shape, 10, (16, 16, 3), seed=0).state_dict(), path)
    encoder = build(
        {"name": name, "checkpoint": str(path), "side": 32} | shape, 10, (0, 0, 1), seed=0
    )
    config = timm.get_pretrained_cfg(name)
    assert config
    torch.testing.assert_close(encoder.mean, torch.tensor([sum(config.mean) / 3]))
    torch.testing.assert_close(encoder.std, torch.tensor([sum(config.std) / 3]))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_untrained_encoder_takes_numbers_around_zero_and_saves_no_moments(channels: int) -> None:
    encoder = build(SETTINGS, 10, (32, 32, channels), seed=0)
    assert encoder.mean.tolist() == encoder.std.tolist() == [0.5] * channels
    assert not {"mean", "std"} & encoder.state_dict().keys()


def test_drop_path_rises_to_the_rate_asked_for() -> None:
    backbone: Any = build(SETTINGS | {"depth": 3, "drop_path": 0.2}, 10, SQUARE, seed=0).backbone
    assert [
        getattr(block.drop_path1, "drop_prob", 0) for block in backbone.blocks
    ] == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_a_frozen_patch_embedding_stays_as_it_is(stem: str) -> None:
    encoder = build(
        SETTINGS | {"stem": stem, "freeze_patch_embedding": True}, 10, SQUARE, seed=0
    ).train()
    before = {name: weight.clone() for name, weight in encoder.named_parameters()}
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.1)
    encoder(torch.randn(2, 3, 32, 32))[1].square().sum().backward()
    optimizer.step()
    same = {
        name for name, weight in encoder.named_parameters() if torch.equal(weight, before[name])
    }
    assert same == {name for name in before if name.startswith("backbone.patch_embed.")}
    assert len(same) == {"patch": 2, "conv": 3 * 3 + 2}[stem]
