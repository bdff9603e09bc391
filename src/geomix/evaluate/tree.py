"""How well a tree of proxies agrees with the known hierarchy.

Beside it stand a random tree and one of Euclidean k-means.

A tree is two arrays: the parent of each node, -1 for the root, and the node of each sample.
"""

import heapq
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster.vq import kmeans2

from geomix.data.packed import Packed
from geomix.errors import InputError


class Tree(NamedTuple):
    """Parents (P,) of the nodes, and the nodes (n,) where the samples are."""

    parents: np.ndarray
    nodes: np.ndarray


def read_tree(folder: Path, split: str) -> Tree:
    """Read the tree that a cell learned, and the places of a split's samples in it.

    Raises:
        InputError: If the cell has none.
    """
    try:
        parents = pd.read_csv(folder / "tree.csv")["parent"].to_numpy()
        with np.load(folder / "embeddings.npz", allow_pickle=False) as embeddings:
            return Tree(parents, embeddings[f"{split}_proxy"])
    except (FileNotFoundError, KeyError) as error:
        raise InputError(
            f"{folder}/tree.csv: found no tree of {split}, expected one of a regulariser: {error}"
        ) from None


def dendrogram_purity(tree: Tree, classes: np.ndarray) -> float:
    """Return the mean purity of the smallest subtree that holds two samples of a class.

    The mean is over all such pairs.

    Args:
        tree: The tree; a node and all below it are a subtree, and samples of one node have that
            node's.
        classes: Of the samples, int (n,), 0 to C - 1.

    Returns:
        A share in (0, 1]: of the subtree's samples those of that class. 1 where each class fills a
        subtree; NaN where no class has two samples.

    Raises:
        InputError: If the parents have a cycle.

    Cost:
        O(P C) in time and memory; no loop over pairs.

    Source:
        Heller and Ghahramani 2005, Bayesian hierarchical clustering, section 4.
    """
    counts = np.zeros((len(tree.parents), int(classes.max()) + 1))
    np.add.at(counts, (tree.nodes, classes), 1)
    below = np.zeros_like(counts)  # pairs that a child's subtree holds already
    for node in _from_the_leaves(tree.parents):
        parent = tree.parents[node]
        if parent >= 0:
            counts[parent] += counts[node]
            below[parent] += counts[node] * (counts[node] - 1) / 2
    pairs = counts * (counts - 1) / 2 - below
    purities = counts / counts.sum(1, keepdims=True).clip(1)
    total = pairs.sum()
    return float((pairs * purities).sum() / total) if total else float("nan")


def shuffle_tree(tree: Tree, seed: int) -> Tree:
    """Give a random tree of the same shape: as many samples at each node, dealt out at random."""
    return Tree(tree.parents, np.random.default_rng(seed).permutation(tree.nodes))


def kmeans_tree(vectors: np.ndarray, leaves: int, branches: int, seed: int) -> Tree:
    """Divide samples by Euclidean k-means, the largest group first, until there are so many leaves.

    Args:
        vectors: Of the samples, (n, D).
        leaves: How many, at most; fewer where samples coincide.
        branches: k, children of a node.
        seed: Of the first centres.
    """
    random = np.random.default_rng(seed)
    parents, nodes = [-1], np.zeros(len(vectors), dtype=np.int64)
    largest, count = [(-len(vectors), 0)], 1
    while count < leaves and largest:
        _, node = heapq.heappop(largest)
        members = np.flatnonzero(nodes == node)
        k = min(branches, leaves - count + 1, len(np.unique(vectors[members], axis=0)))
        if k < 2:
            continue
        with warnings.catch_warnings():  # a group that ends empty is no child
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            _, groups = kmeans2(vectors[members].astype(np.float64), k, minit="++", rng=random)
        present, groups = np.unique(groups, return_inverse=True)
        if len(present) < 2:
            continue
        for child in range(len(present)):
            inside = members[groups == child]
            nodes[inside] = len(parents)
            heapq.heappush(largest, (-len(inside), len(parents)))
            parents.append(node)
        count += len(present) - 1
    return Tree(np.array(parents), nodes)


def compare_trees(
    tree: Tree, vectors: np.ndarray, levels: Mapping[str, np.ndarray], seed: int = 0
) -> list[dict[str, object]]:
    """Score a learned tree beside a random one of its shape and one of k-means.

    The latter has the same numbers of leaves and branches. Leaves are nodes with samples, branches
    the children of a node with any, on average, both in the part of the learned tree that leads to
    samples.

    Args:
        tree: The learned one.
        vectors: Of the samples, for k-means, (n, D).
        levels: By name, coarse to fine, the class of each sample, int (n,).
        seed: Of the other two.

    Returns:
        For each level a row: level, the dendrogram purities learned, random, kmeans; and, the same
        for all, how many nodes of the learned tree are holding samples, and the share of samples at
        the fullest.
    """
    leaves, held = np.unique(tree.nodes, return_counts=True)
    places = {"holding": len(leaves), "fullest": float(held.max() / held.sum())}
    used = np.zeros(len(tree.parents), dtype=bool)
    used[leaves] = True
    for node in _from_the_leaves(tree.parents):
        if tree.parents[node] >= 0:
            used[tree.parents[node]] |= used[node]
    children = np.bincount(tree.parents[used & (tree.parents >= 0)], minlength=1)
    branches = max(2, round(float(children[children > 0].mean()))) if children.any() else 2
    others = {
        "random": shuffle_tree(tree, seed),
        "kmeans": kmeans_tree(vectors, len(leaves), branches, seed),
    }
    trees = {"learned": tree, **others}
    return [
        {
            "level": level,
            **{name: dendrogram_purity(candidate, classes) for name, candidate in trees.items()},
            **places,
        }
        for level, classes in levels.items()
    ]


def score_tree(
    folder: Path, vectors: Mapping[str, np.ndarray], packed: Packed
) -> list[dict[str, object]]:
    """Compare the tree of a cell with the known hierarchy of the test images.

    Rows are those of `compare_trees`.

    Args:
        folder: Of the cell.
        vectors: Of the cell; `test_head` is what k-means divides.
        packed: The data set.
    """
    samples = packed.samples.iloc[packed.rows("test")]
    levels = {level: pd.factorize(samples[level])[0] for level in [*packed.card["levels"], "label"]}
    return compare_trees(read_tree(folder, "test"), vectors["test_head"], levels)


def _from_the_leaves(parents: np.ndarray) -> np.ndarray:
    """Order nodes so that each comes before its parent, the deepest first."""
    depths, above = np.zeros(len(parents), dtype=np.int64), parents.copy()
    while (above >= 0).any():
        if depths.max() > len(parents):
            raise InputError("tree: found a cycle of parents, expected a root above every node")
        depths += above >= 0
        above = np.where(above >= 0, parents[above], -1)
    return np.argsort(-depths, kind="stable")
