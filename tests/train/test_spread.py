"""Spread of embeddings: its definition, its laws, and when it is too near the precision."""

import math

import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.train.device import backbone_precision
from geomix.train.spread import measure_spread, refuse_near_precision


def draw_cone(spread: float, count: int = 200) -> np.ndarray:
    """Draw float32 embeddings (N, 16) of length 8 or so, of about this spread."""
    random = np.random.default_rng(0)
    away = random.normal(size=(count, 16))
    return (8 * (np.eye(16)[3] + spread * away / 4)).astype(np.float32)


def test_spread_is_that_of_the_definition() -> None:
    embeddings = np.random.default_rng(1).normal(size=(9, 4)) + 2
    mean = [sum(row[j] for row in embeddings) / 9 for j in range(4)]
    away = sum(math.dist(row, mean) ** 2 for row in embeddings) / 9
    length = sum(math.hypot(*row) ** 2 for row in embeddings) / 9
    assert measure_spread(embeddings) == pytest.approx(math.sqrt(away / length), rel=1e-12)


def test_of_unit_vectors_it_is_the_sine_of_the_mean_cosine_s_angle() -> None:
    vectors = draw_cone(0.3).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    direction = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    angle = math.acos((vectors @ direction).mean())
    assert measure_spread(vectors) == pytest.approx(math.sin(angle), rel=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_unit_of_length_does_not_matter(factor: float) -> None:
    embeddings = draw_cone(0.01)
    assert measure_spread(embeddings * np.float32(factor)) == pytest.approx(
        measure_spread(embeddings), rel=1e-3
    )


def test_limits() -> None:
    assert measure_spread(np.zeros((3, 4))) == 0
    assert measure_spread(np.full((3, 4), 0.5)) == 0
    assert measure_spread(np.array([[1.0, 2], [-1, -2]])) == 1


@pytest.mark.parametrize(
    ("spread", "precision"),
    [
        (0, torch.float32),
        (2e-7, torch.float32),
        (0, torch.bfloat16),
        (0.0016, torch.bfloat16),  # of the first version's tau 0.0005
        (0.025, torch.bfloat16),
    ],
)
def test_a_spread_near_the_precision_is_refused(spread: float, precision: torch.dtype) -> None:
    with pytest.raises(InputError) as caught:
        refuse_near_precision(draw_cone(spread), precision, "tau/flat/0: val")
    message = str(caught.value)
    assert message.startswith("tau/flat/0: val: head.norm: found embeddings spread over ")
    least = {torch.float32: "2.7e-05", torch.bfloat16: "1.8"}[precision]
    assert f"expected at least {least}, 8 times what {str(precision)[6:]} resolves" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("spread", "precision"),
    [
        (0.0011, torch.float32),  # 0.065 degrees: the narrowest cell of the default studies
        (2e-6, torch.float32),
        (0.04, torch.bfloat16),
        (0.09, torch.bfloat16),  # of the untrained network
        (100, torch.bfloat16),
    ],
)
def test_an_ordinary_spread_is_not_refused(spread: float, precision: torch.dtype) -> None:
    refuse_near_precision(draw_cone(spread), precision, "cell")


def test_training_runs_the_backbone_in_bfloat16_on_cuda_alone() -> None:
    assert backbone_precision(torch.device("cuda")) == torch.bfloat16
    assert backbone_precision(torch.device("cpu")) == torch.float32
