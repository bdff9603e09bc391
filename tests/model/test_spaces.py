"""Spaces: the released values, geoopt, mpmath, the laws of distances, the flat limit, gradients at the hard places."""

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
from geomix.model.spaces import Ball, Flat, Sphere, space_from

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


def all_spaces() -> list[Sphere | Flat | Ball]:
    return [Sphere(), Flat(0.7, 2.3), Ball(0.3, 0.7, 2.3), Ball(2.0, 0.5, None)]


@pytest.mark.parametrize("c", CURVATURES)
def test_expmap0_and_distance_equal_the_released_code(c: str) -> None:
    x, y = (expmap0(reference(f"poincare/c={c}/tangent_{name}"), float(c)) for name in "xy")
    # The released code adds 1e-5 to a denominator of its Moebius addition.
    torch.testing.assert_close(x, reference(f"poincare/c={c}/x"), rtol=0, atol=3e-4)
    torch.testing.assert_close(ball_distance(x, y, float(c)), reference(f"poincare/c={c}/dist"), rtol=3e-4, atol=3e-4)


def test_clip_and_expmap0_equal_the_released_code() -> None:
    placed = Ball(0.1, 1, 2.3).place(reference("clip/tangent"))
    torch.testing.assert_close(placed, reference("clip/clip_r=2.3,c=0.1"), rtol=0, atol=2e-5)


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


