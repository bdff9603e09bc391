"""All pairs: blocks and the symmetric call, coinciding points, the backward pass, refusals."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from geomix.geometry import pairwise as products
from geomix.geometry.distances import (
    FLAT,
    HYPERBOLIC,
    POWER,
    expmap0,
    flat_distance,
    hyperbolic_distance,
    power_distance,
)
from geomix.geometry.pairwise import Kernel

C = 0.7
RADIUS = math.asinh(2 * math.sqrt(C)) / (2 * math.sqrt(C))  # near points are 2 |x - y| apart
Distance = Callable[..., Tensor]  # of points and points, times a factor, of a dtype
DISTANCES: dict[str, Distance] = {
    "flat": flat_distance,
    "hyperbolic": lambda x, y, factor, dtype: hyperbolic_distance(x, y, C, factor, dtype),
    "power": lambda x, y, factor, dtype: power_distance(x, y, C, RADIUS, factor, dtype),
}
BLOCKS = [
    1,
    30,
    70,
    10**6,
]  # of 10 columns: 1 row at a time, 3 and a last one of 1, 7 and a last one of 3, all 10
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-6}  # how well the same result is found again


def features(count: int, dimensions: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(
        count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def crowd() -> Tensor:
    """Return ten points: two coincide, one is the origin, one pair is too near for products."""
    points = features(10)
    points[3] = points[7]
    points[5] = 0
    points[9] = points[1] * (1 + 1e-6)
    return points


def distance_by_definition(x: Tensor, y: Tensor, name: str) -> Tensor:
    if name == "flat":
        return 2 * (x - y).square().sum().sqrt()
    if name == "power":
        return 2 * (math.sqrt(C) * (x - y).square().sum().sqrt()).asinh() / math.sqrt(C)
    a, b = expmap0(x, C), expmap0(y, C)
    gap = 2 * C * (a - b).square().sum() / ((1 - C * a.square().sum()) * (1 - C * b.square().sum()))
    return torch.log1p(gap + (gap * (gap + 2)).sqrt()) / math.sqrt(C)


def value_and_gradients(
    x: Tensor, y: Tensor | None, distance: Distance, upstream: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return distances and the gradients with respect to x and y, which is x if None."""
    first = x.clone().requires_grad_()
    second = first if y is None else y.clone().requires_grad_()
    found = distance(first, second, 1.5, dtype)
    assert found.dtype == dtype
    (found * upstream).sum().backward()
    assert first.grad is not None
    assert second.grad is not None
    return found.detach(), first.grad, second.grad


