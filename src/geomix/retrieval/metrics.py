"""Metrics of retrieval, for each query: shares in [0, 1], to be averaged by the caller.

The relevant items of a query are the gallery items of its class, itself excluded by row, never as
"rank 0". R is their number. A query without any (of a class with one member, or of a class that a
separate gallery lacks) has no value: NaN, and it is left out of means (np.nanmean), as
pytorch-metric-learning leaves out its "lone queries". Code that divides by the number of all
queries, in the tradition of Song et al. 2016 (arXiv:1511.06452), counts it as a miss instead.

Every function refuses input of other shapes, types or sizes than its docstring says with an
`InputError`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from geomix.errors import InputError

RANKS = (1, 2, 4, 8)  # K of recall, unless a data set has others


def relevance(
    neighbours: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray
) -> np.ndarray:
    """Say which neighbours are of the query's class.

    Args:
        neighbours: Rows of the gallery, closest first, (Q, k), integers in 0 ... N - 1.
        query_labels: (Q,), numbers or text, none missing.
        gallery_labels: (N,), of the same type.

    Returns:
        Booleans (Q, k).

    Raises:
        InputError: On other shapes or types, rows outside the gallery, missing labels.
    """
    queries, gallery = _encode(query_labels, gallery_labels)
    if neighbours.ndim != 2 or neighbours.dtype.kind not in "iu" or not neighbours.shape[1]:
        found = f"neighbours of shape {neighbours.shape} and type {neighbours.dtype}"
        raise InputError(f"metrics: found {found}, expected integers (Q, at least 1)")
    if len(neighbours) != len(queries):
        raise InputError(
            f"metrics: found {len(neighbours)} lists and {len(queries)} labels, expected as many"
        )
    lowest, highest = neighbours.min(), neighbours.max()
    if lowest < 0 or highest >= len(gallery):
        raise InputError(
            f"metrics: found neighbours from {lowest} to {highest}, expected rows 0 to {len(gallery) - 1}"
        )
    hits: np.ndarray = gallery[neighbours] == queries[:, None]
    return hits


def count_relevant(
    query_labels: np.ndarray, gallery_labels: np.ndarray, excluded: bool
) -> np.ndarray:
    """Count R, the gallery items of each query's class.

    Args:
        query_labels: (Q,), numbers or text, none missing.
        gallery_labels: (N,), of the same type.
        excluded: Whether each query is itself an item of the gallery, which its list leaves out and
            R does not count.

    Returns:
        Integers (Q,).

    Raises:
        InputError: On other shapes or types, missing labels, or an excluded query whose class the
            gallery lacks.
    """
    queries, gallery = _encode(query_labels, gallery_labels)
    counts: np.ndarray = np.bincount(gallery, minlength=queries.max() + 1)[queries] - int(excluded)
    if counts.min() < 0:
        lacking = f"{(counts < 0).sum()} queries of classes that the gallery lacks"
        raise InputError(
            f"metrics: found {lacking}, expected each query in the gallery, as it is excluded from it"
        )
    return counts


def recall_at_k(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Give 1 for each query with a relevant item among the first k, else 0.

    Args:
        hits: Booleans (Q, at least k), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.
        k: At least 1.

    Returns:
        (Q,), 0 or 1; NaN where R is 0.

    Raises:
        InputError: On other shapes or types, or more hits than relevant items.

    Source:
        Jegou et al. 2011 as used since Song et al. 2016 (arXiv:1511.06452): one hit is enough.
    """
    _check(hits, relevant, k)
    return np.where(relevant > 0, hits[:, :k].any(1).astype(float), np.nan)


def reciprocal_rank(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Give 1 / rank of each query's first relevant item; 0 where its list has none.

    The mean over queries is MRR at k, the length of the lists: it grows with k, up to MRR of the
    whole ranking.

    Args:
        hits: Booleans (Q, k), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,), 0 or in [1 / k, 1]; NaN where R is 0.

    Raises:
        InputError: On other shapes or types, or more hits than relevant items.

    Source:
        Voorhees 1999, The TREC-8 question answering track report: 0 where none of the k = 5 answers
        is right.
    """
    _check(hits, relevant, 1)
    return np.where(relevant > 0, hits.any(1) / (hits.argmax(1) + 1), np.nan)


def r_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Give the share of relevant items among the first R of each query.

    Args:
        hits: Booleans (Q, at least max R), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,) in [0, 1]; NaN where R is 0.

    Raises:
        InputError: On other shapes or types, lists shorter than R, or more hits than relevant
            items.

    Source:
        Musgrave et al. 2020 (arXiv:2003.08505), section 3.2.
    """
    _check(hits, relevant)
    hits = hits[:, : relevant.max()]
    inside = np.arange(hits.shape[1]) < relevant[:, None]
    return np.where(relevant > 0, (hits & inside).sum(1) / np.maximum(relevant, 1), np.nan)


