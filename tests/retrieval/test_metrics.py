"""Metrics: each equals its definition, query by query."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from geomix.errors import InputError
from geomix.retrieval.metrics import (
    count_relevant,
    map_at_r,
    r_precision,
    rank_correlation,
    recall_at_k,
    relevance,
    score_queries,
)


def average_precision_by_definition(hits: list[bool], relevant: int) -> float:
    total = 0.0
    for rank in range(1, relevant + 1):
        if hits[rank - 1]:
            total += sum(hits[:rank]) / rank
    return total / relevant


def random_lists(queries: int = 30, k: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    hits = random.random((queries, k)) < 0.4
    return hits, random.integers(0, k + 1, queries)


def test_metrics_equal_their_definitions() -> None:
    hits, relevant = random_lists()
    found = score_queries(hits, relevant)
    for row in np.flatnonzero(relevant > 0):
        r = int(relevant[row])
        assert found["map_at_r"][row] == pytest.approx(average_precision_by_definition(hits[row].tolist(), r))
        assert found["r_precision"][row] == pytest.approx(sum(hits[row][:r]) / r)
        for k in (1, 2, 4, 8):
            assert found[f"recall_at_{k}"][row] == float(any(hits[row][:k]))


def test_queries_without_relevant_items_have_no_value() -> None:
    hits, relevant = random_lists()
    relevant[3] = 0
    assert all(np.isnan(values[3]) for values in score_queries(hits, relevant).values())


def test_perfect_lists_score_one_and_empty_ones_zero() -> None:
    relevant = np.array([8, 8])
    hits = np.array([[True] * 8, [False] * 8])
    assert all(values.tolist() == [1.0, 0.0] for values in score_queries(hits, relevant).values())


def test_relevance_compares_labels_of_the_rows_found() -> None:
    neighbours = np.array([[2, 0], [1, 2]])
    found = relevance(neighbours, np.array([5, 7]), np.array([7, 7, 5]))
    assert found.tolist() == [[True, False], [True, False]]


def test_relevant_items_are_counted_without_the_query() -> None:
    labels = np.array([4, 2, 4, 4, 9])
    assert count_relevant(labels, labels, excluded=True).tolist() == [2, 0, 2, 2, 0]
    assert count_relevant(np.array([4, 5, 99]), labels, excluded=False).tolist() == [3, 0, 0]


def test_rank_correlation_is_spearmans_mean() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 5, 40))
    b[:, 10:20] = b[:, 10:11]  # ties
    expected = np.mean([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert rank_correlation(a, np.exp(3 * a)) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)


def test_a_constant_similarity_has_no_rank_correlation() -> None:
    assert np.isnan(rank_correlation(np.ones((2, 4)), np.arange(8.0).reshape(2, 4)))


@pytest.mark.parametrize("k", [0, 13])
def test_recall_beyond_the_lists_is_refused(k: int) -> None:
    hits, relevant = random_lists()
    with pytest.raises(InputError, match=r"found hits of shape \(30, 12\)"):
        recall_at_k(hits, relevant, k)


def test_lists_shorter_than_r_are_refused() -> None:
    hits, relevant = random_lists()
    relevant[0] = 13
    with pytest.raises(InputError, match="at least 13"):
        map_at_r(hits, relevant)
    with pytest.raises(InputError, match="at least 13"):
        r_precision(hits, relevant)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="found 2 lists and 3 labels"):
        relevance(np.zeros((2, 1), int), np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="expected one shape"):
        rank_correlation(np.zeros((2, 3)), np.zeros((2, 4)))
