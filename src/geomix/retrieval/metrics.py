"""Metrics of retrieval for each query: shares in [0, 1], to be averaged by the caller.

The relevant items of a query are the gallery items of its class. The query itself is excluded by
its row, never as "rank 0". R is their number. A query without any (its class has one member, or a
separate gallery lacks it) has no value: NaN, left out of means (np.nanmean), as
pytorch-metric-learning leaves out its "lone queries". Code that divides by the number of all
queries, in the tradition of Song et al. 2016 (arXiv:1511.06452), counts it as a miss instead.

Every function raises ValueError for shapes, types or sizes other than those of its docstring.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

RANKS = (1, 2, 4, 8)  # K of recall, unless a data set has others


def relevance(
    neighbours: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray
) -> np.ndarray:
    """Return which neighbours are of the query's class.

    Args:
        neighbours: Rows of the gallery, closest first, (Q, k), integers in 0 ... N - 1.
        query_labels: (Q,), numbers or text, none missing.
        gallery_labels: (N,), of the same type.

    Returns:
        Booleans (Q, k).

    Raises:
        ValueError: On other shapes or types, rows outside the gallery, missing labels.
    """
    queries, gallery = _encode(query_labels, gallery_labels)
    if neighbours.ndim != 2 or neighbours.dtype.kind not in "iu" or not neighbours.shape[1]:
        found = f"neighbours of shape {neighbours.shape} and type {neighbours.dtype}"
        raise ValueError(f"metrics: found {found}, expected integers (Q, at least 1)")
    if len(neighbours) != len(queries):
        found = f"{len(neighbours)} lists and {len(queries)} labels"
        raise ValueError(f"metrics: found {found}, expected the same number")
    lowest, highest = neighbours.min(), neighbours.max()
    if lowest < 0 or highest >= len(gallery):
        found, last = f"neighbours from {lowest} to {highest}", len(gallery) - 1
        raise ValueError(f"metrics: found {found}, expected rows 0 to {last}")
    hits: np.ndarray = gallery[neighbours] == queries[:, None]
    return hits


def count_relevant(
    query_labels: np.ndarray, gallery_labels: np.ndarray, excluded: bool
) -> np.ndarray:
    """Count R, the gallery items of each query's class.

    Args:
        query_labels: (Q,), numbers or text, none missing.
        gallery_labels: (N,), of the same type.
        excluded: Whether each query is itself an item of the gallery, left out of its list and of
            R.

    Returns:
        Integers (Q,).

    Raises:
        ValueError: On other shapes or types, missing labels, or an excluded query whose class the
            gallery lacks.
    """
    queries, gallery = _encode(query_labels, gallery_labels)
    counts: np.ndarray = np.bincount(gallery, minlength=queries.max() + 1)[queries] - int(excluded)
    if counts.min() < 0:
        found = f"{(counts < 0).sum()} queries of classes that the gallery lacks"
        expected = "each query in the gallery, because it is excluded from it"
        raise ValueError(f"metrics: found {found}, expected {expected}")
    return counts


def recall_at_k(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Return 1 for each query with a relevant item among the first k, else 0.

    Args:
        hits: Booleans (Q, at least k), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.
        k: At least 1.

    Returns:
        (Q,), 0 or 1; NaN if R is 0.

    Raises:
        ValueError: On other shapes or types, or more hits than relevant items.

    Source:
        Jegou et al. 2011 as used since Song et al. 2016 (arXiv:1511.06452): one hit is enough.
    """
    _check(hits, relevant, k)
    return np.where(relevant > 0, hits[:, :k].any(1).astype(float), np.nan)


def reciprocal_rank(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return 1 / rank of each query's first relevant item; 0 if its list has none.

    The mean over queries is MRR at k, the length of the lists: it grows with k, up to MRR of the
    whole ranking.

    Args:
        hits: Booleans (Q, k), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,), 0 or in [1 / k, 1]; NaN if R is 0.

    Raises:
        ValueError: On other shapes or types, or more hits than relevant items.

    Source:
        Voorhees 1999, The TREC-8 question answering track report: 0 if none of the k = 5 answers is
        right.
    """
    _check(hits, relevant, 1)
    return np.where(relevant > 0, hits.any(1) / (hits.argmax(1) + 1), np.nan)


def r_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return the share of relevant items among the first R of each query.

    Args:
        hits: Booleans (Q, at least max R), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,) in [0, 1]; NaN if R is 0.

    Raises:
        ValueError: On other shapes or types, lists shorter than R, or more hits than relevant
            items.

    Source:
        Musgrave et al. 2020 (arXiv:2003.08505), section 3.2.
    """
    _check(hits, relevant)
    hits = hits[:, : relevant.max()]
    inside = np.arange(hits.shape[1]) < relevant[:, None]
    return np.where(relevant > 0, (hits & inside).sum(1) / np.maximum(relevant, 1), np.nan)


