"""Metrics of retrieval, for each query and for a set of queries.

The relevant items of a query are the gallery items of its class, itself excluded by row, never as "rank 0". R is their
number. A query without any (a class with one member) has no value: NaN, and it is left out of means.
"""

import numpy as np
import pandas as pd

from geomix.errors import InputError

RANKS = (1, 2, 4, 8)


def relevance(neighbours: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray) -> np.ndarray:
    """Say which neighbours are of the query's class.

    Args:
        neighbours: Rows of the gallery, closest first, (Q, k).
        query_labels: (Q,).
        gallery_labels: (N,).

    Returns:
        Booleans (Q, k).
    """
    if len(neighbours) != len(query_labels):
        raise InputError(f"relevance: found {len(neighbours)} lists and {len(query_labels)} labels, expected as many")
    hits: np.ndarray = gallery_labels[neighbours] == query_labels[:, None]
    return hits


def count_relevant(query_labels: np.ndarray, gallery_labels: np.ndarray, excluded: bool) -> np.ndarray:
    """Count the gallery items of each query's class, (Q,), less the query itself where it is excluded."""
    classes, counts = np.unique(gallery_labels, return_counts=True)
    place = np.minimum(np.searchsorted(classes, query_labels), len(classes) - 1)
    return np.where(classes[place] == query_labels, counts[place], 0) - int(excluded)


def recall_at_k(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Give 1 for each query with a relevant item among the first k, else 0; NaN without relevant items.

    Args:
        hits: (Q, at least k), from `relevance`.
        relevant: R of each query, (Q,).
        k: At least 1.

    Source:
        Jegou et al. 2011 as used since Song et al. 2016 (arXiv:1511.06452): one hit is enough.
    """
    _check(hits, k)
    return np.where(relevant > 0, hits[:, :k].any(1).astype(float), np.nan)


def r_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Give the share of relevant items among the first R of each query, (Q,); NaN where R is 0.

    Source:
        Musgrave et al. 2020 (arXiv:2003.08505).
    """
    _check(hits, int(relevant.max(initial=1)))
    inside = np.arange(hits.shape[1]) < relevant[:, None]
    return np.where(relevant > 0, (hits & inside).sum(1) / np.maximum(relevant, 1), np.nan)


def map_at_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Give for each query the mean over ranks i = 1 ... R of precision at i where rank i is relevant, else 0.

    Args:
        hits: (Q, at least max R).
        relevant: R of each query, (Q,).

    Returns:
        (Q,) in [0, 1]; NaN where R is 0.

    Source:
        Musgrave et al. 2020 (arXiv:2003.08505), section 3.2.
    """
    _check(hits, int(relevant.max(initial=1)))
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = counted.cumsum(1) / ranks
    return np.where(relevant > 0, (precision * counted).sum(1) / np.maximum(relevant, 1), np.nan)


def score_queries(hits: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Give every metric of every query: recall_at_1, 2, 4, 8, map_at_r, r_precision, each (Q,), shares in [0, 1]."""
    values = {f"recall_at_{k}": recall_at_k(hits, relevant, k) for k in RANKS}
    return values | {"map_at_r": map_at_r(hits, relevant), "r_precision": r_precision(hits, relevant)}


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Give the mean over queries of Spearman's correlation between two similarities to the same items.

    Args:
        a: Similarities (Q, N).
        b: Likewise.

    Returns:
        In [-1, 1]; 1 where both order every gallery alike. NaN where a row is constant in a or b.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(f"rank_correlation: found shapes {a.shape} and {b.shape}, expected one shape (Q, N)")
    ranks_a, ranks_b = (pd.DataFrame(similarity.T).rank().to_numpy() for similarity in (a, b))
    ranks_a, ranks_b = ranks_a - ranks_a.mean(0), ranks_b - ranks_b.mean(0)
    with np.errstate(invalid="ignore"):
        per_query = (ranks_a * ranks_b).sum(0) / np.sqrt((ranks_a**2).sum(0) * (ranks_b**2).sum(0))
    return float(per_query.mean())


def _check(hits: np.ndarray, k: int) -> None:
    if k < 1 or hits.ndim != 2 or hits.shape[1] < k:
        raise InputError(f"metrics: found hits of shape {hits.shape}, expected (Q, at least {k}) and k of at least 1")
