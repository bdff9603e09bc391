"""Lineages, and the metrics of rankings in which an item can be more or less relevant.

A lineage is the path of a sample's node in a tree, from a root down. It ends where the sample's
node is, at any depth: inner nodes can have samples too. Trees with different roots meet at a
virtual root above them, which is no level.

Metrics take whole rankings: one column for each item that was searched, the closest first. The
query itself is left out by the caller, by its row. Every metric has a value for each query, (Q,),
to be averaged by the caller; NaN where it is not defined, left out of means (np.nanmean).

Functions that take arrays raise ValueError for shapes, types or values other than those of their
docstrings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from geomix.errors import InputError

LEAST = 3  # items of one depth, for a correlation: two items can only agree or disagree


@dataclass(frozen=True, eq=False)
class Lineages:
    """Where samples are in a tree.

    Attributes:
        codes: The node of each sample at each level, coarse to fine, as a number, int64 (N, L); -1
            below the sample's own node. A number stands for a whole path: nodes of the same name
            below different parents have different numbers. Numbers grow with depth.
        paths: By number, the names from the root down to the node.
    """

    codes: np.ndarray
    paths: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: np.ndarray) -> "Lineages":
        """Return the lineages of some samples, by rows or as a mask, in the same tree."""
        return Lineages(self.codes[rows], self.paths)

    @property
    def depth(self) -> np.ndarray:
        """Levels of each sample's lineage, (N,), at least 1."""
        return (self.codes >= 0).sum(1)

    @property
    def node(self) -> np.ndarray:
        """The number of each sample's own node, (N,): the same for samples of the same node."""
        return self.codes.max(1)  # the deepest, because numbers grow with depth


class Kinship(NamedTuple):
    """How items are related to queries: booleans (Q, N).

    Attributes:
        related: One of the two lineages begins with the other: any of the three below.
        ancestor: The item's node is above the query's.
        descendant: The item's node is below the query's.
        same: Both have the same node.
    """

    related: np.ndarray
    ancestor: np.ndarray
    descendant: np.ndarray
    same: np.ndarray


def parse_paths(paths: Iterable[str]) -> Lineages:
    """Read lineages written as text, such as "mammal/carnivore/cat".

    Samples that are compared must be read together, and then chosen by row.

    Args:
        paths: Of the samples, N > 0; any depth. Names have no slash and no spaces around them;
            slashes at the end are ignored.

    Raises:
        InputError: If a path is blank, or a name in it other than the last ones.
    """
    parts = [_read_text(path).split("/") for path in paths]
    deepest = max(map(len, parts), default=0)
    levels = {
        f"level {level + 1}": [row[level] if level < len(row) else "" for row in parts]
        for level in range(deepest)
    }
    return parse_levels(levels)


def parse_levels(levels: Mapping[str, Iterable[object]]) -> Lineages:
    """Read lineages from the columns of a table.

    Samples that are compared must be read together, and then chosen by row.

    Args:
        levels: By name, coarse to fine, the column of a level, N > 0 names without spaces around
            them. A blank, or a missing value, says that the sample's lineage ends above.

    Raises:
        InputError: If a row is blank, or has a name below a blank.
        ValueError: If there is no level or no row, or columns have different lengths.
    """
    columns = [[_read_text(value) for value in values] for values in levels.values()]
    lengths = [len(column) for column in columns]
    if not lengths or min(lengths) != max(lengths) or not lengths[0]:
        expected = "at least one, all of one length, at least 1"
        raise ValueError(f"lineages: found columns of lengths {lengths}, expected {expected}")
    names = np.array(columns, dtype=object).T  # (N, L)
    _check_blanks(names, [*levels])
    codes = np.full(names.shape, -1, np.int64)
    paths: list[tuple[str, ...]] = []
    parents = np.full(len(names), -1, np.int64)
    for level, column in enumerate(names.T):
        known = np.flatnonzero(column != "")
        name, distinct = pd.factorize(column[known])
        # one number for each pair of parent and name: the same name below two parents is two nodes
        pairs = parents[known] * len(distinct) + name
        numbers, _ = pd.factorize(pairs)
        codes[known, level] = len(paths) + numbers
        _, first = np.unique(numbers, return_index=True)
        paths += [tuple(names[row, : level + 1]) for row in known[first]]
        parents = codes[:, level]
    return Lineages(codes, tuple(paths))


