"""Distances: released values, geoopt, high precision, stated accuracy, gradients, an optimiser.

Nearly all tests compare with the definition: points mapped into the Poincare ball, and their
distance there, at 450 digits.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import geoopt
import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from geomix.errors import InputError
from geomix.geometry.distances import (
    FLAT,
    HYPERBOLIC,
    POWER,
    expmap0,
    flat_distance,
    hyperbolic_distance,
    logmap0,
    paired_flat_distance,
    paired_hyperbolic_distance,
    paired_power_distance,
    power_distance,
)

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")
CURVATURES = [1e-4, 0.1, 1.0, 3.0, 10.0]
SHARES = [0.0, 1e-3, 0.1, 0.5, 0.9, 0.99, 0.9999]  # of the ball's radius
ANGLES = [0.0, 1e-8, 1e-4, 1e-2, 1.0, math.pi]
RATIOS = [1.0, 1 + 1e-6, 0.5]  # of the radii of a pair
DIGITS = 450  # 1 - tanh(170)^2 is 1e-147, and three of these are multiplied
DTYPES = {torch.float64: 0.0, torch.float32: 1e-6}  # what the steps after the product add
STEP = mpmath.mpf(10) ** -100


def features(count: int, dimensions: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(
        count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def directions(count: int, dimensions: int = 7, seed: int = 0) -> Tensor:
    return normalize(features(count, dimensions, seed), dim=-1)


def reference(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def distance_by_definition(x: list[Any], y: list[Any], c: float) -> Any:
    """Map two tangent vectors into the ball and return their distance, all in mpmath's numbers."""
    root = mpmath.sqrt(c)
    points, conformal = [], []
    for v in (x, y):
        norm = mpmath.sqrt(sum(a * a for a in v))
        points.append([mpmath.tanh(root * norm) * a / (root * norm) if norm else a for a in v])
        conformal.append(1 - c * sum(a * a for a in points[-1]))
    gap = sum((a - b) ** 2 for a, b in zip(*points, strict=True))
    return mpmath.acosh(1 + 2 * c * gap / (conformal[0] * conformal[1])) / root


def exact_distance(x: Tensor, y: Tensor, c: float) -> float:
    with mpmath.workdps(DIGITS):
        return float(
            distance_by_definition(
                [mpmath.mpf(a) for a in x.tolist()], [mpmath.mpf(b) for b in y.tolist()], c
            )
        )


def exact_gradient(x: Tensor, y: Tensor, c: float) -> Tensor:
    """Return the gradient with respect to x, by differences of 1e-100."""
    slopes = []
    with mpmath.workdps(DIGITS):
        b = [mpmath.mpf(value) for value in y.tolist()]
        for axis in range(len(x)):
            up, down = ([mpmath.mpf(value) for value in x.tolist()] for _ in range(2))
            up[axis] += STEP
            down[axis] -= STEP
            slopes.append(
                float(
                    (distance_by_definition(up, b, c) - distance_by_definition(down, b, c))
                    / (2 * STEP)
                )
            )
    return torch.tensor(slopes, dtype=torch.float64)


def stated_accuracy(x: Tensor, y: Tensor, distance: float, c: float) -> float:
    """Return what the docstring of hyperbolic_distance states, and a rounding of the result."""
    opposite = 2 * float(x.norm() + y.norm())
    largest, gap = (2 * math.sinh(math.sqrt(c) * d / 2) ** 2 for d in (opposite, distance))
    return min(1e-16 * (len(x) + 16) * largest / gap, 2e-5) + 4e-16


def gradient_accuracy(x: Tensor, y: Tensor, distance: float, c: float) -> float:
    """Return the error of a gradient, as a share of its norm, that rounding allows.

    Lifted points cancel there, and their rounding remains.
    """
    opposite = 2 * float(x.norm() + y.norm())
    cancelled = 1e-15 * math.cosh(math.sqrt(c) * opposite) / math.sinh(math.sqrt(c) * distance)
    return stated_accuracy(x, y, distance, c) + cancelled


