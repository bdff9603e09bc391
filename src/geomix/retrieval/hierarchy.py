"""Metrics of rankings in which an item can be more or less relevant, and of distances in a tree.

Metrics take whole rankings: one column for each item that was searched, the closest first. The
query itself is left out by the caller, by its row. Every metric has a value for each query, (Q,),
to be averaged by the caller; NaN where it is not defined, left out of means (np.nanmean).

Functions that take arrays raise ValueError for shapes, types or values other than those of their
docstrings.
"""

import numpy as np
import pandas as pd

from geomix.data.lineages import Lineages, require_one_tree

LEAST = 3  # items of one depth, for a correlation: two items can only agree or disagree


def average_precision(hits: np.ndarray) -> np.ndarray:
    """Return AP of each query: the mean over its relevant items of the precision at their ranks.

    Args:
        hits: Which items are relevant, in order of the ranking, booleans (Q, N), Q, N > 0. The
            ranking is whole, so all relevant items are in it.

    Returns:
        (Q,) in (0, 1]; NaN where nothing is relevant.

    Source:
        Manning et al. 2008, Introduction to information retrieval, section 8.4.
    """
    _check_ranked(hits, "b")
    return _divide(_sum_precisions(hits), hits.sum(1))


def hierarchical_ap(relevances: np.ndarray) -> np.ndarray:
    """Return H-AP of each query: average precision where items are more or less relevant.

    With rel_k the relevance of the item at rank k:

        H-AP = sum_k [ (1 / k) sum_{j <= k} min(rel_k, rel_j) ] / sum_k rel_k

    It does not change when all relevances of a query are multiplied by one number, and is AP where
    they are 0 and 1.

    Args:
        relevances: In order of the ranking, finite, at least 0, (Q, N), Q, N > 0.

    Returns:
        (Q,) in (0, 1]; NaN where nothing is relevant. 1 if no item is above a more relevant one.

    Cost:
        O(N D) for each query, with D the most distinct relevances that any query has.

    Source:
        Ramzi et al. 2022 (arXiv:2207.04873) and its code, happier/engine/metrics.py. That code
        counts a relevance twice where two levels have the same one; the formula, and this, once.
    """
    _check_ranked(relevances, "iuf")
    relevances = relevances.astype(float)
    summed = np.zeros(len(relevances))
    below = np.zeros(len(relevances))
    for threshold in _distinct(relevances).T:  # (Q,)
        # min(a, b) is the sum of the steps between thresholds that both a and b reach. So H-AP's
        # double sum is one of precisions for each threshold.
        summed += (threshold - below) * _sum_precisions(relevances >= threshold[:, None])
        below = threshold
    return _divide(summed, relevances.sum(1))


def ndcg(levels: np.ndarray) -> np.ndarray:
    """Return nDCG of each query: the discounted gain of its ranking over that of the best one.

    An item at rank k that shares l levels with the query adds (2^l - 1) / log2(1 + k).

    Args:
        levels: Shared levels in order of the ranking, integers (Q, N), at least 0, Q, N > 0.

    Returns:
        (Q,) in (0, 1]; NaN where no item shares a level.

    Source:
        Järvelin and Kekäläinen 2002; the gain of Burges et al. 2005. The same as that of
        happier/engine/metrics.py for whole rankings.
    """
    _check_ranked(levels, "iu")
    gains = np.exp2(levels.astype(float)) - 1
    discounts = np.log2(1 + np.arange(1, levels.shape[1] + 1))
    best = np.sort(gains, axis=1)[:, ::-1]
    return _divide((gains / discounts).sum(1), (best / discounts).sum(1))


def asi(levels: np.ndarray) -> np.ndarray:
    """Return the average set intersection of each query's ranking with the best one.

    With count_l(n) the items among the first n that share exactly l levels, best_l(n) the same in a
    ranking by shared levels, and N+ the items with l > 0:

        ASI = (1 / N+) sum_{n <= N+} (1 / n) sum_{l > 0} min(count_l(n), best_l(n))

    Args:
        levels: Shared levels in order of the ranking, integers (Q, N), at least 0, Q, N > 0.

    Returns:
        (Q,) in [0, 1]; NaN where no item shares a level. 1 if no item is above one that shares
        more.

    Source:
        The code of Ramzi et al. 2022 (arXiv:2207.04873), happier/engine/metrics.py.
    """
    _check_ranked(levels, "iu")
    ranks = np.arange(1, levels.shape[1] + 1)
    common = np.zeros(levels.shape)
    deeper = np.zeros((len(levels), 1), np.int64)  # items before those of a level in the best order
    for level in range(int(levels.max()), 0, -1):
        count = (levels == level).cumsum(1)
        best = (ranks - deeper).clip(0, count[:, -1:])
        common += np.minimum(count, best)
        deeper = deeper + count[:, -1:]
    counted = ranks <= deeper  # by now all items with l > 0
    return _divide((common / ranks * counted).sum(1), deeper[:, 0])