def shared_levels(queries: Lineages, items: Lineages) -> np.ndarray:
    """Count the levels that queries and items share: how long their lineages are the same.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Returns:
        Integers (Q, N), 0 to the smaller depth.

    Raises:
        ValueError: If the two were not read together.

    Cost:
        O(Q N L) in time, O(Q N) in memory.
    """
    _check_tree(queries, items)
    shared = np.zeros((len(queries), len(items)), np.int32)
    for query, item in zip(queries.codes.T, items.codes.T, strict=True):
        # equal numbers are equal paths, so a level is shared only if all above it are
        shared += (query[:, None] == item) & (query[:, None] >= 0)
    return shared


def hops(queries: Lineages, items: Lineages) -> np.ndarray:
    """Count the edges between the nodes of queries and items.

    With s the levels that they share, hops = depth_query + depth_item - 2 s. Between nodes of
    different roots the way leads through the virtual root.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Returns:
        Integers (Q, N), at least 0.

    Raises:
        ValueError: If the two were not read together.
    """
    return queries.depth[:, None] + items.depth - 2 * shared_levels(queries, items)


def related(queries: Lineages, items: Lineages) -> Kinship:
    """Tell which items have nodes above, below or at those of the queries.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Raises:
        ValueError: If the two were not read together.
    """
    shared = shared_levels(queries, items)
    whole_query = shared == queries.depth[:, None]
    whole_item = shared == items.depth
    return Kinship(
        related=whole_query | whole_item,
        ancestor=whole_item & ~whole_query,
        descendant=whole_query & ~whole_item,
        same=whole_query & whole_item,
    )


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

    A stable sort by these scores, descending, leaves ties in order of rows.

    Returns:
        Minus the depth, integers (N,).
    """
    return -items.depth


def descendant_scores(items: Lineages, training: Lineages) -> np.ndarray:
    """Score items without a query: the more training samples below their node, the higher.

    A baseline: it is what a network can know of an item when it ignores the query. A stable sort by
    these scores, descending, leaves ties in order of rows.

    Args:
        items: N lineages.
        training: Lineages of the training samples, of the same tree.

    Returns:
        Training samples whose node is a proper descendant of the item's, integers (N,).

    Raises:
        ValueError: If the two were not read together.
    """
    _check_tree(items, training)
    size = len(items.paths)
    passing = np.bincount(training.codes[training.codes >= 0], minlength=size)
    ending = np.bincount(training.node, minlength=size)
    return (passing - ending)[items.node]


def _read_text(value: object) -> str:
    """Return a name without spaces around it; "" where it is missing."""
    return "" if pd.isna(value) else str(value).strip()


def _check_blanks(names: np.ndarray, columns: list[str]) -> None:
    """Check that rows of names (N, L) have a first one, and none below a blank."""
    known = names != ""
    below = np.argwhere(known[:, 1:] & ~known[:, :-1])
    if len(below):
        row, blank = (int(place) for place in below[0])
        found = f"{names[row, blank + 1]!r} in column {columns[blank + 1]}"
        where = f"row {row} (the first is 0) below a blank in column {columns[blank]}"
        raise InputError(f"lineages: found {found} of {where}, expected only blanks below a blank")
    empty = np.flatnonzero(~known[:, 0])
    if len(empty):
        found = f"row {empty[0]} (the first is 0) blank in column {columns[0]}"
        raise InputError(f"lineages: found {found}, expected at least one level in each row")


def _check_tree(a: Lineages, b: Lineages) -> None:
    """Check that numbers of nodes mean the same in both."""
    if a.paths is not b.paths and a.paths != b.paths:
        found = f"two trees, of {len(a.paths)} and {len(b.paths)} nodes"
        raise ValueError(f"lineages: found {found}, expected lineages that were read together")


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
    order = np.lexsort((values, group))
    changes = (np.diff(values[order]) != 0) | (np.diff(group[order]) != 0)
    ties = np.concatenate([[0], changes.cumsum()])  # the run of equal values of each position
    positions = np.arange(len(values))
    means = np.bincount(ties, positions) / np.bincount(ties)
    sizes = np.bincount(group, minlength=count)
    middles = sizes.cumsum() - (sizes + 1) / 2  # the mean position of each group
    ranks = np.empty(len(values))
    ranks[order] = means[ties] - middles[group[order]]
    return ranks
