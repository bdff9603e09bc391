"""How well distances agree with those of the known tree.

A sample of a class is a leaf below the node of that class: two of one class are 2 hops apart. A
sample with a lineage of its own is at its node. Classes without levels above them make a star: 2
hops within a class, 4 between any two.
"""

import numpy as np

from geomix.data.lineages import hops
from geomix.data.packed import Packed

LEAF = 2  # hops from a sample of a class up to the class and down to another sample


def tree_distances(packed: Packed, rows: np.ndarray) -> np.ndarray | None:
    """Count the hops between samples in the known tree.

    Args:
        packed: The data set.
        rows: Of its table, (n,).

    Returns:
        float64 (n, n), 0 on the diagonal; None of samples in a flat space.
    """
    if packed.coordinates is not None:
        return None
    lineages = packed.lineages[rows]
    found = hops(lineages, lineages).astype(np.float64)
    if "lineage" not in packed.samples:
        found += LEAF
        np.fill_diagonal(found, 0)
    return found


def is_star(packed: Packed) -> bool:
    """Whether the tree has classes and nothing above them."""
    return "lineage" not in packed.samples and not packed.card["levels"]


def cophenetic_correlation(distances: np.ndarray, tree: np.ndarray) -> float:
    """Return Pearson's correlation of distances with those of the tree, over pairs (CPCC).

    Args:
        distances: Symmetric, (n, n), n > 1.
        tree: Likewise.

    Returns:
        In [-1, 1]; 1 where distances are those of the tree up to a factor and an offset. NaN where
        either is constant.

    Raises:
        ValueError: On shapes that do not fit.

    Source:
        Sokal and Rohlf 1962, here over samples; arXiv:2410.03052 takes the means of classes.
    """
    both = [side - side.mean() for side in _pairs(distances, tree)]
    sizes = [float(np.sqrt((side**2).sum())) for side in both]
    if min(sizes) == 0:
        return np.nan
    return float(both[0] @ both[1] / (sizes[0] * sizes[1]))


def average_distortion(distances: np.ndarray, tree: np.ndarray) -> float:
    """Return the mean relative error of distances, in the unit that makes it least.

        min_s  mean over pairs |s d - t| / t

    Args:
        distances: d, symmetric, (n, n), n > 1.
        tree: t, likewise; pairs at 0 are left out.

    Returns:
        In [0, 1]; 0 where distances are those of the tree up to a factor. NaN without a pair apart.

    Raises:
        ValueError: On shapes that do not fit.

    Source:
        Sala et al. 2018 (arXiv:1804.03329), whose distances have a unit; here it is free.
    """
    found, known = _pairs(distances, tree)
    apart = known > 0
    if not apart.any():
        return np.nan
    ratios = found[apart] / known[apart]  # the error of a pair is |s ratio - 1|
    order = np.argsort(ratios, kind="stable")
    weight = ratios[order].cumsum()
    if weight[-1] == 0:
        return 1.0
    # It falls until half of the weight lies beyond 1 / s: the best 1 / s is a weighted median.
    median = ratios[order][np.searchsorted(weight, weight[-1] / 2)]
    return float(np.abs(ratios / median - 1).mean())


def _pairs(distances: np.ndarray, tree: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both sides of all pairs, each counted once."""
    if distances.shape != tree.shape or tree.ndim != 2 or len(set(tree.shape)) > 1 or len(tree) < 2:
        found = f"shapes {distances.shape} and {tree.shape}"
        raise ValueError(f"distances and tree: found {found}, expected (n, n) twice, n > 1")
    above = np.triu_indices(len(tree), 1)
    return distances[above], tree[above]
