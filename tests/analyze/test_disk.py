"""The picture of the ball: its centre and radii are kept where two directions hold all."""

import numpy as np
import pytest

from geomix.analyze.disk import centre_plane, lay_out, place_in_disk


def test_a_plane_through_the_origin_keeps_its_radii() -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(30, 2)) * [3, 1]
    turned = flat @ np.linalg.qr(random.normal(size=(5, 5)))[0][:2]
    found = place_in_disk(turned, 0.5)
    assert found.share == pytest.approx(1)
    radii = np.linalg.norm(found.places, axis=1)
    np.testing.assert_allclose(radii, np.tanh(np.sqrt(0.5) * np.linalg.norm(flat, axis=1)))
    assert radii.max() < 1
    assert np.abs(found.places[:, 0]).sum() > np.abs(found.places[:, 1]).sum()


def test_signs_do_not_depend_on_those_of_the_decomposition() -> None:
    tangents = np.random.default_rng(1).normal(size=(40, 6)) + 1
    found = place_in_disk(tangents, 1.0)
    np.testing.assert_array_equal(found.places, place_in_disk(tangents.copy(), 1.0).places)
    np.testing.assert_allclose(place_in_disk(-tangents, 1.0).places, -found.places)


def test_the_origin_and_one_dimension_have_a_place() -> None:
    found = place_in_disk(np.array([[0.0], [2.0], [-1.0]]), 1.0)
    np.testing.assert_allclose(found.places, [[0, 0], [np.tanh(2), 0], [-np.tanh(1), 0]])
    assert place_in_disk(np.zeros((3, 4)), 1.0).share == 0


def disk_distances(places: np.ndarray) -> np.ndarray:
    """Return the hyperbolic distances of points in the disk, (n, n)."""
    points = places[:, 0] + 1j * places[:, 1]
    gaps = np.abs((points[:, None] - points) / (1 - np.conj(points[:, None]) * points))
    found: np.ndarray = 2 * np.arctanh(gaps)
    return found


def test_a_plane_is_moved_to_its_mean_and_all_distances_stay() -> None:
    plane = np.array([4, -2]) + np.random.default_rng(2).normal(size=(25, 2))
    heights = np.sqrt(1 + np.square(plane).sum(1))
    gaps = np.outer(heights, heights) - plane @ plane.T
    found = centre_plane(plane)
    np.testing.assert_allclose(disk_distances(found), np.arccosh(gaps.clip(1)), atol=1e-6)
    radii = np.square(found).sum(1, keepdims=True)
    np.testing.assert_allclose((2 * found / (1 - radii)).sum(0), 0, atol=1e-9)


def test_a_layout_keeps_neighbours_together_and_repeats() -> None:
    random = np.random.default_rng(3)
    groups = np.arange(40) % 4
    points = random.normal(size=(4, 8))[groups] * 4 + random.normal(size=(40, 8))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    found = lay_out(distances)
    assert (np.linalg.norm(found, axis=1) < 1).all()
    gaps = disk_distances(found)
    np.fill_diagonal(gaps, np.inf)
    assert (groups[gaps.argmin(1)] == groups).mean() > 0.9
    np.testing.assert_array_equal(lay_out(distances), found)
