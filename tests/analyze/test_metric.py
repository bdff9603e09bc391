"""Distances in the geometry of an embedding: metrics, that of each space times its weight."""

import math

import numpy as np
import pytest
import torch

from geomix.analyze.metric import own_distances
from geomix.geometry.distances import paired_hyperbolic_distance
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Flat, Inner, Power, Space, Sphere

FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(11, 4)))
SPACES: dict[str, list[Space]] = {
    "sphere": [Sphere()],
    "flat": [Flat(0.7, 1.2)],
    "ball": [Ball(0.8, 0.7, None)],
    "power": [Power(0.8, 2.3)],
    "hybrid": [Sphere(), Ball(0.8, 0.7, None)],
}


def distances_of(name: str) -> np.ndarray:
    spaces = SPACES[name]
    found = own_distances(Geometry(spaces, [1.5, 0.4][: len(spaces)], 0.1), FEATURES)
    assert found is not None
    return found


@pytest.mark.parametrize("name", SPACES)
def test_every_geometry_of_distances_has_a_metric(name: str) -> None:
    found = distances_of(name)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diag(found) == 0).all()
    assert (found[~np.eye(11, dtype=bool)] > 0).all()
    by_way_of = found[:, :, None] + found[None, :, :]  # (x, z, y)
    assert (found[:, None, :] <= by_way_of + 1e-12).all()


def test_a_metric_is_the_sum_of_those_of_the_spaces_by_weight() -> None:
    x, y = FEATURES[2], FEATURES[7]
    angle = math.acos(float(x @ y / x.norm() / y.norm()))
    assert distances_of("sphere")[2, 7] == pytest.approx(1.5 * angle)
    far = float(paired_hyperbolic_distance(0.7 * x, 0.7 * y, 0.8))
    assert distances_of("ball")[2, 7] == pytest.approx(1.5 * far)
    assert distances_of("hybrid")[2, 7] == pytest.approx(1.5 * angle + 0.4 * far)


def test_opposite_vectors_are_half_a_turn_apart() -> None:
    opposite = torch.tensor([[1.0, 2], [-3, -6]], dtype=torch.float64)
    found = own_distances(Geometry([Sphere()], [1.0], 1.0), opposite)
    assert found is not None
    assert found[0, 1] == pytest.approx(math.pi)


def test_an_inner_product_has_no_metric() -> None:
    assert own_distances(Geometry([Inner(1.0, None)], [1.0], 1.0), FEATURES) is None