@pytest.mark.parametrize("name", DISTANCES)
def test_values_and_gradients_equal_the_definition_pair_by_pair(name: str) -> None:
    x, y, upstream = features(5), features(3, seed=1), features(5, 3, seed=2)
    found, *slopes = value_and_gradients(x, y, DISTANCES[name], upstream, torch.float64)
    a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
    expected = 1.5 * torch.stack(
        [torch.stack([distance_by_definition(p, q, name) for q in b]) for p in a]
    )
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        tuple(slopes),
        torch.autograd.grad((expected * upstream).sum(), (a, b)),
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", DISTANCES)
def test_comparing_with_itself_equals_comparing_with_a_copy(
    name: str, block: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, upstream, distance, close = crowd(), features(10, 10, seed=2), DISTANCES[name], DTYPES[dtype]
    expected, first, second = value_and_gradients(x, x, distance, upstream, dtype)
    monkeypatch.setattr(products, "BLOCK", block)
    found, slope, _ = value_and_gradients(x, None, distance, upstream, dtype)
    torch.testing.assert_close(found, found.T, rtol=close, atol=0)
    assert not found.diagonal().any()
    torch.testing.assert_close(found, expected, rtol=close, atol=0)
    torch.testing.assert_close(slope, first + second, rtol=10 * close, atol=10 * close)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", DISTANCES)
def test_blocks_change_nothing(
    name: str, block: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = torch.cat([features(13, seed=1), crowd()[:4]]), crowd()
    upstream = features(17, 10, seed=2)
    expected = value_and_gradients(x, y, DISTANCES[name], upstream, dtype)
    monkeypatch.setattr(products, "BLOCK", block)
    monkeypatch.setattr(products, "PAIRS", 1)
    found = value_and_gradients(x, y, DISTANCES[name], upstream, dtype)
    torch.testing.assert_close(found, expected, rtol=10 * DTYPES[dtype], atol=10 * DTYPES[dtype])


@pytest.mark.parametrize("name", DISTANCES)
def test_the_order_of_points_does_not_matter(name: str) -> None:
    x, y, upstream = crowd(), features(6, seed=1), features(10, 6, seed=2)
    order, other = torch.tensor([3, 0, 9, 1, 8, 2, 7, 4, 6, 5]), torch.tensor([5, 2, 0, 4, 1, 3])
    found = value_and_gradients(
        x[order], y[other], DISTANCES[name], upstream[order][:, other], torch.float64
    )
    distances, first, second = value_and_gradients(x, y, DISTANCES[name], upstream, torch.float64)
    torch.testing.assert_close(
        found, (distances[order][:, other], first[order], second[other]), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("same", [True, False])
def test_points_that_coincide_have_distance_and_gradient_zero(
    name: str, same: bool, dtype: torch.dtype
) -> None:
    x = crowd()[[3, 7, 7, 3]]
    found, *slopes = value_and_gradients(
        x, None if same else x, DISTANCES[name], features(4, 4, seed=2), dtype
    )
    assert not found.any()
    assert not any(slope.any() for slope in slopes)
    beside = torch.cat(
        [x, features(1, seed=3)]
    )  # another point: what it pulls stays finite, and is the same for all four
    _, slope, _ = value_and_gradients(
        beside, None if same else beside, DISTANCES[name], torch.ones(5, 5), dtype
    )
    assert slope[0].any()
    torch.testing.assert_close(slope[:4], slope[:1].expand(4, -1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", DISTANCES)
def test_a_batch_collapsed_to_a_trillionth_has_the_right_distances_and_gradients(
    name: str, dtype: torch.dtype
) -> None:
    x = features(1) + 1e-12 * features(9, seed=1)
    upstream = features(9, 9, seed=2)
    found, slope, _ = value_and_gradients(x, None, DISTANCES[name], upstream, dtype)
    steps = x.unsqueeze(1) - x  # exact
    along = normalize(x[0], dim=0)
    if name != "hyperbolic":
        lengths, stretch = 2 * steps.norm(dim=-1), torch.tensor(1.0, dtype=torch.float64)
    else:
        # At radius r the metric is 2 along the radius and 2 sinh(a) / a across it, a = 2 sqrt(c) r.
        a = 2 * math.sqrt(C) * x[0].norm()
        stretch = a.sinh() / a
        outward = (steps @ along).unsqueeze(-1) * along
        lengths = (
            2
            * (
                outward.square().sum(-1) + stretch.square() * (steps - outward).square().sum(-1)
            ).sqrt()
        )
    torch.testing.assert_close(found.double(), 1.5 * lengths, rtol=2e-5 + DTYPES[dtype], atol=0)
    metric = torch.outer(along, along) + stretch.square() * (
        torch.eye(4) - torch.outer(along, along)
    )
    pulls = (upstream + upstream.T) * (1.5 * 4 / lengths).fill_diagonal_(0)
    expected = (pulls.unsqueeze(-1) * (steps @ metric)).sum(1)
    assert float((slope - expected).norm()) <= 1e-2 * float(
        expected.norm()
    )  # rounding over gap, 1e-16 / 1e-12, a few times


@pytest.mark.parametrize("name", DISTANCES)
def test_one_point_will_do(name: str) -> None:
    found, slope, _ = value_and_gradients(
        features(1), None, DISTANCES[name], torch.ones(1, 1), torch.float32
    )
    assert found.tolist() == [[0.0]]
    assert not slope.any()
    found, *slopes = value_and_gradients(
        features(1), features(3, seed=1), DISTANCES[name], torch.ones(1, 3), torch.float32
    )
    assert found.shape == (1, 3)
    assert all(slope.any(1).all() for slope in slopes)


@pytest.mark.parametrize("radius", [10.4, 10.6, 12.0, 40.0, 85.0])
def test_gaps_too_large_for_float32_take_steps_in_float64(radius: float) -> None:
    x, y = (radius * normalize(features(n, seed=n), dim=-1) for n in (4, 3))
    x[1] *= 0.01

    def distance(a: Tensor, b: Tensor, factor: float, dtype: torch.dtype) -> Tensor:
        return hyperbolic_distance(a, b, 1.0, factor, dtype)

    exact, *slopes = value_and_gradients(x, y, distance, torch.ones(4, 3), torch.float64)
    found, *others = value_and_gradients(x, y, distance, torch.ones(4, 3), torch.float32)
    assert float(exact.max()) > 3 * radius
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)
    for one, other in zip(slopes, others, strict=True):
        assert float((one - other).norm()) <= 1e-6 * float(one.norm())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("exponent", [-18, -22, -30, -100])
@pytest.mark.parametrize("name", DISTANCES)
def test_gaps_too_small_for_float32_leave_distances_and_gradients_finite(
    name: str, exponent: int, dtype: torch.dtype
) -> None:
    near = 10.0**exponent * features(5)
    for points in (near, torch.cat([near, features(5, seed=1)])):
        found, slope, _ = value_and_gradients(points, None, DISTANCES[name], torch.ones(1), dtype)
        # near the origin both distances are 2 |x - y|; float32 has no square of less than 1e-38
        expected = 1.5 * 2 * (near.unsqueeze(1) - near).norm(dim=-1)
        torch.testing.assert_close(found[:5, :5].double(), expected, rtol=2.1e-5, atol=1e-18)
        assert torch.isfinite(slope).all()
        assert slope.any(1).all()


def test_the_factor_multiplies_value_and_gradient() -> None:
    x = features(6).requires_grad_()
    plain, scaled = (hyperbolic_distance(x, x, C, factor) for factor in (1.0, -2.5))
    torch.testing.assert_close(scaled, -2.5 * plain)
    slopes = [torch.autograd.grad(found.square().sum(), x)[0] for found in (plain, scaled)]
    torch.testing.assert_close(slopes[1], 6.25 * slopes[0])


@pytest.mark.parametrize("name", DISTANCES)
def test_autocast_changes_nothing(name: str) -> None:
    x, y, upstream = features(6), features(5, seed=1), features(6, 5, seed=2)
    expected = value_and_gradients(x, y, DISTANCES[name], upstream, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradients(x, y, DISTANCES[name], upstream, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


GRADCHECKS: dict[str, Callable[..., Tensor]] = {
    "flat": lambda x, y, c: flat_distance(x, y) * c,
    "flat, with itself": lambda x, y, c: flat_distance(x, x) * c * y.sum(),
    "hyperbolic": hyperbolic_distance,
    "hyperbolic, with itself": lambda x, y, c: hyperbolic_distance(x, x, c) * y.sum(),
}


@pytest.mark.parametrize("name", GRADCHECKS)
@pytest.mark.parametrize("c", [0.05, 1.0, 3.0])
def test_gradients_of_points_and_curvature_equal_finite_differences(name: str, c: float) -> None:
    x, y = (0.5 * features(count, 3, seed).requires_grad_() for count, seed in ((4, 0), (3, 1)))
    curvature = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GRADCHECKS[name], (x, y, curvature))


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("c", [1e-4, 0.1, 3.0])
def test_the_gradient_of_curvature_is_right_in_float32(c: float, same: bool) -> None:
    x = features(8)
    y = x if same else features(5, seed=1)
    upstream = features(len(x), len(y), seed=2)
    curvature = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    (hyperbolic_distance(x, y, curvature, -3.0, torch.float32) * upstream).sum().backward()
    up, down = (
        (hyperbolic_distance(x, y, c * factor, -3.0) * upstream).sum()
        for factor in (1 + 1e-5, 1 - 1e-5)
    )
    assert curvature.grad is not None
    assert float(curvature.grad) == pytest.approx(float(up - down) / (2e-5 * c), rel=1e-3)


@pytest.mark.parametrize("loss", [Tensor.sum, Tensor.logsumexp], ids=["sum", "logsumexp"])
@pytest.mark.parametrize("same", [True, False])
def test_second_derivatives_are_refused(loss: Callable[..., Tensor], same: bool) -> None:
    x = features(4).requires_grad_()
    distances = flat_distance(x, x if same else features(3, seed=1))
    with pytest.raises(
        RuntimeError, match="differentia"
    ):  # those of the sum are those of a constant gradient
        torch.autograd.grad(loss(distances, (0, 1)), x, create_graph=True)[0].sum().backward()


def test_no_gradient_asked_for_gives_the_same_distances() -> None:
    x = crowd()
    with torch.no_grad():
        found = flat_distance(x, x)
    torch.testing.assert_close(found, flat_distance(x.requires_grad_(), x).detach(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("x", "y"),
    [((4, 3), (4, 2)), ((4, 3), (3,)), ((3,), (4, 3)), ((0, 3), (4, 3)), ((4, 3), (0, 3))],
)
def test_points_that_do_not_fit_are_refused(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    for distance in (flat_distance, lambda a, b: hyperbolic_distance(a, b, 1.0)):
        with pytest.raises(
            ValueError,
            match=r"distances: found points \(.*\) and \(.*\), expected \(N, D\) and \(M, D\)",
        ):
            distance(torch.zeros(x, dtype=torch.float64), torch.zeros(y, dtype=torch.float64))


@pytest.mark.parametrize("kernel", [FLAT, HYPERBOLIC, POWER], ids=["flat", "hyperbolic", "power"])
def test_a_lifted_product_is_the_explicit_gap(kernel: Kernel) -> None:
    x, y, scale = features(6), features(5, seed=1), torch.tensor(1.3, dtype=torch.float64)
    lifted = [kernel.lift(points.norm(dim=1, keepdim=True), scale) for points in (x, y)]
    product = kernel.as_row(x, *lifted[0]) @ kernel.as_column(y, *lifted[1]).T
    expected = [[float(kernel.gap(a, b, scale)) for b in y] for a in x]
    np.testing.assert_allclose(product.numpy(), expected, rtol=1e-12)
