"""Distances: the released values, geoopt, mpmath, the accuracy they state, gradients at the hard places."""

import math
from pathlib import Path

import geoopt
import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.model.distances import ball_distance, expmap0, flat_distance

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")
CURVATURES = ["0.01", "0.1", "0.5", "1.0", "3.0"]


def features(count: int, dimensions: int = 7, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) * scale


def reference(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def distance_by_mpmath(x: Tensor, y: Tensor, c: float) -> float:
    with mpmath.workdps(60):
        a, b = ([mpmath.mpf(float(value)) for value in point] for point in (x, y))
        gap = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        norms = [1 - mpmath.mpf(c) * sum(p**2 for p in point) for point in (a, b)]
        return float(mpmath.acosh(1 + 2 * mpmath.mpf(c) * gap / (norms[0] * norms[1])) / mpmath.sqrt(c))


@pytest.mark.parametrize("c", CURVATURES)
def test_expmap0_and_distance_equal_the_released_code(c: str) -> None:
    x, y = (expmap0(reference(f"poincare/c={c}/tangent_{name}"), float(c)) for name in "xy")
    # The released code adds 1e-5 to a denominator of its Moebius addition.
    torch.testing.assert_close(x, reference(f"poincare/c={c}/x"), rtol=0, atol=3e-4)
    torch.testing.assert_close(ball_distance(x, y, float(c)), reference(f"poincare/c={c}/dist"), rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize("c", [1e-4, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.5, 0.9])
def test_ball_distance_equals_geoopt_in_float64(c: float, share: float) -> None:
    x = torch.nn.functional.normalize(features(6), dim=-1) * share / math.sqrt(c)
    y = torch.nn.functional.normalize(features(5, seed=1), dim=-1) * 0.8 * share / math.sqrt(c)
    ball = geoopt.PoincareBallExact(c=torch.tensor(c, dtype=torch.float64))
    expected = ball.dist(x.unsqueeze(1), y.unsqueeze(0))
    torch.testing.assert_close(ball_distance(x, y, c), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("share", [0.98, 0.9999, 1 - 1e-9])
def test_ball_distance_equals_high_precision_near_the_boundary(c: float, share: float) -> None:
    x = torch.nn.functional.normalize(features(3), dim=-1) * share / math.sqrt(c)
    y = torch.nn.functional.normalize(features(2, seed=1), dim=-1) * 0.99 * share / math.sqrt(c)
    y = torch.cat([y, x[:1] * (1 - 1e-4)])  # a near pair
    found = ball_distance(x, y, c)
    for i, j in np.ndindex(3, 3):
        spread = float((x[i].norm() + y[j].norm()) / (x[i] - y[j]).norm())
        stated = 1e-15 * spread**2 + 1e-15 / (1 - share)
        assert float(found[i, j]) == pytest.approx(distance_by_mpmath(x[i], y[j], c), rel=stated)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("norm", [1e-3, 1.0, 100.0])
def test_flat_distance_is_as_accurate_as_stated(gap: float, norm: float) -> None:
    x = torch.nn.functional.normalize(features(20), dim=-1) * norm
    y = x + torch.nn.functional.normalize(features(20, seed=1), dim=-1) * gap * norm
    found, exact = flat_distance(x, y).diagonal(), 2 * torch.linalg.vector_norm(x - y, dim=-1)
    size = x.norm(dim=-1) + y.norm(dim=-1)
    relative = 1e-15 * (2 * size).square() / exact.clamp_min(1e-300)
    stated = torch.minimum(relative, 1e-7 * size)
    assert ((found - exact).abs() <= stated + 1e-15 * size).all()


@pytest.mark.parametrize("c", [0.05, 1.0])
def test_gradients_equal_finite_differences(c: float) -> None:
    x, y = (expmap0(features(n, 3, seed, 0.4), c).requires_grad_() for n, seed in ((4, 0), (3, 1)))
    assert torch.autograd.gradcheck(lambda a, b: ball_distance(a, b, c), (x, y))
    assert torch.autograd.gradcheck(flat_distance, (x, y))


def test_the_gradient_is_not_lost_for_near_points() -> None:
    x = torch.tensor([[0.5, 0.0], [0.5 + 1e-6, 0.0]], dtype=torch.float64, requires_grad=True)
    ball_distance(x, x, 1.0)[0, 1].backward()
    assert x.grad is not None
    # the metric of the ball at |x| = 0.5 is 2 / (1 - 0.25)
    assert float(x.grad[1, 0]) == pytest.approx(2 / 0.75, rel=1e-4)


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, math.inf])
def test_curvature_must_be_positive(curvature: float) -> None:
    for refused in (lambda: ball_distance(features(2), features(2), curvature), lambda: expmap0(features(2), curvature)):
        with pytest.raises(InputError, match="curvature: found .*expected c > 0"):
            refused()


@pytest.mark.parametrize("c", [1e-4, 1.0, 10.0])
def test_expmap0_keeps_small_vectors_and_directions(c: float) -> None:
    v = features(5) * torch.tensor([[0.0], [1e-15], [1e-6], [1.0], [5.0]], dtype=torch.float64)
    found = expmap0(v, c)
    lengths = v.norm(dim=-1)
    torch.testing.assert_close(found.norm(dim=-1), torch.tanh(math.sqrt(c) * lengths) / math.sqrt(c), rtol=1e-12, atol=0)
    torch.testing.assert_close(found * lengths.unsqueeze(1), v * found.norm(dim=-1, keepdim=True), rtol=1e-12, atol=0)
