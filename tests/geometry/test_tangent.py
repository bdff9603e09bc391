"""Flat space and ball: near pairs of float32 features, what is learned and its range, points too far out, refusals."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from geomix.errors import InputError
from geomix.geometry.learned import RANGE
from geomix.geometry.spaces import space_from
from geomix.geometry.tangent import Ball, Flat


def features(count: int, dimensions: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(
        count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def compare(space: Flat | Ball, x: Tensor, y: Tensor) -> Tensor:
    return space.similarity(space.place(x), space.place(y))


def learning_ball(start: float, ratio: float) -> Ball:
    """Give a ball whose learned curvature is a ratio times its start."""
    ball = Ball(start, 1, 2.3, learn_curvature=True)
    assert ball.log_ratio is not None
    with torch.no_grad():
        ball.log_ratio.fill_(math.log(ratio))
    return ball


def slope_of_curvature(ball: Ball) -> float:
    """Give the derivative of a sum of distances with respect to the logarithm of a learned curvature."""
    assert ball.log_ratio is not None
    (slope,) = torch.autograd.grad(
        -compare(ball, features(6), features(4, seed=1)).sum(), ball.log_ratio
    )
    return float(slope)


def test_float32_features_keep_near_pairs_apart() -> None:
    x = normalize(features(1).float(), dim=-1) * 2.3
    y = x * (1 - 1e-6)
    ball = Ball(3.0, 1, 2.3)
    found = float(ball.similarity(ball.place(x), ball.place(y), dtype=torch.float32))
    exact = float(ball.paired_similarity(ball.place(x), ball.place(y)))
    assert exact < -1e-6
    assert found == pytest.approx(exact, rel=1e-5)  # in float32 the product finds 0 here


@pytest.mark.parametrize(
    "start",
    [Flat(0.25, None, learned=True), Ball(0.3, 0.25, None, learned=True)],
    ids=["flat", "ball"],
)
def test_a_learned_scale_is_trained_and_described(start: Flat | Ball) -> None:
    vectors = features(3).float()
    (slope,) = torch.autograd.grad(-compare(start, vectors, vectors).sum(), start.log_scale)
    assert slope > 0  # a larger scale parts the points
    assert start.learned() == {"scale": pytest.approx(0.25)}
    assert start.describe()["scale"] == pytest.approx(0.25)
    assert not type(start)(**{k: v for k, v in start.describe().items() if k != "space"}).learned()


@pytest.mark.parametrize("ratio", [0.3, 1.0, 5.0])
def test_a_learned_curvature_is_trained_and_described(ratio: float) -> None:
    ball, step = learning_ball(0.2, ratio), 1e-4
    assert ball.curvature == pytest.approx(0.2 * ratio)
    assert ball.learned() == {"curvature": pytest.approx(0.2 * ratio)}
    assert ball.describe()["curvature"] == pytest.approx(0.2 * ratio)
    fixed = [
        -compare(Ball(ball.curvature * math.exp(s), 1, 2.3), features(6), features(4, seed=1)).sum()
        for s in (step, -step)
    ]
    assert slope_of_curvature(ball) == pytest.approx(
        float(fixed[0] - fixed[1]) / (2 * step), rel=1e-6
    )
    torch.testing.assert_close(
        compare(ball, features(6), features(4, seed=1)),
        compare(space_from(ball.describe()), features(6), features(4, seed=1)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("power", [3.0, -3.0])
def test_a_learned_curvature_stays_within_a_factor_of_10_and_can_return(power: float) -> None:
    ball = learning_ball(0.2, 10**power)
    bound = 0.2 * RANGE ** math.copysign(1, power)
    assert ball.curvature == pytest.approx(bound, rel=1e-12)
    assert RANGE == 10
    ball.keep_in_range()
    assert ball.log_ratio is not None
    assert abs(float(ball.log_ratio.detach())) == pytest.approx(math.log(10), rel=1e-5)
    assert ball.curvature == pytest.approx(bound, rel=1e-4)
    assert slope_of_curvature(ball) != 0  # torch's clamp has no gradient at the bound itself
    inside = learning_ball(0.2, 2.0)
    inside.keep_in_range()
    assert inside.curvature == pytest.approx(0.4)


@pytest.mark.parametrize("c", [0.1, 9.0])
def test_points_too_far_out_for_float64_are_refused_and_nearer_ones_are_right(c: float) -> None:
    ball, ends = (
        Ball(c, 1, None),
        torch.tensor([[3.0, 4.0], [-3.0, -4.0]], dtype=torch.float64) / (5 * math.sqrt(c)),
    )
    with pytest.raises(
        InputError, match="a point at 171 radii of curvature from the origin, expected at most 170"
    ):
        ball.place(171 * ends)
    points = ball.place(169 * ends).requires_grad_()
    found = ball.similarity(points, points, dtype=torch.float32)
    assert float(found[0, 1].detach()) == pytest.approx(-4 * 169 / math.sqrt(c), rel=1e-5)
    (slope,) = torch.autograd.grad(found.sum(), points)
    torch.testing.assert_close(slope, -4 * normalize(points.detach(), dim=-1), rtol=1e-5, atol=1e-5)
    paired = ball.paired_similarity(points[0], points[1]).detach()
    assert float(paired) == pytest.approx(-4 * 169 / math.sqrt(c), rel=1e-12)


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, math.inf])
def test_curvature_must_be_positive(curvature: float) -> None:
    with pytest.raises(InputError, match="curvature: found .*expected c > 0"):
        Ball(curvature, 1, 2.3)


@pytest.mark.parametrize(
    ("scale", "clip"), [(0.0, 2.3), (1.0, -1.0), (math.nan, None), (1.0, math.inf)]
)
def test_scale_and_clip_radius_must_be_positive(scale: float, clip: float | None) -> None:
    for refused in (lambda: Flat(scale, clip), lambda: Ball(1.0, scale, clip)):
        with pytest.raises(InputError, match="expected a positive number"):
            refused()
