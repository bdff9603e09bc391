"""The tree of images: a node shows the marks of its ancestors, and its samples differ a little."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geomix.data.lineages import hops, parse_paths
from geomix.datasets import tree_images
from geomix.errors import InputError


def test_each_node_has_its_samples() -> None:
    table, images = tree_images.draw_tree()
    assert images.shape == (484, 32, 32)
    assert images.dtype == np.uint8
    assert table["id"].is_unique
    assert table["lineage"].value_counts().unique().tolist() == [4]
    depth = parse_paths(table["lineage"].drop_duplicates()).depth
    assert np.bincount(depth).tolist() == [0, 1, 3, 9, 27, 81]


def test_no_two_images_are_the_same_and_none_is_empty() -> None:
    _, images = tree_images.draw_tree()
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.max(axis=(1, 2)).min() > 200


def test_images_are_farther_apart_the_more_hops_there_are_between() -> None:
    table, images = tree_images.draw_tree()
    lineages = parse_paths(table["lineage"])
    leaves = lineages.depth == 5
    between = hops(lineages[leaves], lineages[leaves])
    pixels = images[leaves].reshape(leaves.sum(), -1) / 255.0
    squares = (pixels**2).sum(1)
    gaps = squares[:, None] + squares - 2 * pixels @ pixels.T
    other = ~np.eye(len(pixels), dtype=bool)
    means = [gaps[(between == count) & other].mean() for count in (0, 2, 4, 6, 8)]
    assert means == sorted(means)
    assert means[0] < 0.8 * means[1]


def test_a_node_shows_the_marks_of_its_parent() -> None:
    random = np.random.default_rng(1)
    marks = [tree_images.draw_mark(random) for _ in range(3)]
    parent = tree_images.draw_image(marks[:2], np.random.default_rng(2))
    child = tree_images.draw_image(marks, np.random.default_rng(2))
    assert (child >= parent).all()
    assert (child > parent).any()


def test_marks_are_inside_of_the_image() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        _, points = tree_images.draw_mark(random)
        assert 5 <= points.mean(0).min() <= points.mean(0).max() <= 27


def test_the_raw_folder_is_listed_with_lineages(
    tmp_path: Path, obtain_raw: Callable[[str, Path], Path]
) -> None:
    listing = tree_images.read(obtain_raw("tree_images", tmp_path / "raw"))
    table, images = tree_images.draw_tree()
    assert listing.samples.equals(table)
    assert (listing.form, listing.side, listing.channels) == ("decoded", 32, 1)
    assert (listing.unit, listing.levels) == ("leaf", ())
    assert np.array_equal(np.stack([image for _, image in listing.images()])[..., 0], images)
    np.save(tmp_path / "raw" / "images.npy", images[:-1])
    with pytest.raises(InputError, match=r"found images of shape \(483, 32, 32\) and 484 rows"):
        tree_images.read(tmp_path / "raw")