@cache
def grid(c: float) -> tuple[Tensor, Tensor, list[float], list[Tensor]]:
    """Return pairs (x, y) of all radii, angles and ratios of radii.

    With them come their distances, and the gradients with respect to x.
    """
    first, second = torch.linalg.qr(features(3, 3)).Q[:2]
    pairs = []
    for share in SHARES:
        radius = math.atanh(share) / math.sqrt(c)
        for angle in ANGLES:
            turned = math.cos(angle) * first + math.sin(angle) * second
            pairs += [(radius * first, radius * ratio * turned) for ratio in RATIOS]
    distances = [exact_distance(x, y, c) for x, y in pairs]
    nothing = torch.zeros(3, dtype=torch.float64)
    slopes = [
        exact_gradient(x, y, c) if d else nothing
        for (x, y), d in zip(pairs, distances, strict=True)
    ]
    return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs]), distances, slopes


@pytest.mark.parametrize("c", ["0.01", "0.1", "0.5", "1.0", "3.0"])
def test_expmap0_and_distance_equal_the_released_code(c: str) -> None:
    x, y = (reference(f"poincare/c={c}/tangent_{name}") for name in "xy")
    # The released code adds 1e-5 to a denominator of its Moebius addition.
    for name, vectors in (("x", x), ("y", y)):
        torch.testing.assert_close(
            expmap0(vectors, float(c)), reference(f"poincare/c={c}/{name}"), rtol=0, atol=3e-4
        )
    found = hyperbolic_distance(x, y, float(c))
    torch.testing.assert_close(found, reference(f"poincare/c={c}/dist"), rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.5, 0.9])
