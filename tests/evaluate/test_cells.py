"""Cells: which of many samples are looked at."""

import numpy as np
import pytest

from geomix.evaluate.cells import space_evenly


@pytest.mark.parametrize(("count", "most"), [(1, 5), (7, 7), (8, 7), (13, 7), (999, 256), (0, 4)])
def test_places_are_as_many_as_allowed_and_their_steps_differ_by_at_most_one(
    count: int, most: int
) -> None:
    places = space_evenly(count, most)
    assert len(places) == min(count, most)
    if count:
        assert (places[0], places[-1]) == (0, count - 1)
    steps = np.diff(places)
    if len(steps):
        assert steps.min() >= 1
        assert np.ptp(steps) <= 1


@pytest.mark.parametrize("most", [128, 256, 512, 1024, 2048])
@pytest.mark.parametrize(
    ("classes", "images"), [(152, 12), (456, 12), (207, 20), (659, 20)], ids=str
)
def test_of_classes_that_are_stored_one_after_the_other_all_images_are_met(
    classes: int, images: int, most: int
) -> None:
    """Val and test of glyphs, letters in 12 faces, and of omniglot, characters by 20 people."""
    met = np.bincount(space_evenly(classes * images, most) % images, minlength=images)
    assert met.min() > 0.6 * min(most, classes * images) / images
