"""Agreement with the tree: whole where distances are the tree's, none where they are unrelated."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from geomix.analyze.trees import (
    average_distortion,
    cophenetic_correlation,
    is_star,
    tree_distances,
)
from geomix.data.packed import Packed


@pytest.fixture
def tree(packed: Packed) -> np.ndarray:
    """Return the distances of some samples in the tree of their classes."""
    found = tree_distances(packed, np.arange(0, 60, 2))
    assert found is not None
    return found


def noisy(tree: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(2).uniform(0.3, 2, tree.shape)
    distances: np.ndarray = tree * (noise + noise.T) / 2
    return distances


def test_samples_are_leaves_below_their_classes(packed: Packed) -> None:
    found = tree_distances(packed, np.array([0, 1, 20, 40, 5]))  # classes 0, 0, 4, 8, 1
    assert found is not None
    assert found[0].tolist() == [0, 2, 4, 4, 8]


def test_classes_without_levels_are_a_star(packed: Packed) -> None:
    assert not is_star(packed)
    bare = replace(packed, card=packed.card | {"levels": []})
    assert is_star(bare)
    found = tree_distances(bare, np.array([0, 1, 20, 5]))
    assert found is not None
    assert found[0].tolist() == [0, 2, 4, 4]


def test_samples_with_lineages_are_nodes_of_the_tree(packed: Packed) -> None:
    paths = pd.Series(["a", "a/x", "a/x", "b/y"] * 15)
    rooted = replace(packed, samples=packed.samples.assign(lineage=paths))
    found = tree_distances(rooted, np.arange(4))
    assert found is not None
    assert found.tolist() == [[0, 1, 1, 3], [1, 0, 0, 4], [1, 0, 0, 4], [3, 4, 4, 0]]
    assert not is_star(rooted)


def test_samples_in_a_plane_are_in_no_tree(packed: Packed) -> None:
    samples = packed.samples.assign(x="1", y="2")
    plane = replace(packed, samples=samples, card=packed.card | {"coordinates": ["x", "y"]})
    assert tree_distances(plane, np.arange(4)) is None
    assert not is_star(plane)


def test_distances_of_the_tree_agree_with_it(tree: np.ndarray) -> None:
    assert cophenetic_correlation(tree, tree) == pytest.approx(1)
    assert cophenetic_correlation(3 * tree + 2, tree) == pytest.approx(1)
    assert cophenetic_correlation(-tree, tree) == pytest.approx(-1)
    assert average_distortion(tree, tree) == pytest.approx(0, abs=1e-15)
    assert average_distortion(0.01 * tree, tree) == pytest.approx(0, abs=1e-15)


def test_cophenetic_correlation_is_that_of_pairs(tree: np.ndarray) -> None:
    distances = noisy(tree)
    pairs = list(combinations(range(len(tree)), 2))
    columns = [[table[pair] for pair in pairs] for table in (distances, tree)]
    expected = np.corrcoef(columns)[0, 1]
    assert 0.1 < expected < 0.99
    assert cophenetic_correlation(distances, tree) == pytest.approx(expected)


def test_unrelated_distances_do_not_correlate(tree: np.ndarray) -> None:
    random = np.random.default_rng(3).uniform(1, 2, tree.shape)
    assert abs(cophenetic_correlation(random + random.T, tree)) < 0.15
    assert np.isnan(cophenetic_correlation(np.ones_like(tree), tree))


def test_distortion_is_least_over_all_units(tree: np.ndarray) -> None:
    distances = noisy(tree)
    pairs = list(combinations(range(len(tree)), 2))
    errors = [
        np.mean([abs(scale * distances[pair] - tree[pair]) / tree[pair] for pair in pairs])
        for scale in np.linspace(0, 3, 3001)
    ]
    assert average_distortion(distances, tree) == pytest.approx(min(errors), abs=1e-3)
    assert average_distortion(distances, tree) <= min(errors) + 1e-12


def test_pairs_at_one_node_have_no_distortion() -> None:
    tree = np.array([[0, 0, 2], [0, 0, 4], [2, 4, 0.0]])
    distances = np.array([[0, 9, 1], [9, 0, 2], [1, 2, 0.0]])
    assert average_distortion(distances, tree) == 0
    assert np.isnan(average_distortion(distances, np.zeros((3, 3))))
    assert average_distortion(np.zeros((3, 3)), tree) == 1


def test_shapes_that_do_not_fit_are_refused(tree: np.ndarray) -> None:
    for measure in (cophenetic_correlation, average_distortion):
        with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(30, 30\), expected"):
            measure(np.zeros((2, 2)), tree)
