"""Trees: purity by definition, shapes that stay, and agreement with a known hierarchy."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.errors import InputError
from geomix.evaluate.tree import (
    Tree,
    compare_trees,
    dendrogram_purity,
    kmeans_tree,
    read_tree,
    shuffle_tree,
)

PARENTS = np.array([-1, 0, 0, 1, 1, 2, 2])  # two subtrees of two leaves


def purity_by_definition(tree: Tree, classes: np.ndarray) -> float:
    def path(node: int) -> list[int]:
        return [node, *path(tree.parents[node])] if node >= 0 else []

    purities = []
    for i, j in combinations(range(len(classes)), 2):
        if classes[i] == classes[j]:
            ancestor = next(node for node in path(tree.nodes[i]) if node in path(tree.nodes[j]))
            inside = [classes[k] for k, node in enumerate(tree.nodes) if ancestor in path(node)]
            purities.append(np.mean(np.array(inside) == classes[i]))
    return float(np.mean(purities))


@pytest.mark.parametrize("seed", range(5))
def test_the_purity_is_that_of_the_smallest_subtree_of_each_pair(seed: int) -> None:
    random = np.random.default_rng(seed)
    parents = np.array([random.integers(0, node) if node else -1 for node in range(9)])
    swap = random.permutation(9)  # a parent need not come before its children
    tree = Tree(
        np.array(
            [-1 if parents[old] < 0 else np.flatnonzero(swap == parents[old])[0] for old in swap]
        ),
        swap[:5][[0, 1, 2, 3, 4, 0, 2, 2, 1]],
    )
    classes = random.integers(0, 3, 9)
    assert dendrogram_purity(tree, classes) == pytest.approx(
        purity_by_definition(tree, classes), rel=1e-12
    )


def test_classes_that_fill_subtrees_are_pure_at_every_level() -> None:
    tree = Tree(PARENTS, np.array([3, 3, 4, 4, 5, 5, 6, 6]))
    assert dendrogram_purity(tree, np.array([0, 0, 1, 1, 2, 2, 3, 3])) == 1
    assert dendrogram_purity(tree, np.array([0, 0, 0, 0, 1, 1, 1, 1])) == 1
    assert dendrogram_purity(tree, np.array([0, 1, 0, 1, 0, 1, 0, 1])) == pytest.approx(0.5)


def test_no_pair_gives_no_purity() -> None:
    assert np.isnan(dendrogram_purity(Tree(PARENTS, np.array([3, 4])), np.array([0, 1])))


def test_a_cycle_is_refused() -> None:
    with pytest.raises(InputError, match="tree: found a cycle of parents"):
        dendrogram_purity(Tree(np.array([-1, 2, 1]), np.array([1, 2])), np.array([0, 0]))


def test_a_shuffled_tree_has_the_same_shape() -> None:
    tree = Tree(PARENTS, np.repeat([3, 4, 5, 6], [1, 2, 3, 40]))
    shuffled = shuffle_tree(tree, 0)
    assert (shuffled.parents == PARENTS).all()
    assert (np.bincount(shuffled.nodes) == np.bincount(tree.nodes)).all()
    assert (shuffled.nodes != tree.nodes).any()


@pytest.mark.parametrize(("leaves", "branches"), [(7, 2), (9, 4), (1, 3)])
def test_kmeans_gives_a_tree_of_so_many_leaves(leaves: int, branches: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 3))
    tree = kmeans_tree(vectors, leaves, branches, 0)
    assert len(np.unique(tree.nodes)) == leaves
    assert np.bincount(tree.parents[1:], minlength=1).max() <= branches
    assert not set(tree.nodes.tolist()) & set(tree.parents.tolist())
    again = kmeans_tree(vectors, leaves, branches, 0)
    assert (again.nodes == tree.nodes).all()


def test_equal_vectors_are_not_divided() -> None:
    assert len(np.unique(kmeans_tree(np.ones((9, 2)), 4, 2, 0).nodes)) < 4


def test_the_tree_that_was_learned_is_told_from_the_others() -> None:
    fine = np.repeat(np.arange(4), 10)
    rows = compare_trees(
        Tree(PARENTS, fine + 3),
        np.random.default_rng(0).normal(size=(40, 5)),
        {"coarse": fine // 2, "fine": fine},
    )
    assert [row["level"] for row in rows] == ["coarse", "fine"]
    assert all(row["learned"] == 1 for row in rows)
    assert all(0.1 < row[name] < 0.8 for row in rows for name in ("random", "kmeans"))  # type: ignore[operator]


def test_nodes_that_hold_samples_are_counted_with_the_fullest() -> None:
    tree, vectors = (
        Tree(PARENTS, np.array([3, 3, 3, 6])),
        np.random.default_rng(0).normal(size=(4, 2)),
    )
    (row,) = compare_trees(tree, vectors, {"label": np.array([0, 0, 1, 1])})
    assert (row["holding"], row["fullest"]) == (2, 0.75)


def test_kmeans_finds_groups_that_lie_apart() -> None:
    fine = np.repeat(np.arange(4), 10)
    centres = np.array([[0, 0], [0, 3], [50, 0], [50, 3]])
    vectors = centres[fine] + np.random.default_rng(0).normal(size=(40, 2)) / 10
    tree = Tree(PARENTS, np.tile([3, 4, 5, 6], 10))
    assert all(
        row["kmeans"] == 1
        for row in compare_trees(tree, vectors, {"coarse": fine // 2, "fine": fine})
    )


def test_a_cell_without_a_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"tree.csv: found no tree of test, expected one of a regulariser"
    ):
        read_tree(tmp_path, "test")
    pd.DataFrame({"proxy": [0, 1], "parent": [-1, 0]}).to_csv(tmp_path / "tree.csv", index=False)
    np.savez(tmp_path / "embeddings.npz", test_proxy=np.array([1, 1, 0]))
    tree = read_tree(tmp_path, "test")
    assert tree.parents.tolist() == [-1, 0]
    assert tree.nodes.tolist() == [1, 1, 0]