@pytest.mark.parametrize("space", all_spaces(), ids=str)
def test_similarity_equals_its_definition_pair_by_pair(space: Sphere | Flat | Ball) -> None:
    x, y = space.place(features(6)), space.place(features(4, seed=1))
    expected = torch.stack([torch.stack([space.paired_similarity(a, b) for b in y]) for a in x])
    torch.testing.assert_close(space.similarity(x, y), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("space", all_spaces()[1:], ids=str)
def test_distances_are_symmetric_and_obey_the_triangle(space: Flat | Ball) -> None:
    points = space.place(features(9))
    distances = -space.similarity(points, points)
    torch.testing.assert_close(distances, distances.T, rtol=1e-12, atol=1e-12)
    detours = distances.unsqueeze(2) + distances.unsqueeze(0)  # (i, k, j)
    assert (distances.unsqueeze(1) <= detours + 1e-7).all()


@pytest.mark.parametrize("space", all_spaces(), ids=str)
def test_rotations_change_nothing(space: Sphere | Flat | Ball) -> None:
    rotation = torch.linalg.qr(features(7, seed=5)).Q
    before = space.similarity(space.place(features(5)), space.place(features(4, seed=1)))
    after = space.similarity(space.place(features(5) @ rotation), space.place(features(4, seed=1) @ rotation))
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0])
def test_the_ball_at_curvature_1e_6_is_the_flat_space(scale: float) -> None:
    x, y = features(8, scale=scale), features(5, seed=1, scale=scale)
    ball, flat = Ball(1e-6, 0.8, 2.3), Flat(0.8, 2.3)
    curved = ball.similarity(ball.place(x), ball.place(y))
    # d = 2 |x - y| (1 + O(c r^2)): c r^2 is 5e-6 here
    torch.testing.assert_close(curved, flat.similarity(flat.place(x), flat.place(y)), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("c", [0.01, 0.1, 3.0])
def test_at_one_radius_distance_is_a_function_of_the_cosine(c: float) -> None:
    x = features(6, scale=10)
    ball = Ball(c, 1, 2.3)
    cosines = Sphere().similarity(Sphere().place(x), Sphere().place(x)).clamp(max=1)
    strength = math.sinh(2 * math.sqrt(c) * 2.3) ** 2
    expected = -torch.arccosh(1 + strength * (1 - cosines)) / math.sqrt(c)
    off = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(ball.similarity(ball.place(x), ball.place(x))[off], expected[off], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("space", all_spaces(), ids=str)
def test_inner_products_order_as_the_similarity(space: Sphere | Flat | Ball) -> None:
    points, others = space.place(features(20)), space.place(features(30, seed=1))
    queries, _ = space.as_inner_product(points)
    _, gallery = space.as_inner_product(others)
    assert torch.equal((queries @ gallery.T).argsort(1), space.similarity(points, others).argsort(1))


@pytest.mark.parametrize("c", [0.05, 1.0])
def test_gradients_equal_finite_differences(c: float) -> None:
    x, y = (expmap0(features(n, 3, seed, 0.4), c).requires_grad_() for n, seed in ((4, 0), (3, 1)))
    assert torch.autograd.gradcheck(lambda a, b: ball_distance(a, b, c), (x, y))
    assert torch.autograd.gradcheck(flat_distance, (x, y))


@pytest.mark.parametrize("scale", [0.0, 1e-15, 1e-6, 1.0, 100.0])
@pytest.mark.parametrize("space", all_spaces()[1:], ids=str)
def test_gradients_are_finite_at_the_origin_the_boundary_and_where_points_coincide(space: Flat | Ball, scale: float) -> None:
    vectors = features(4, scale=scale)
    vectors[1] = vectors[0]
    vectors.requires_grad_()
    points = space.place(vectors)
    similarity = space.similarity(points, points)
    assert torch.isfinite(similarity).all()
    similarity.sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_the_gradient_is_not_lost_for_near_points() -> None:
    x = torch.tensor([[0.5, 0.0], [0.5 + 1e-6, 0.0]], dtype=torch.float64, requires_grad=True)
    ball_distance(x, x, 1.0)[0, 1].backward()
    assert x.grad is not None
    # the metric of the ball at |x| = 0.5 is 2 / (1 - 0.25)
    assert float(x.grad[1, 0]) == pytest.approx(2 / 0.75, rel=1e-4)


def test_float32_features_keep_near_pairs_apart() -> None:
    x = torch.nn.functional.normalize(features(1).float(), dim=-1) * 2.3
    y = x * (1 - 1e-3)
    ball = Ball(3.0, 1, 2.3)
    found = float(ball.similarity(ball.place(x), ball.place(y)))
    exact = float(ball.paired_similarity(ball.place(x), ball.place(y)))
    assert found == pytest.approx(exact, rel=1e-5)  # in float32 the product finds 0 here
    assert ball.place(x).norm() < 1 / math.sqrt(3.0)


def test_a_learned_scale_is_trained_and_described() -> None:
    space = Flat(0.25, None, learned=True)
    points = space.place(features(3).float())
    (-space.similarity(points, points)).sum().backward()
    assert space.log_scale.grad is not None
    assert space.log_scale.grad > 0
    assert space.describe() == {"space": "flat", "scale": pytest.approx(0.25), "clip_radius": None}


@pytest.mark.parametrize("space", all_spaces(), ids=str)
def test_a_space_is_rebuilt_from_its_description(space: Sphere | Flat | Ball) -> None:
    twin = space_from(space.describe())
    x = features(4)
    torch.testing.assert_close(twin.similarity(twin.place(x), twin.place(x)), space.similarity(space.place(x), space.place(x)))


def test_radii_are_clipped_norms() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(
        Ball(1.0, 2.0, 2.3).radii(vectors), torch.tensor([2.3, 1.0, 0.0], dtype=torch.float64), rtol=1e-6, atol=0
    )
    assert Sphere().radii(vectors) is None


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, math.inf])
def test_curvature_must_be_positive(curvature: float) -> None:
    with pytest.raises(InputError, match="curvature: found .*expected c > 0"):
        Ball(curvature, 1, 2.3)
    with pytest.raises(InputError, match="expected c > 0"):
        ball_distance(features(2), features(2), curvature)


@pytest.mark.parametrize(("scale", "clip"), [(0.0, 2.3), (1.0, -1.0), (math.nan, None)])
def test_scale_and_clip_radius_must_be_positive(scale: float, clip: float | None) -> None:
    with pytest.raises(InputError, match="expected a positive number"):
        Flat(scale, clip)