def map_at_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Give for each query the mean over ranks i = 1 ... R of precision at i where rank i is
    relevant, else 0.

    Args:
        hits: Booleans (Q, at least max R), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.

    Returns:
        (Q,) in [0, 1]; NaN where R is 0.

    Raises:
        InputError: On other shapes or types, lists shorter than R, or more hits than relevant
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
    """Give every metric of every query.

    Args:
        hits: Booleans (Q, at least max R and the last rank), from `relevance`.
        relevant: R of each query, (Q,), from `count_relevant`.
        ranks: The K of recall, ascending.

    Returns:
        recall_at_<K> for each rank, reciprocal_rank, map_at_r and r_precision, each (Q,) in [0, 1];
        NaN where R is 0.

    Raises:
        InputError: On other shapes or types, or more hits than relevant items. Lists shorter than R
            are refused, so that no metric is missing unnoticed; `score_levels` takes them.
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
    the query itself
    excluded by row. R grows towards the coarse levels, where it can be thousands: a level whose max
    R is above k gets only the metrics that the first k decide, recall_at_k and reciprocal_rank;
    map_at_r and r_precision are left out.

    Args:
        neighbours: Rows of the gallery, closest first, (Q, at least the last rank).
        query_levels: For each level its labels, (Q,).
        gallery_levels: For the same levels, (N,).
        excluded: Whether each query is itself an item of the gallery, which its list leaves out.
        ranks: The K of recall, ascending.

    Returns:
        For each level, in the order of `query_levels`, what `score_queries` gives, or the part of
        it named above.

    Raises:
        InputError: On other shapes or types, other levels of the gallery than of the queries, or no
            levels.
    """
    if not query_levels or query_levels.keys() != gallery_levels.keys():
        raise InputError(
            f"metrics: found levels {[*query_levels]} and {[*gallery_levels]}, expected the same, at least one"
        )
    scores = {}
    for level, labels in query_levels.items():
        hits = relevance(neighbours, labels, gallery_levels[level])
        relevant = count_relevant(labels, gallery_levels[level], excluded)
        score = score_queries if relevant.max() <= hits.shape[1] else _score_lists
        scores[level] = score(hits, relevant, ranks)
    return scores


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Give the mean over queries of Spearman's correlation between two similarities to the same
    items.

    Args:
        a: Similarities (Q, N), neither Q nor N being 0.
        b: Likewise.

    Returns:
        In [-1, 1]; 1 where both order every gallery alike. NaN where a row is constant, or has a
        NaN, in a or b.

    Raises:
        InputError: On other shapes.
    """
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise InputError(
            f"rank_correlation: found shapes {a.shape} and {b.shape}, expected one shape (Q, N) without a 0"
        )
    ranks_a, ranks_b = (pd.DataFrame(similarity.T).rank().to_numpy() for similarity in (a, b))
    ranks_a, ranks_b = ranks_a - ranks_a.mean(0), ranks_b - ranks_b.mean(0)
    with np.errstate(invalid="ignore"):
        per_query = (ranks_a * ranks_b).sum(0) / np.sqrt((ranks_a**2).sum(0) * (ranks_b**2).sum(0))
    return float(per_query.mean())


def _score_lists(
    hits: np.ndarray, relevant: np.ndarray, ranks: Sequence[int]
) -> dict[str, np.ndarray]:
    """Give the metrics that lists of any length decide, of at least the last rank."""
    recalls = {f"recall_at_{k}": recall_at_k(hits, relevant, k) for k in ranks}
    return recalls | {"reciprocal_rank": reciprocal_rank(hits, relevant)}


def _encode(query_labels: np.ndarray, gallery_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the classes of queries (Q,) and gallery (N,) as numbers, as (Q, k) texts are large and slow to compare."""
    for name, labels in (("query", query_labels), ("gallery", gallery_labels)):
        if labels.ndim != 1 or not len(labels):
            raise InputError(
                f"metrics: found {name} labels of shape {labels.shape}, expected one for each, at least one"
            )
    if (
        query_labels.dtype.kind != gallery_labels.dtype.kind
    ):  # concatenate makes 1 and "1" one label
        types = f"{query_labels.dtype} and {gallery_labels.dtype}"
        raise InputError(f"metrics: found labels of types {types}, expected one type")
    codes, _ = pd.factorize(np.concatenate([query_labels, gallery_labels]))
    if codes.min() < 0:
        raise InputError(
            f"metrics: found {(codes < 0).sum()} labels missing, expected one for each query and item"
        )
    return codes[: len(query_labels)], codes[len(query_labels) :]


def _check(hits: np.ndarray, relevant: np.ndarray, k: int | None = None) -> None:
    """Refuse what no lists of at least k, or else max R, can be."""
    if relevant.ndim != 1 or relevant.dtype.kind not in "iu" or len(relevant) != len(hits):
        found = f"relevant of shape {relevant.shape} and type {relevant.dtype}"
        raise InputError(
            f"metrics: found {found} for {len(hits)} lists, expected integers, one for each"
        )
    least = int(relevant.max(initial=1)) if k is None else k
    if least < 1 or hits.ndim != 2 or hits.dtype != bool or not len(hits) or hits.shape[1] < least:
        found = f"hits of shape {hits.shape} and type {hits.dtype}, k = {least}"
        raise InputError(
            f"metrics: found {found}, expected booleans (at least 1, at least k) and k of at least 1"
        )
    if (np.add.reduce(hits, 1, dtype=np.int32) > relevant).any():
        raise InputError(
            "metrics: found more hits in a list than its query has relevant items, expected at most as many: "
            "both must leave the query out, or both count it"
        )
