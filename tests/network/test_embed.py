"""Embedding a split: the centre of every image, in order, independent of the batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from geomix.config.sections import Crop
from geomix.data.packed import Packed
from geomix.network import embed as module
from geomix.network.encoder import Encoder
from tests.network.conftest import build

SETTINGS = {"name": "vit_tiny_patch16_224", "patch": 8, "width": 16, "depth": 1, "heads": 2}
CPU = torch.device("cpu")
WHOLE = Crop(area=1, flip=0, centre=1)
HALF = Crop(area=1, flip=0, centre=0.5)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return build(SETTINGS, 8, (16, 16, 1), seed=0)


@pytest.mark.parametrize(("limit", "value"), [("BATCH", 7), ("PIXELS", 16 * 16 * 3)])
def test_batches_do_not_change_the_embeddings(
    packed: Packed, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    whole = module.embed(encoder, packed, "test", WHOLE, CPU)
    monkeypatch.setattr(module, limit, value)
    parts = module.embed(encoder, packed, "test", WHOLE, CPU)
    assert {name: vectors.shape for name, vectors in whole.items()} == {
        "test_backbone": (20, 16),
        "test_head": (20, 8),
    }
    for name, vectors in whole.items():
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(parts[name], vectors, rtol=1e-5, atol=1e-6)


def test_square_images_are_seen_whole_and_others_as_they_are_fitted(
    packed: Packed, encoder: Encoder, floats: Callable[[Packed, np.ndarray], torch.Tensor]
) -> None:
    rows = packed.rows("val")
    with torch.inference_mode():
        expected = encoder(floats(packed, rows))[1].numpy()
    assert np.array_equal(module.embed(encoder, packed, "val", WHOLE, CPU)["val_head"], expected)
    assert not np.allclose(module.embed(encoder, packed, "val", HALF, CPU)["val_head"], expected)
    wide = replace(packed, samples=packed.samples.assign(aspect=["1"] * 25 + ["2"] * 35))
    for fit, seen_alike in (("squeeze", 20), ("centre", 5), ("pad", 5)):
        crop = WHOLE.model_copy(update={"fit": fit})
        seen = module.embed(encoder, wide, "val", crop, CPU)["val_head"]
        same = np.isclose(seen, expected, rtol=1e-4, atol=1e-5).all(1)
        assert same.tolist() == [True] * seen_alike + [False] * (20 - seen_alike)


def test_images_read_ahead_give_the_same_embeddings(
    packed: Packed, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 7)
    expected = module.embed(encoder, packed, "test", HALF, CPU)
    monkeypatch.setattr(module, "pays", lambda *_: True)
    found = module.embed(encoder, packed, "test", HALF, CPU)
    assert all(np.array_equal(found[name], vectors) for name, vectors in expected.items())


def settled(packed: Packed, crop: Crop = WHOLE) -> Encoder:
    """Return an encoder whose batch norm is measured on train."""
    encoder = build(SETTINGS, 8, (16, 16, 1), seed=0, norm="batch")
    module.settle_norm(encoder, packed, crop, CPU)
    return encoder


@pytest.mark.parametrize("limit", [512, 7])
def test_batch_norm_is_measured_over_all_of_train_whatever_the_batches(
    packed: Packed, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    outputs = module.embed(encoder, packed, "train", HALF, CPU)["train_head"].astype(np.float64)
    monkeypatch.setattr(module, "BATCH", limit)
    measured = settled(packed, HALF).state_dict()
    mean = sum(outputs) / len(outputs)
    variance = sum((row - mean) ** 2 for row in outputs) / len(outputs)
    np.testing.assert_allclose(measured["norm.running_mean"], mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(measured["norm.running_var"], variance, rtol=1e-4)


def test_embeddings_of_train_have_mean_0_and_variance_1(packed: Packed) -> None:
    encoder = settled(packed)
    heads = module.embed(encoder, packed, "train", WHOLE, CPU)["train_head"].astype(np.float64)
    variance = encoder.state_dict()["norm.running_var"].numpy()
    np.testing.assert_allclose(heads.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(heads.var(0), variance / (variance + 1e-5), rtol=1e-4)
    np.testing.assert_allclose(heads.var(0), 1, rtol=0.05)


@pytest.mark.parametrize("limit", [512, 7])
def test_features_of_train_are_projected_to_its_embeddings_to_the_bit(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(module, "BATCH", limit)
    encoder = build(SETTINGS, 8, (16, 16, 1), seed=0, norm="batch")
    features = module.settle_norm(encoder, packed, WHOLE, CPU)
    expected = module.embed(encoder, packed, "train", WHOLE, CPU)
    assert features is not None
    assert np.array_equal(features, expected["train_backbone"])
    found = module.project(encoder, features, CPU)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected["train_head"])


def test_an_output_that_never_varies_stays_finite(packed: Packed) -> None:
    encoder = build(SETTINGS, 8, (16, 16, 1), seed=0, norm="batch")
    torch.nn.init.zeros_(encoder.head.weight)
    module.settle_norm(encoder, packed, WHOLE, CPU)
    heads = module.embed(encoder, packed, "val", WHOLE, CPU)["val_head"]
    assert np.array_equal(heads, np.zeros_like(heads))


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_other_norms_have_nothing_to_measure(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, norm: Literal["none", "layer"]
) -> None:
    encoder = build(SETTINGS, 8, (16, 16, 1), seed=0, norm=norm)
    monkeypatch.delattr(module, "embed")
    assert module.settle_norm(encoder, packed, WHOLE, CPU) is None