def happier_relevance(levels: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return how relevant items are, such that each level matters by l^alpha as a whole.

    An item that shares l levels with the query has the relevance

        rel = l^alpha / number of items that share exactly l levels, 0 for l = 0

    An item that shares more can have less if its level has many more items.

    Args:
        levels: Shared levels of all items of each query, in any order, integers (Q, N), at least 0,
            Q, N > 0.
        alpha: Weight of deep levels, finite, at least 0.

    Returns:
        (Q, N), at least 0, in the same order, for `hierarchical_ap`.

    Source:
        Ramzi et al. 2022 (arXiv:2207.04873) and its code,
        happier/engine/compute_relevance_on_the_fly.py, up to a factor that H-AP does not see. That
        code counts the query itself among the items of the deepest level. Here it is counted only
        if the caller left it in.
    """
    _check_ranked(levels, "iu")
    if not np.isfinite(alpha) or alpha < 0:
        raise ValueError(f"hierarchy: found alpha = {alpha}, expected finite, at least 0")
    relevances = np.zeros(levels.shape)
    for level in range(1, int(levels.max()) + 1):
        inside = levels == level
        count = inside.sum(1, keepdims=True).clip(1)
        relevances += inside * (level**alpha / count)
    return relevances


def hop_correlation(similarity: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each query's similarities with minus the hops.

    Items of the same value share the mean of their ranks.

    Args:
        similarity: To each item, finite, (Q, N), Q, N > 0.
        distances: From `hops`, (Q, N), in the same order.

    Returns:
        (Q,) in [-1, 1]; 1 if similarity orders items as minus the hops do. NaN where all items are
        equally far. 0 where the similarity is constant: the mean over all ways to break its ties.
    """
    _check_pair(similarity, distances)
    rows = np.broadcast_to(np.arange(len(similarity))[:, None], similarity.shape)
    correlations, _ = _correlate_groups(similarity, distances, rows, len(similarity))
    return correlations


def hop_correlation_by_depth(
    similarity: np.ndarray, distances: np.ndarray, depths: np.ndarray
) -> np.ndarray:
    """Return the mean over depths of Spearman's correlation within the items of one depth.

    It is `hop_correlation` of the items of each depth, and all depths have the same weight. A depth
    counts for a query if it has at least 3 items and these are not all equally far. So the tree
    alone decides which depths count, and a ranking by depth scores 0: it orders nothing within one.

    Args:
        similarity: To each item, finite, (Q, N), Q, N > 0.
        distances: From `hops`, (Q, N), in the same order.
        depths: Of the items, integers (N,), or (Q, N) where each query has its own order.

    Returns:
        (Q,) in [-1, 1]; NaN where no depth counts.
    """
    _check_pair(similarity, distances)
    shapes = similarity.shape[1:], similarity.shape
    if depths.dtype.kind not in "iu" or depths.shape not in shapes:
        found = f"depths of shape {depths.shape} and type {depths.dtype}"
        expected = f"integers, one for each item of similarities {similarity.shape}"
        raise ValueError(f"hierarchy: found {found}, expected {expected}")
    codes, distinct = pd.factorize(np.broadcast_to(depths, similarity.shape).ravel())
    shape = len(similarity), len(distinct)
    groups = np.arange(len(similarity))[:, None] * len(distinct) + codes.reshape(similarity.shape)
    correlations, counts = _correlate_groups(similarity, distances, groups, shape[0] * shape[1])
    counted = ((counts >= LEAST) & ~np.isnan(correlations)).reshape(shape)
    summed = np.where(counted, correlations.reshape(shape), 0).sum(1)
    return _divide(summed, counted.sum(1))


def depth_scores(items: Lineages) -> np.ndarray:
    """Score items without a query: the shallower, the higher. A baseline.

    Most items tie: what it reaches is a mean over orders of ties.

    Returns:
        Minus the depth, integers (N,).
    """
    return -items.depth


def descendant_scores(items: Lineages, training: Lineages) -> np.ndarray:
    """Score items without a query: the more training samples below their node, the higher.

    A baseline: it is what a network can know of an item when it ignores the query. Most items tie,
    as for `depth_scores`.

    Args:
        items: N lineages.
        training: Lineages of the training samples, of the same tree.

    Returns:
        Training samples whose node is a proper descendant of the item's, integers (N,).

    Raises:
        ValueError: If the two were not read together.
    """
    require_one_tree(items, training)
    size = len(items.paths)
    passing = np.bincount(training.codes[training.codes >= 0], minlength=size)
    ending = np.bincount(training.node, minlength=size)
    return (passing - ending)[items.node]


def _check_ranked(values: np.ndarray, kinds: str) -> None:
    """Check that values are of the given kinds of types, (Q, N), finite and at least 0."""
    if values.ndim != 2 or not values.size or values.dtype.kind not in kinds:
        found = f"shape {values.shape} and type {values.dtype}"
        types = {"b": "booleans", "iu": "integers", "iuf": "numbers"}[kinds]
        raise ValueError(f"hierarchy: found {found}, expected {types} (Q, N), Q, N > 0")
    if not np.isfinite(values).all() or values.min() < 0:
        found = f"values from {values.min()} to {values.max()}"
        raise ValueError(f"hierarchy: found {found}, expected finite ones of at least 0")


def _check_pair(similarity: np.ndarray, distances: np.ndarray) -> None:
    """Check that similarities and distances fit, and have an order."""
    if similarity.shape != distances.shape or similarity.ndim != 2 or not similarity.size:
        found = f"shapes {similarity.shape} and {distances.shape}"
        raise ValueError(f"hierarchy: found {found}, expected one shape (Q, N), Q, N > 0")
    if not (np.isfinite(similarity).all() and np.isfinite(distances).all()):
        found = "similarities or hops of inf or nan"
        raise ValueError(f"hierarchy: found {found}, expected finite ones")


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, (Q,), NaN where b is 0."""
    return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)


def _sum_precisions(hits: np.ndarray) -> np.ndarray:
    """Return the sum over hits (Q, N) of the precision at their ranks, (Q,)."""
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    return (precision * hits).sum(1)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Return the distinct positive values of each row, ascending, (Q, D).

    Rows that have fewer than the others repeat their highest.
    """
    ordered = np.sort(values, axis=1)
    new = np.diff(ordered, axis=1, prepend=0) > 0
    place = new.cumsum(1)  # 1 for the lowest positive value
    distinct = np.repeat(ordered[:, -1:], place.max(), axis=1)
    rows, columns = np.nonzero(new)
    distinct[rows, place[rows, columns] - 1] = ordered[rows, columns]
    return distinct


def _correlate_groups(
    similarity: np.ndarray, distances: np.ndarray, groups: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return Spearman's correlation of similarity and minus distances in each group of entries.

    Args:
        similarity: Of any shape.
        distances: Of that shape.
        groups: Of that shape, 0 to count - 1.
        count: Groups, G.

    Returns:
        (G,), NaN where distances are constant and else 0 where similarity is; and the number of
        entries of each group, (G,).
    """
    group = groups.ravel()
    a = _centred_ranks(similarity.ravel(), group, count)
    b = -_centred_ranks(distances.ravel(), group, count)
    spread_a, spread_b = (np.bincount(group, ranks**2, count) for ranks in (a, b))
    correlations = _divide(np.bincount(group, a * b, count), np.sqrt(spread_a * spread_b))
    constant = (spread_a == 0) & (spread_b > 0)
    return np.where(constant, 0, correlations), np.bincount(group, minlength=count)


def _centred_ranks(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Return ranks (n,) of values within their groups, ties at their mean, less the group's mean.

    They are multiples of 1/2, without rounding.
    """
    # As np.lexsort((values, group)) but for the order of ties, several times faster: a stable sort
    # of integers of 16 bits is a radix sort.
    order = np.argsort(values)
    order = order[np.argsort(group[order].astype(np.min_scalar_type(count)), kind="stable")]
    changes = (np.diff(values[order]) != 0) | (np.diff(group[order]) != 0)
    ties = np.concatenate([[0], changes.cumsum()])  # the run of equal values of each position
    positions = np.arange(len(values))
    means = np.bincount(ties, positions) / np.bincount(ties)
    sizes = np.bincount(group, minlength=count)
    middles = sizes.cumsum() - (sizes + 1) / 2  # the mean position of each group
    ranks = np.empty(len(values))
    ranks[order] = means[ties] - middles[group[order]]
    return ranks
