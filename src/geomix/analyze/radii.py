"""Radii: how far points lie from the origin, and what goes with it.

A radius may say how general a sample is (its level in a tree) or how ambiguous (an image between
classes). Both are measured by rank correlation, with an interval over classes, because samples of a
class are near copies of each other.
"""

from typing import NamedTuple

import numpy as np

BINS = 40  # of a histogram
NEIGHBOURS = 10  # among which those of other classes are counted
DRAWS = 999  # of classes, for an interval
CONSTANT = 1e-12  # of n^3: sums of squares of ranks below this are rounding
ENDS = (0.025, 0.975)  # of a 95 % interval


class Correlation(NamedTuple):
    """A mean rank correlation with its interval over clusters, and the value of each seed."""

    mean: float
    low: float
    high: float
    per_seed: tuple[float, ...]


def count_radii(radii: np.ndarray, top: float) -> np.ndarray:
    """Count radii (n,) in 40 bins of equal width from 0 to the top, the last with its end."""
    return np.histogram(radii, bins=BINS, range=(0, top))[0]


def measure_ambiguity(
    features: np.ndarray, labels: np.ndarray, rows: np.ndarray, neighbours: int = NEIGHBOURS
) -> np.ndarray:
    """Return the share of other classes among the nearest samples by cosine.

    The cosine does not see radii, so that a correlation with them is none by construction.

    Args:
        features: Of all samples, (N, D).
        labels: Their classes, (N,).
        rows: Of the samples that are asked for, (n,).
        neighbours: Taken of each; all others where there are fewer.

    Returns:
        In [0, 1], (n,).
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(norms > 0, norms, 1)
    cosines = directions[rows] @ directions.T
    neighbours = min(neighbours, len(features) - 1)
    cosines[np.arange(len(rows)), rows] = -np.inf  # a sample is no neighbour of its own
    nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
    found: np.ndarray = (labels[nearest] != labels[rows][:, None]).mean(1)
    return found


def correlate_ranks(
    radii: np.ndarray, values: np.ndarray, clusters: np.ndarray, random: np.random.Generator
) -> Correlation:
    """Correlate radii with a value of the samples, by ranks, with an interval over clusters.

    Clusters are drawn with replacement, the same in every seed, and ranked anew.

    Args:
        radii: Of n samples in S seeds, (S, n).
        values: Likewise.
        clusters: The cluster of each sample, (n,).
        random: What draws.

    Returns:
        Spearman's correlation, mean over seeds, and its 95 % interval; NaN where radii or values
        are constant.

    Raises:
        ValueError: On shapes that do not fit.
    """
    if radii.shape != values.shape or radii.ndim != 2 or radii.shape[1] != len(clusters):
        found = f"{radii.shape}, {values.shape} and {len(clusters)} clusters"
        raise ValueError(f"correlate_ranks: found {found}, expected (S, n) twice and n clusters")
    _, cluster = np.unique(clusters, return_inverse=True)
    count = cluster.max() + 1
    drawn = random.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    weights = np.vstack([np.ones(len(clusters)), drawn[:, cluster]])  # (1 + DRAWS, n)
    each = np.stack([weigh_ranks(*both, weights) for both in zip(radii, values, strict=True)])
    means = each.mean(0)
    # Draws in which one side is constant have no correlation; where all are, there is none at all.
    known = means[1:][~np.isnan(means[1:])]
    low, high = np.quantile(known, ENDS) if len(known) else (np.nan, np.nan)
    return Correlation(float(means[0]), float(low), float(high), tuple(each[:, 0].tolist()))


def weigh_ranks(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of a and b (n,), samples counted as weights (B, n) say."""
    totals = weights.sum(1, keepdims=True)
    ranks = [_rank(side, weights) for side in (a, b)]
    x, y = (one - (weights * one).sum(1, keepdims=True) / totals for one in ranks)
    products = [(weights * one * other).sum(1) for one, other in ((x, y), (x, x), (y, y))]
    sizes = np.sqrt(products[1] * products[2])
    vary = sizes > CONSTANT * totals[:, 0] ** 3
    found: np.ndarray = np.where(vary, products[0], np.nan) / np.where(vary, sizes, 1)
    return found


def _rank(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean ranks of values (n,), each taken as often as a row of weights (B, n) says."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    held = np.add.reduceat(weights[:, order], starts, axis=1)  # samples at each level, (B, L)
    middle = held.cumsum(1) - held / 2  # up to a constant 1/2, the mean rank of a level
    return middle[:, level]
