"""Spaces: the released values, their definitions, the flat limit, inner products, finite gradients, refusals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.model.spaces import Ball, Flat, Sphere, space_from

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")


def features(count: int, dimensions: int = 7, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) * scale


def reference(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def all_spaces() -> list[Sphere | Flat | Ball]:
    return [Sphere(), Flat(0.7, 2.3), Ball(0.3, 0.7, 2.3), Ball(2.0, 0.5, None)]


def test_clip_and_expmap0_equal_the_released_code() -> None:
    placed = Ball(0.1, 1, 2.3).place(reference("clip/tangent"))
    torch.testing.assert_close(placed, reference("clip/clip_r=2.3,c=0.1"), rtol=0, atol=2e-5)


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


def test_inner_products_keep_the_order_in_float32_near_the_origin() -> None:
    ball = Ball(1e-3, 1, None)
    points = ball.place(0.003 * features(200, 16))
    queries, gallery = (vectors.float() for vectors in ball.as_inner_product(points))
    found = (queries @ gallery.T).topk(10).indices
    exact = ball.similarity(points, points).topk(10).indices
    shared = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, exact, strict=True)]
    assert sum(shared) / len(shared) > 9.9  # with the whole time coordinate it is below 9


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


@pytest.mark.parametrize(("scale", "clip"), [(0.0, 2.3), (1.0, -1.0), (math.nan, None)])
def test_scale_and_clip_radius_must_be_positive(scale: float, clip: float | None) -> None:
    with pytest.raises(InputError, match="expected a positive number"):
        Flat(scale, clip)
