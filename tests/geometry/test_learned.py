"""Learned weights: values that stay, a gradient that is the derivative, bounds that let go."""

import math

import pytest
import torch
from torch import Tensor

from geomix.geometry.distances import expmap0, logmap0
from geomix.geometry.learned import RANGE, Weight, limited_ratio
from geomix.geometry.spaces import Ball


def learned_weight(start: float, ratio: float) -> tuple[Weight, Tensor]:
    """Return a learned weight at a ratio to its start, and its parameter."""
    weight = Weight(start, learn=True)
    assert weight.log_ratio is not None
    with torch.no_grad():
        weight.log_ratio.fill_(math.log(ratio))
    return weight, weight.log_ratio


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_fixed_weight_has_no_parameter_and_hands_tensors_on() -> None:
    weight, given = Weight(0.7), numbers(3, 4).requires_grad_()
    assert (weight.value, weight.learned(), list(weight.parameters())) == (0.7, {}, [])
    assert weight.trace(given) is given
    weight.keep_in_range()


@pytest.mark.parametrize("ratio", [0.3, 1.0, 5.0])
def test_a_learned_weight_is_its_start_times_its_ratio(ratio: float) -> None:
    weight, log_ratio = learned_weight(0.7, ratio)
    assert weight.value == pytest.approx(0.7 * ratio)
    assert weight.learned() == {"weight": weight.value}
    assert [name for name, _ in weight.named_parameters()] == ["log_ratio"]
    assert log_ratio.dtype == torch.float32
    weight.keep_in_range()
    assert weight.value == pytest.approx(0.7 * ratio)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(5, 3), (5,), (), (2, 3, 4)], ids=str)
def test_the_gradient_is_that_of_the_product(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    weight, log_ratio = learned_weight(0.7, 2.0)
    similarities, upstream = (
        numbers(*shape).to(dtype).requires_grad_(),
        numbers(*shape).add(0.3).to(dtype),
    )
    traced = weight.trace(weight.value * similarities)
    assert torch.equal(traced, weight.value * similarities)
    found = torch.autograd.grad((traced * upstream).sum(), (similarities, log_ratio))
    exact, logarithm = (
        similarities.detach().double().requires_grad_(),
        log_ratio.detach().double().requires_grad_(),
    )
    by_definition = (0.7 * logarithm.exp() * exact * upstream.double()).sum()
    for slope, expected in zip(
        found, torch.autograd.grad(by_definition, (exact, logarithm)), strict=True
    ):
        torch.testing.assert_close(slope.double(), expected, rtol=2e-6, atol=2e-6)


def test_a_gradient_laid_out_by_columns_or_spread_from_a_scalar_counts_too() -> None:
    weight, log_ratio = learned_weight(1.0, 1.0)
    terms = numbers(5, 3)
    for upstream in (numbers(3, 5).T, torch.ones((), dtype=torch.float64).expand(5, 3)):
        (slope,) = torch.autograd.grad(weight.trace(terms), log_ratio, upstream)
        assert float(slope) == pytest.approx(float((upstream * terms).sum()), rel=1e-6)


@pytest.mark.parametrize("power", [3.0, -3.0])
def test_a_learned_weight_stays_within_a_factor_of_10_and_can_return(power: float) -> None:
    weight, log_ratio = learned_weight(0.7, 10**power)
    bound = 0.7 * RANGE ** math.copysign(1, power)
    assert RANGE == 10
    assert weight.value == pytest.approx(bound, rel=1e-12)
    assert (
        torch.autograd.grad(limited_ratio(log_ratio), log_ratio)[0] > 0
    )  # torch's clamp has none beyond its bounds
    assert torch.autograd.grad(weight.trace(numbers(4, 3)).sum(), log_ratio)[0] != 0
    weight.keep_in_range()
    assert abs(float(log_ratio.detach())) == pytest.approx(math.log(10), rel=1e-6)
    assert weight.value == pytest.approx(bound, rel=1e-6)


def test_without_gradients_nothing_is_kept() -> None:
    weight, _ = learned_weight(1.0, 1.0)
    given = numbers(2, 2)
    with torch.no_grad():
        assert weight.trace(given) is given


@pytest.mark.parametrize("clip_radius", [2.3, None])
@pytest.mark.parametrize("ratio", [0.2, 1.0, 6.0])
def test_a_new_curvature_takes_points_along_at_their_distance_from_the_origin(
    ratio: float, clip_radius: float | None
) -> None:
    ball = Ball(0.7, 0.4, clip_radius, learn_curvature=True)
    assert ball.log_ratio is not None
    embeddings, origin = numbers(9, 4) * 3, torch.zeros(9, 4, dtype=torch.float64)
    before = ball.place(embeddings)
    points, pairs = expmap0(before, 0.7), ball.similarity(before, before)
    radii = ball.paired_similarity(before, origin)
    with torch.no_grad():
        ball.log_ratio.fill_(math.log(ratio))
    after = ball.place(embeddings)
    moved = expmap0(logmap0(points, 0.7), ball.curvature)  # as Bdeir and Landwehr move points
    torch.testing.assert_close(expmap0(after, ball.curvature), moved, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(ball.paired_similarity(after, origin), radii)
    assert torch.allclose(ball.similarity(after, after), pairs) == (ratio == 1)
