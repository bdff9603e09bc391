"""Batches of classes, of views, and of leaves with their ancestors; the seed fixes them."""

import numpy as np
import pytest
import torch

from geomix.data.lineages import parse_paths
from geomix.errors import InputError
from geomix.losses.table import Table
from geomix.train import batches as batches_module
from geomix.train.batches import ClassBatches, ImageBatches, TreeBatches

LABELS = np.array(["b", "a", "c", "a", "b", "c", "b", "a", "c", "d", "d", "d", "d"])


def draw(seed: int, classes: int = 3, images: int = 2) -> list[list[int]]:
    batches = ClassBatches(LABELS, classes, images)
    return [images.tolist() for images, _ in batches.epoch(torch.Generator().manual_seed(seed))]


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
    for images, batch in batches.epoch(torch.Generator().manual_seed(0)):
        assert [
            sorted(set(LABELS)).index(label) for label in LABELS[images]
        ] == batch.label.tolist()
        assert batch.sample.tolist() == images.tolist()
        assert batch.view.tolist() == [0, 0, 0, 1, 1, 1]


def test_every_image_is_drawn_in_time() -> None:
    assert {row for seed in range(50) for batch in draw(seed) for row in batch} == set(
        range(len(LABELS))
    )


def test_an_epoch_is_as_many_batches_as_the_images_fill() -> None:
    assert len(draw(0)) == 13 // 6
    assert len(draw(0, classes=4, images=3)) == 1


def test_the_seed_fixes_the_batches() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


@pytest.mark.parametrize(
    ("classes", "images", "message"),
    [
        (5, 2, "batch.classes: found 5, expected at most the 4"),
        (2, 4, "batch.images: found 4, expected at most 3"),
    ],
)
def test_batches_larger_than_the_data_set_are_refused(
    classes: int, images: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ClassBatches(LABELS, classes, images)


def draw_images(seed: int, length: int = 13, views: int = 8) -> list[tuple[torch.Tensor, Table]]:
    return list(ImageBatches(length, views).epoch(torch.Generator().manual_seed(seed)))


def test_without_labels_a_batch_has_two_views_of_each_image_view_major() -> None:
    for images, batch in draw_images(0):
        assert images[:4].tolist() == images[4:].tolist()
        assert batch.label.tolist() == images.tolist()
        assert batch.view.tolist() == [0] * 4 + [1] * 4


def test_without_labels_each_view_is_a_sample_of_its_own_and_an_epoch_repeats_none() -> None:
    batches = draw_images(0)
    assert len(batches) == 13 // 4
    samples = [sample for _, batch in batches for sample in batch.sample.tolist()]
    assert len(set(samples)) == len(samples) == 24


def test_without_labels_images_are_drawn_uniformly_and_the_seed_fixes_them() -> None:
    drawn = torch.cat(
        [images for seed in range(300) for images, _ in draw_images(seed)[:1]]
    ).bincount(minlength=13)
    assert drawn.float() / drawn.sum() == pytest.approx(torch.full((13,), 1 / 13), abs=0.02)
    first, again, other = (
        [images.tolist() for images, _ in draw_images(seed)] for seed in (5, 5, 6)
    )
    assert first == again != other


@pytest.mark.parametrize("views", [9, 28])
def test_views_that_no_images_give_are_refused(views: int) -> None:
    with pytest.raises(
        InputError,
        match=f"batch: found classes \\* images = {views}, expected an even number of at most 26",
    ):
        ImageBatches(13, views)


# Nodes with one to three samples; a/x has descendants but no samples of its own.
PATHS = [
    *("a", "a", "a/b", "a/b/c", "a/b/c", "a/b/c", "a/b/d", "a/b/d"),
    *("a/x/e", "a/x/e", "a/x/f", "g", "g"),
]


def tree_batches(monkeypatch: pytest.MonkeyPatch, whole: int, leaves: int = 3) -> TreeBatches:
    monkeypatch.setattr(batches_module, "WHOLE", whole)
    return TreeBatches(parse_paths(PATHS), None, leaves, 2)


def test_a_small_tree_is_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = tree_batches(monkeypatch, len(PATHS))
    assert batches.per_epoch == 1
    [(rows, table)] = batches.epoch(torch.Generator())
    assert rows.tolist() == table.sample.tolist() == list(range(len(PATHS)))
    assert table.path is not None
    assert table.path.tolist() == parse_paths(PATHS).codes.tolist()


def test_a_batch_of_a_large_tree_is_leaves_with_one_sample_of_each_ancestor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = tree_batches(monkeypatch, len(PATHS) - 1)
    assert batches.per_epoch == len(PATHS) // 6
    leaves = {"a/b/c", "a/b/d", "a/x/e", "a/x/f", "g"}
    seen = set()
    for seed in range(50):
        for rows, table in batches.epoch(torch.Generator().manual_seed(seed)):
            paths = [PATHS[row] for row in rows.tolist()]
            drawn = [path for path in paths if path in leaves]
            assert len(set(drawn)) == 3
            assert all(drawn.count(path) == min(2, PATHS.count(path)) for path in drawn)
            above = {"/".join(path.split("/")[:n]) for path in drawn for n in (1, 2)}
            ancestors = sorted(path for path in paths if path not in leaves)
            assert ancestors == sorted((above - set(drawn)) & set(PATHS))
            assert table.sample.tolist() == rows.tolist()
            assert len(set(rows.tolist())) == len(rows)
            seen |= set(rows.tolist())
    assert seen == set(range(len(PATHS)))


def test_fewer_leaves_than_a_batch_asks_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="batch.classes: found 6, expected at most the 5 leaves"):
        tree_batches(monkeypatch, 5, leaves=6)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/b", "a/c", "d/b"], False),
        (["a/b", "a/c", "a/c"], True),
        (["a/b/e", "a", "d/b"], True),
    ],
)
def test_a_tree_has_relatives_at_one_node_or_at_nodes_above(
    paths: list[str], expected: bool
) -> None:
    assert TreeBatches(parse_paths(paths), None, 2, 2).has_relatives == expected
