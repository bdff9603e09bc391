"""The picture of the ball: its centre and radii are kept where two directions hold all."""

import numpy as np
import pytest

from geomix.analyze.disk import place_in_disk


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
