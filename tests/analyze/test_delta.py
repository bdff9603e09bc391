"""Gromov's delta: that of the definition, 0 in trees, ln 2 / sqrt(c) in hyperbolic space."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from geomix.analyze.delta import compare_deltas, draw_like, four_point_delta
from geomix.data.lineages import hops, parse_paths
from geomix.geometry.distances import hyperbolic_distance
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Flat, Inner


def delta_by_definition(distances: np.ndarray) -> float:
    """Go through all quadruples, one at a time."""
    largest = 0.0
    for w, x, y, z in combinations(range(len(distances)), 4):
        sums = sorted(
            [
                distances[w, x] + distances[y, z],
                distances[w, y] + distances[x, z],
                distances[w, z] + distances[x, y],
            ]
        )
        largest = max(largest, (sums[2] - sums[1]) / 2)
    return largest


def distances_of(points: np.ndarray, order: float = 2) -> np.ndarray:
    gaps = points[:, None] - points
    found: np.ndarray = np.linalg.norm(gaps, ord=order, axis=2)
    return found


def ball(points: np.ndarray, curvature: float) -> np.ndarray:
    x = torch.from_numpy(points)
    found: np.ndarray = hyperbolic_distance(x, x, curvature).numpy()
    return (found + found.T) / 2


@pytest.mark.parametrize("count", [4, 5, 9, 14])
@pytest.mark.parametrize("order", [1, 2])
def test_delta_is_that_of_the_definition(count: int, order: float) -> None:
    distances = distances_of(np.random.default_rng(count).normal(size=(count, 3)), order)
    found = four_point_delta(distances)
    assert found.delta == pytest.approx(delta_by_definition(distances), rel=1e-12)
    assert found.delta > 0
    assert found.diameter == distances.max()


def test_order_of_the_points_does_not_matter() -> None:
    random = np.random.default_rng(1)
    distances = distances_of(random.normal(size=(12, 2)))
    for _ in range(4):
        order = random.permutation(12)
        again = four_point_delta(distances[np.ix_(order, order)])
        assert again.delta == pytest.approx(four_point_delta(distances).delta, rel=1e-12)


def test_delta_grows_with_the_unit_and_relative_delta_does_not() -> None:
    distances = distances_of(np.random.default_rng(2).normal(size=(10, 2)))
    one, seven = four_point_delta(distances), four_point_delta(7 * distances)
    assert seven.delta == pytest.approx(7 * one.delta)
    assert seven.relative == pytest.approx(one.relative)


def test_a_tree_has_no_delta() -> None:
    paths = "a a/x a/x/p a/x/q a/y a/y/p a/y/p/k b b/x b/x/m c/d/e/f c/d/g"
    lineages = parse_paths(paths.split())
    assert four_point_delta(hops(lineages, lineages).astype(float)).delta == 0


def test_edges_of_a_tree_may_have_any_length() -> None:
    random = np.random.default_rng(3)
    distances = np.zeros((20, 20))
    for node in range(1, 20):
        to_all = distances[random.integers(node), :node] + random.uniform(0.1, 2)
        distances[node, :node] = distances[:node, node] = to_all
    assert four_point_delta(distances).relative < 1e-15


def test_a_square_in_the_plane_has_the_known_delta() -> None:
    square = distances_of(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]))
    found = four_point_delta(square)
    assert found.delta == pytest.approx(math.sqrt(2) - 1)
    assert found.relative == pytest.approx(2 - math.sqrt(2))


@pytest.mark.parametrize("curvature", [0.1, 1, 4])
def test_hyperbolic_space_has_delta_ln_2_over_the_root_of_c(curvature: float) -> None:
    bound = math.log(2) / math.sqrt(curvature)
    points = np.random.default_rng(4).normal(size=(40, 3)) * 4 / math.sqrt(curvature)
    assert 0.3 * bound < four_point_delta(ball(points, curvature)).delta <= bound
    corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]]) * 3 / math.sqrt(curvature)
    large = four_point_delta(ball(corners, curvature)).delta
    assert 0.95 * bound < large <= bound


def test_fewer_than_four_points_have_no_delta() -> None:
    found = four_point_delta(distances_of(np.eye(3)))
    assert found.delta == 0
    assert found.diameter == pytest.approx(math.sqrt(2))
    assert math.isnan(four_point_delta(np.zeros((5, 5))).relative)


@pytest.mark.parametrize("distances", [np.zeros((2, 3)), np.zeros(4), np.triu(np.ones((5, 5)), 1)])
def test_what_is_no_table_of_distances_is_refused(distances: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected a symmetric table \(n, n\)"):
        four_point_delta(distances)


def test_random_points_have_the_spread_of_the_features() -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=(500, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0.1]]) + 5
    drawn = dict(draw_like(features, 20000, random))
    np.testing.assert_allclose(drawn["gaussian"].mean(0), features.mean(0), atol=0.06)
    np.testing.assert_allclose(np.cov(drawn["gaussian"].T), np.cov(features.T), atol=0.15)
    norms = np.linalg.norm(drawn["sphere"], axis=1)
    np.testing.assert_allclose(norms, np.linalg.norm(features, axis=1).mean())
    np.testing.assert_allclose(drawn["sphere"].mean(0), 0, atol=0.15)


def test_three_clusters_have_less_delta_than_random_points() -> None:
    random = np.random.default_rng(6)
    corners = np.array([[0, 0], [4, 0], [1, 3.0]])
    features = np.repeat(corners, 8, axis=0) + 0.05 * random.normal(size=(24, 2))
    geometry = Geometry([Flat(1.0, None)], [1.0], 0.1)
    found = compare_deltas(geometry, features, np.arange(24), random)
    assert list(found) == ["embedding", "gaussian", "sphere"]
    assert found["embedding"].relative < 0.3 * found["gaussian"].relative


def test_an_inner_product_has_no_delta() -> None:
    features = np.random.default_rng(7).normal(size=(9, 3))
    random = np.random.default_rng(0)
    inner = Geometry([Flat(1.0, None), Inner(1.0, None)], [1.0, 1.0], 0.1)
    assert compare_deltas(inner, features, np.arange(9), random) == {}