def map_at_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return MAP@R of each query: the mean over ranks i = 1 ... R of a precision.

    It is the precision at i if the item at rank i is relevant, else 0.

    Args:
        hits: Booleans (Q, at least max R), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,) in [0, 1]; NaN if R is 0.

    Raises:
        ValueError: On other shapes or types, lists shorter than R, or more hits than relevant
            items.

    Source:
        Musgrave et al. 2020 (arXiv:2003.08505), section 3.2.
    """
    _check(hits, relevant)
    hits = hits[:, : relevant.max()]  # (Q, k) floats are large where k is
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = counted.cumsum(1) / ranks
    return np.where(relevant > 0, (precision * counted).sum(1) / np.maximum(relevant, 1), np.nan)


def score_queries(
    hits: np.ndarray, relevant: np.ndarray, ranks: Sequence[int] = RANKS
) -> dict[str, np.ndarray]:
    """Return every metric of every query.

    Args:
        hits: Booleans (Q, at least max R and the last rank), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.
        ranks: The K of recall, ascending.

    Returns:
        recall_at_<K> for each rank, reciprocal_rank, map_at_r and r_precision, each (Q,) in [0, 1];
        NaN if R is 0.

    Raises:
        ValueError: On other shapes or types, more hits than relevant items, or lists shorter than
            R, so that no metric is missing unnoticed; `score_levels` takes them.
    """
    return _score_lists(hits, relevant, ranks) | {
        "map_at_r": map_at_r(hits, relevant),
        "r_precision": r_precision(hits, relevant),
    }


def score_levels(
    neighbours: np.ndarray,
    query_levels: Mapping[str, np.ndarray],
    gallery_levels: Mapping[str, np.ndarray],
    excluded: bool,
    ranks: Sequence[int] = RANKS,
) -> dict[str, dict[str, np.ndarray]]:
    """Score the same lists at each level of a hierarchy of labels.

    At a level, the relevant items of a query are all gallery items with its label at that level,
    the query itself excluded by row. R grows towards the coarse levels, to thousands. A level whose
    max R is above k gets only the metrics that the first k items decide, recall_at_k and
    reciprocal_rank; map_at_r and r_precision are left out.

    Args:
        neighbours: Rows of the gallery, closest first, (Q, at least the last rank).
        query_levels: For each level its labels, (Q,).
        gallery_levels: For the same levels, (N,).
        excluded: Whether each query is itself an item of the gallery, left out of its list.
        ranks: The K of recall, ascending.

    Returns:
        For each level, in the order of `query_levels`, the metrics of `score_queries` or the part
        of them named above.

    Raises:
        ValueError: On other shapes or types, different levels of queries and gallery, or no levels.
    """
    if not query_levels or query_levels.keys() != gallery_levels.keys():
        found = f"levels {[*query_levels]} and {[*gallery_levels]}"
        raise ValueError(f"metrics: found {found}, expected the same, at least one")
    scores = {}
    for level, labels in query_levels.items():
        hits = relevance(neighbours, labels, gallery_levels[level])
        relevant = count_relevant(labels, gallery_levels[level], excluded)
        score = score_queries if relevant.max() <= hits.shape[1] else _score_lists
        scores[level] = score(hits, relevant, ranks)
    return scores


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean over queries of Spearman's correlation between two similarities.

    Args:
        a: Similarities to the same items, (Q, N), Q, N > 0.
        b: Likewise.

    Returns:
        In [-1, 1]; 1 if both order every gallery alike. NaN if a row of a or b is constant or has a
        NaN.

    Raises:
        ValueError: On other shapes.
    """
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        found = f"shapes {a.shape} and {b.shape}"
        raise ValueError(f"rank_correlation: found {found}, expected one shape (Q, N), Q, N > 0")
    ranks_a, ranks_b = (pd.DataFrame(similarity.T).rank().to_numpy() for similarity in (a, b))
    ranks_a, ranks_b = ranks_a - ranks_a.mean(0), ranks_b - ranks_b.mean(0)
    with np.errstate(invalid="ignore"):
        per_query = (ranks_a * ranks_b).sum(0) / np.sqrt((ranks_a**2).sum(0) * (ranks_b**2).sum(0))
    return float(per_query.mean())


def _score_lists(
    hits: np.ndarray, relevant: np.ndarray, ranks: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return the metrics that lists decide whose length is at least the last rank."""
    recalls = {f"recall_at_{k}": recall_at_k(hits, relevant, k) for k in ranks}
    return recalls | {"reciprocal_rank": reciprocal_rank(hits, relevant)}


def _encode(query_labels: np.ndarray, gallery_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of queries (Q,) and gallery (N,) as numbers.

    Text of shape (Q, k) would be large and slow to compare.
    """
    for name, labels in (("query", query_labels), ("gallery", gallery_labels)):
        if labels.ndim != 1 or not len(labels):
            found = f"{name} labels of shape {labels.shape}"
            raise ValueError(f"metrics: found {found}, expected one for each, at least one")
    # concatenate would turn 1 and "1" into one label
    if query_labels.dtype.kind != gallery_labels.dtype.kind:
        types = f"{query_labels.dtype} and {gallery_labels.dtype}"
        raise ValueError(f"metrics: found labels of types {types}, expected one type")
    codes, _ = pd.factorize(np.concatenate([query_labels, gallery_labels]))
    if codes.min() < 0:
        found = f"{(codes < 0).sum()} labels missing"
        raise ValueError(f"metrics: found {found}, expected one for each query and item")
    return codes[: len(query_labels)], codes[len(query_labels) :]


def _check(hits: np.ndarray, relevant: np.ndarray, k: int | None = None) -> None:
    """Check hits in lists of at least k, or of at least max R if k is None."""
    if relevant.ndim != 1 or relevant.dtype.kind not in "iu" or len(relevant) != len(hits):
        found = (
            f"relevant of shape {relevant.shape} and type {relevant.dtype} for {len(hits)} lists"
        )
        raise ValueError(f"metrics: found {found}, expected integers, one for each")
    least = int(relevant.max(initial=1)) if k is None else k
    if least < 1 or hits.ndim != 2 or hits.dtype != bool or not len(hits) or hits.shape[1] < least:
        found = f"hits of shape {hits.shape} and type {hits.dtype}, k = {least}"
        expected = "booleans (at least 1, at least k) and k of at least 1"
        raise ValueError(f"metrics: found {found}, expected {expected}")
    if (np.add.reduce(hits, 1, dtype=np.int32) > relevant).any():
        raise ValueError(
            "metrics: found more hits in a list than its query has relevant items, expected at"
            " most R: both must leave the query out, or both count it"
        )