def test_maps_and_distance_equal_geoopt(c: float, share: float) -> None:
    ball = geoopt.PoincareBallExact(c=torch.tensor(c, dtype=torch.float64))
    x, y = directions(6) * share / math.sqrt(c), directions(5, seed=1) * 0.8 * share / math.sqrt(c)
    v, w = logmap0(x, c), logmap0(y, c)
    torch.testing.assert_close(v, ball.logmap0(x), rtol=1e-9, atol=0)  # geoopt has a series in c
    torch.testing.assert_close(expmap0(v, c), x, rtol=1e-12, atol=1e-14)
    expected = ball.dist(x.unsqueeze(1), y.unsqueeze(0))
    torch.testing.assert_close(hyperbolic_distance(v, w, c), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("c", [1e-4, 1.0, 10.0])
def test_maps_keep_small_vectors_and_directions(c: float) -> None:
    v = features(5) * torch.tensor([[0.0], [1e-15], [1e-6], [0.1], [0.3]], dtype=torch.float64)
    found, lengths = expmap0(v, c), v.norm(dim=-1)
    torch.testing.assert_close(
        found.norm(dim=-1), torch.tanh(math.sqrt(c) * lengths) / math.sqrt(c), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(
        found * lengths.unsqueeze(1), v * found.norm(dim=-1, keepdim=True), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(logmap0(found, c), v, rtol=1e-11, atol=0)


@pytest.mark.parametrize("share", [0.5, 0.9999, 1 - 1e-9])
@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
def test_distance_equals_high_precision_up_to_the_boundary(c: float, share: float) -> None:
    x = directions(4) * math.atanh(share) / math.sqrt(c)
    away = directions(4, seed=1) * x.norm(dim=-1, keepdim=True)
    partners = {
        "opposite": -x,
        "another": away,
        "the origin": 0 * x,
        "same direction": 0.3 * x,
        "behind": 0.999 * x,
    }
    partners |= {f"near by {gap}": x + gap * away for gap in (1e-3, 1e-7, 1e-12)}
    wrong = {}
    for name, y in partners.items():
        found = hyperbolic_distance(x, y, c)
        for i, j in np.ndindex(4, 4):
            exact = exact_distance(x[i], y[j], c)
            if not abs(float(found[i, j]) - exact) <= stated_accuracy(x[i], y[j], exact, c) * exact:
                wrong[name] = float(found[i, j]), exact
    assert not wrong


@pytest.mark.parametrize("extent", [20, 100, 170])  # sqrt(c) |v|
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_distance_and_gradient_equal_high_precision_far_from_the_origin(
    c: float, extent: float
) -> None:
    x = directions(3, 3) * extent / math.sqrt(c)
    aside = torch.linalg.cross(x, directions(3, 3, seed=1))
    y = torch.stack([-x[0], x[1] + 1e-7 * aside[1], 0 * x[2]])
    x.requires_grad_()
    found = hyperbolic_distance(x, y, c)
    found.diagonal().sum().backward()
    assert x.grad is not None
    for i, j in np.ndindex(3, 3):
        assert float(found[i, j].detach()) == pytest.approx(
            exact_distance(x[i].detach(), y[j], c), rel=1e-9
        )
    for i in range(3):
        exact = exact_gradient(x[i].detach(), y[i], c)
        assert float((x.grad[i] - exact).norm()) <= 1e-5 * float(exact.norm())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", CURVATURES)
def test_distance_is_as_accurate_as_stated(c: float, dtype: torch.dtype) -> None:
    x, y, distances, _ = grid(c)
    found = hyperbolic_distance(x, y, c, dtype=dtype).diagonal().tolist()
    allowed = [
        (stated_accuracy(a, b, d, c) + DTYPES[dtype]) * d if d else 0
        for a, b, d in zip(x, y, distances, strict=True)
    ]
    pairs = zip(found, distances, allowed, strict=True)
    assert not [(value, exact) for value, exact, error in pairs if not abs(value - exact) <= error]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", CURVATURES)
def test_the_gradient_is_right_and_zero_only_where_points_coincide(
    c: float, dtype: torch.dtype
) -> None:
    x, y, distances, slopes = grid(c)
    leaf = x.clone().requires_grad_()
    hyperbolic_distance(leaf, y, c, dtype=dtype).diagonal().sum().backward()
    assert leaf.grad is not None
    wrong = []
    for a, b, d, exact, found in zip(x, y, distances, slopes, leaf.grad, strict=True):
        allowed = (
            float(exact.norm()) * (gradient_accuracy(a, b, d, c) + 10 * DTYPES[dtype]) if d else 0
        )
        if not float((found - exact).norm()) <= allowed or bool(found.any()) != (d > 0):
            wrong.append((a, b, d, exact, found))
    assert not wrong


@pytest.mark.parametrize("c", CURVATURES)
def test_the_explicit_gap_equals_high_precision_however_near_the_points(c: float) -> None:
    x, y, distances, _ = grid(c)
    with mpmath.workdps(40):
        expected = [float(mpmath.cosh(mpmath.sqrt(c) * d) - 1) for d in distances]
    scale = torch.tensor(2 * math.sqrt(c), dtype=torch.float64)
    for pair in ((x, y), (y, x)):
        # At 0.9999 of the ball rounding of a direction, 1e-16, has a gap of 1e-25.
        torch.testing.assert_close(
            HYPERBOLIC.gap(*pair, scale),
            torch.tensor(expected, dtype=torch.float64),
            rtol=1e-6,
            atol=1e-24,
        )


@pytest.mark.parametrize("length", [0.0, 1e-200, 1e-140, 1e-30, 1e-9, 1e-3, 1.0, 15.0])
@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
def test_points_side_by_side_keep_their_distance_however_near_one_is_to_the_origin(
    c: float, length: float
) -> None:
    near = directions(6) * length / math.sqrt(c)
    away = torch.tensor([[1e-9], [1e-3], [0.3], [1.0], [7.0], [15.0]], dtype=torch.float64)
    far = directions(6, seed=1) * away / math.sqrt(c)
    for x, y in ((near, far), (far, near)):
        exact = [exact_distance(*pair, c) for pair in zip(x, y, strict=True)]
        leaf = x.clone().requires_grad_()
        found = paired_hyperbolic_distance(leaf, y, c)
        np.testing.assert_allclose(found.detach().numpy(), exact, rtol=1e-14)
        (slopes,) = torch.autograd.grad(found.sum(), leaf)
        for slope, a, b in zip(slopes, x, y, strict=True):
            expected = exact_gradient(a, b, c)
            assert float((slope - expected).norm()) <= 1e-9 * float(expected.norm())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dimensions", [3, 64, 384])
def test_distances_lose_no_accuracy_where_products_end_and_explicit_gaps_begin(
    dimensions: int, dtype: torch.dtype
) -> None:
    for radius, near in np.ndindex(3, 6):
        x = directions(40, dimensions) * [1e-3, 1.0, 4.0][radius]
        y = (
            x
            + directions(40, dimensions, seed=1)
            * x.norm(dim=-1, keepdim=True)
            * [3e-5, 6e-5, 6.4e-5, 7e-5, 1e-4, 1e-2][near]
        )
        gaps = HYPERBOLIC.gap(x, y, torch.tensor(2.0, dtype=torch.float64))
        exact = torch.log1p(gaps + (gaps * (gaps + 2)).sqrt())
        for found, expected in (
            (hyperbolic_distance(x, y, 1.0, dtype=dtype), exact),
            (flat_distance(x, y, dtype=dtype), 2 * (x - y).norm(dim=-1)),
        ):
            torch.testing.assert_close(
                found.diagonal().double(), expected, rtol=2e-5 + DTYPES[dtype], atol=0
            )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-12, 1e-6, 1e-4, 1e-2, 2.0])
@pytest.mark.parametrize("norm", [1e-3, 1.0, 100.0])
def test_flat_distance_and_its_gradient_are_as_accurate_as_stated(
    gap: float, norm: float, dtype: torch.dtype
) -> None:
    x = (directions(20) * norm).requires_grad_()
    y = (x + directions(20, seed=1) * gap * norm).detach()
    found, exact = flat_distance(x, y, dtype=dtype).diagonal(), 2 * (x - y).norm(dim=-1)
    (slopes,) = torch.autograd.grad(found.sum(), x)
    size = (x.norm(dim=-1) + y.norm(dim=-1)).detach()
    stated = (
        (1e-16 * (7 + 16) * (2 * size / exact.detach()).square()).clamp_max(2e-5)
        + 4e-16
        + DTYPES[dtype]
    )
    assert ((found - exact).abs() <= torch.where(exact > 0, stated * exact, 0)).all()
    expected = (4 * (x - y) / exact.clamp_min(1e-300).unsqueeze(1)).detach()
    # Products of lifted points leave a rounding of 1e-16 |x|, over the distance; in float32, of
    # 5e-5 at most.
    allowed = 2 * (
        stated + 1e-15 * size / exact.detach() + (2.5e-5 if dtype == torch.float32 else 0)
    )
    assert ((slopes - expected).norm(dim=-1) <= torch.where(exact > 0, allowed, 0)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("direction", ["outwards", "aside", "both"])
def test_gradients_of_near_pairs_at_the_clip_radius_are_right(
    c: float, direction: str, dtype: torch.dtype
) -> None:
    x = 2.3 * directions(4, 6)
    aside = directions(4, 6, seed=1)
    aside -= (aside * x).sum(-1, keepdim=True) * x / 2.3**2
    for step in (0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-6):
        y = x - step * {"outwards": x, "aside": aside, "both": x + aside}[direction]
        leaf = x.clone().requires_grad_()
        hyperbolic_distance(leaf, y, c, dtype=dtype).diagonal().sum().backward()
        assert leaf.grad is not None
        for found, a, b in zip(leaf.grad, x, y, strict=True):
            exact = exact_gradient(a, b, c)
            assert float((found - exact).norm()) <= 1e-4 * float(exact.norm()), step


def test_the_gradient_of_near_points_has_the_length_that_the_metric_gives() -> None:
    x = logmap0(
        torch.tensor([[0.5, 0.0], [0.5 + 1e-6, 0.0]], dtype=torch.float64), 1.0
    ).requires_grad_()
    hyperbolic_distance(x, x, 1.0)[0, 1].backward()
    assert x.grad is not None
    torch.testing.assert_close(
        x.grad, torch.tensor([[-2.0, 0.0], [2.0, 0.0]], dtype=torch.float64), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("c", [0.1, 2.0])
def test_moebius_translations_and_rotations_change_no_distance(c: float) -> None:
    ball = geoopt.PoincareBallExact(c=torch.tensor(c, dtype=torch.float64))
    points, shift = expmap0(features(8) * 0.4, c), expmap0(features(1, seed=1) * 0.3, c)
    before = hyperbolic_distance(logmap0(points, c), logmap0(points, c), c)
    moved = logmap0(ball.mobius_add(shift, points) @ torch.linalg.qr(features(7, seed=2)).Q, c)
    assert not torch.allclose(moved.norm(dim=-1), logmap0(points, c).norm(dim=-1), rtol=0.01)
    torch.testing.assert_close(hyperbolic_distance(moved, moved, c), before, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("c", [0.1, 2.0])
def test_a_riemannian_optimiser_finds_the_midpoint(c: float) -> None:
    ball = geoopt.PoincareBallExact(c=torch.tensor(c, dtype=torch.float64))
    ends = expmap0(torch.tensor([[0.9, 0.2, 0.0], [-0.3, 0.8, 0.1]], dtype=torch.float64), c)
    point = geoopt.ManifoldParameter(torch.zeros(1, 3, dtype=torch.float64), manifold=ball)
    optimizer = geoopt.optim.RiemannianAdam([point], lr=0.05)
    for _ in range(250):
        optimizer.zero_grad()
        hyperbolic_distance(logmap0(point, c), logmap0(ends, c), c).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(
        point.detach()[0], ball.geodesic(torch.tensor(0.5).double(), *ends), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, math.inf])
def test_curvature_must_be_positive(curvature: float) -> None:
    for refused in (
        lambda: hyperbolic_distance(features(2), features(2), curvature),
        lambda: hyperbolic_distance(
            features(2), features(2), torch.tensor(curvature, dtype=torch.float64)
        ),
        lambda: expmap0(features(2), curvature),
        lambda: logmap0(features(2), curvature),
    ):
        with pytest.raises(InputError, match="curvature: found .*expected c > 0"):
            refused()


def test_kernels_agree_on_what_opposite_points_have() -> None:
    x, scale = features(5), torch.tensor(0.3, dtype=torch.float64)
    for kernel in (FLAT, HYPERBOLIC, POWER):
        torch.testing.assert_close(
            kernel.gap(x, -x, scale), kernel.widest(2 * scale * x.norm(dim=-1)), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("c", [0.1, 3.0])
def test_points_side_by_side_have_the_distance_of_the_ball(c: float) -> None:
    x, y = features(5), features(5, seed=1)
    exact = [exact_distance(*pair, c) for pair in zip(x, y, strict=True)]
    np.testing.assert_allclose(paired_hyperbolic_distance(x, y, c).numpy(), exact, rtol=1e-14)
    flat = paired_flat_distance(x, y)
    torch.testing.assert_close(flat, flat_distance(x, y).diagonal(), rtol=1e-12, atol=0)
    near = paired_hyperbolic_distance(x, y, torch.tensor(1e-8, dtype=torch.float64))
    torch.testing.assert_close(near, flat, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", [0.0, 5e-324, 1e-300, 1e-200, 1e-160, 1e-100, 1e-30, 1e-16, 1e-10])
@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
def test_points_side_by_side_are_as_far_from_the_origin_as_they_are(c: float, norm: float) -> None:
    far = torch.cat([directions(6) * 3, torch.ones(1, 7).double()])
    near = directions(7, seed=1) * norm
    exact = [exact_distance(*pair, c) for pair in zip(near, far, strict=True)]
    for x, y in ((near, far), (far, near)):
        np.testing.assert_allclose(paired_hyperbolic_distance(x, y, c).numpy(), exact, rtol=4e-15)
        found = hyperbolic_distance(x, y, c).diagonal()
        torch.testing.assert_close(paired_hyperbolic_distance(x, y, c), found, rtol=1e-12, atol=0)


def power_by_definition(x: Tensor, y: Tensor, c: float, radius: float) -> float:
    """Return arcosh(1 + S (1 - cos)) / sqrt(c) of unit vectors, in mpmath's numbers."""
    with mpmath.workdps(DIGITS):
        a, b = ([mpmath.mpf(value) for value in v.tolist()] for v in (x, y))
        norms = [mpmath.sqrt(sum(value**2 for value in v)) for v in (a, b)]
        cosine = sum(p * q for p, q in zip(a, b, strict=True)) / (norms[0] * norms[1])
        strength = mpmath.sinh(2 * mpmath.sqrt(c) * radius) ** 2
        return float(mpmath.acosh(1 + strength * (1 - cosine)) / mpmath.sqrt(c))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("c", "radius"),
    [
        *((1e-3, 2.3), (0.1, 2.3), (1.0, 0.01), (1.0, 1.0), (10.0, 2.3), (1.0, 8.0), (1.0, 30.0)),
        *((1.0, 169.0), (1e-6, 0.1), (1e-8, 1e-3), (1e-12, 1e-6), (1e-80, 2.0)),
    ],
)
def test_power_distance_and_its_gradient_are_as_accurate_as_stated(
    c: float, radius: float, dtype: torch.dtype
) -> None:
    first, second = torch.linalg.qr(features(5, 5)).Q[:2]
    angles = torch.tensor([1e-7, 1e-4, 1e-2, 1.0, 3.0, math.pi], dtype=torch.float64)
    turned = normalize(angles.cos()[:, None] * first + angles.sin()[:, None] * second, dim=-1)
    x = first[None].clone().requires_grad_()
    found = power_distance(x, turned, c, radius, dtype=dtype)[0]
    exact = torch.tensor(
        [power_by_definition(first, y, c, radius) for y in turned], dtype=torch.float64
    )
    chords = (first - turned).norm(dim=-1)
    stated = (1e-16 * (5 + 16) * (2 / chords).square()).clamp_max(2e-5) + 1e-15 * (
        1 + math.sqrt(c) * radius
    )
    # the directions themselves are rounded: 1e-16 over the chord
    allowed = stated + 4e-16 / chords + DTYPES[dtype]
    assert ((found.double() - exact).abs() <= allowed * exact).all()
    paired = paired_power_distance(first, turned, c, radius)
    assert ((paired - exact).abs() <= (stated + 4e-16 / chords) * exact).all()
    (slope,) = torch.autograd.grad(found[1:5].sum(), x)
    z = math.sinh(2 * math.sqrt(c) * radius) / 2 * chords
    pulls = 2 * z / (1 + z * z).sqrt() / chords.square() / math.sqrt(c)
    expected = (pulls[:, None] * (first - turned))[1:5].sum(0)
    assert (slope[0] - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("c", "radius"), [(1e-12, 1e-6), (0.1, 2.3), (1.0, 169.0)])
def test_power_distance_of_a_zero_vector_is_that_of_a_chord_of_1(
    c: float, radius: float, dtype: torch.dtype
) -> None:
    x = torch.cat([directions(3), torch.zeros(1, 7, dtype=torch.float64)]).requires_grad_()
    found = power_distance(x, x, c, radius, dtype=dtype)
    with mpmath.workdps(DIGITS):
        gap = mpmath.sinh(2 * mpmath.sqrt(c) * radius) ** 2 / 2
        exact = float(mpmath.acosh(1 + gap) / mpmath.sqrt(c))
    assert found[3].tolist() == pytest.approx([exact] * 3 + [0], rel=2e-6)
    (slopes,) = torch.autograd.grad(found.sum(), x)
    assert torch.isfinite(slopes).all()
    assert slopes.any(1).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", [1e-3, 10.0, 1600.0])
def test_power_distance_of_equal_directions_is_0_and_of_opposite_ones_4_radii(
    c: float, dtype: torch.dtype
) -> None:
    x = directions(3).requires_grad_()
    y = torch.cat([x.detach(), -x.detach()])
    found = power_distance(x, y, c, 2.3, dtype=dtype)
    equal, opposite = found.diagonal(), found[:, 3:].diagonal()
    assert not equal.any()
    torch.testing.assert_close(opposite, torch.full_like(opposite, 4 * 2.3), rtol=1e-6, atol=0)
    (slope,) = torch.autograd.grad(equal.sum(), x)
    assert not slope.any()
    itself = power_distance(x, x, c, 2.3, 0.5, dtype)
    torch.testing.assert_close(itself, found[:, :3] / 2, rtol=2e-6, atol=0)
