"""Batches: P classes, K images of each, no repetition, the same for the same seed."""

import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.train.batches import ClassBatches

LABELS = np.array(["b", "a", "c", "a", "b", "c", "b", "a", "c", "d", "d", "d", "d"])


def draw(seed: int, classes: int = 3, images: int = 2) -> list[list[int]]:
    batches = ClassBatches(LABELS, classes, images)
    return [batch.sample.tolist() for batch in batches.epoch(torch.Generator().manual_seed(seed))]


def test_a_batch_is_view_major_without_repetition() -> None:
    for seed in range(20):
        for batch in draw(seed):
            groups = LABELS[batch].reshape(2, 3)
            assert (groups == groups[:1]).all()
            assert len(set(groups[0])) == 3
            assert len(set(batch)) == 6


def test_a_batch_says_who_its_images_are() -> None:
    batches = ClassBatches(LABELS, 3, 2)
    assert batches.classes == 4
    for batch in batches.epoch(torch.Generator().manual_seed(0)):
        assert [sorted(set(LABELS)).index(label) for label in LABELS[batch.sample]] == batch.label.tolist()
        assert batch.view.tolist() == [0, 0, 0, 1, 1, 1]


def test_every_image_is_drawn_in_time() -> None:
    assert {row for seed in range(50) for batch in draw(seed) for row in batch} == set(range(len(LABELS)))


def test_an_epoch_is_as_many_batches_as_the_images_fill() -> None:
    assert len(draw(0)) == 13 // 6
    assert len(draw(0, classes=4, images=3)) == 1


def test_the_seed_fixes_the_batches() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


@pytest.mark.parametrize(
    ("classes", "images", "message"),
    [(5, 2, "batch.classes: found 5, expected at most the 4"), (2, 4, "batch.images: found 4, expected at most 3")],
)
def test_batches_larger_than_the_data_set_are_refused(classes: int, images: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClassBatches(LABELS, classes, images)
