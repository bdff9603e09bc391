"""Metrics: each equals its definition, query by query, with ties and classes of one member too."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from geomix.geometry.geometry import cosine
from geomix.retrieval.metrics import (
    RANKS,
    count_relevant,
    map_at_r,
    r_precision,
    rank_correlation,
    recall_at_k,
    reciprocal_rank,
    relevance,
    score_levels,
    score_queries,
)
from geomix.retrieval.search import nearest

SIZES = [9, 1, 5, 2, 1, 12, 3]  # of classes; 33 items, two of them alone in their class
OF_LISTS = {*(f"recall_at_{k}" for k in RANKS), "reciprocal_rank"}
OF_R = {"map_at_r", "r_precision"}


def random_directions(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 6))


def few_directions(count: int, seed: int) -> np.ndarray:
    """Axes, up or down: cosines are exactly -1, 0 or 1, nearly all tied, most items duplicates."""
    random = np.random.default_rng(seed)
    return np.eye(3)[random.integers(0, 3, count)] * random.choice([-1, 1], (count, 1))


def one_direction(count: int, seed: int) -> np.ndarray:
    return np.tile([2.0, 0.0, 0.0], (count, 1))


EMBEDDINGS = {
    "distinct": random_directions,
    "ties and duplicates": few_directions,
    "collapsed": one_direction,
}


def draw_labels(seed: int, sizes: list[int] = SIZES) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 10, sizes))


def list_by_definition(query: np.ndarray, gallery: np.ndarray, own: int | None) -> list[int]:
    """Order the gallery by cosine, the lower row first where it ties, without the query."""
    cosines = [float(query @ item / np.sqrt(query @ query * (item @ item))) for item in gallery]
    return [
        row
        for row in sorted(range(len(gallery)), key=lambda row: (-cosines[row], row))
        if row != own
    ]


def score_by_definition(
    listed: list[int], label: Any, labels: list[Any], own: int | None
) -> dict[str, float]:
    """Score the list of one query of a label, itself the row `own` of the gallery, if at all."""
    relevant = {row for row, other in enumerate(labels) if other == label and row != own}
    r = len(relevant)
    if r == 0:
        return dict.fromkeys(OF_LISTS | OF_R, float("nan"))
    hits = [row in relevant for row in listed]
    scores = {f"recall_at_{k}": float(any(hits[:k])) for k in RANKS}
    scores["reciprocal_rank"] = 1 / (1 + hits.index(True)) if True in hits else 0.0
    scores["r_precision"] = sum(hits[:r]) / r
    scores["map_at_r"] = (
        sum(
            sum(hits[:rank]) / rank
            for rank in range(1, r + 1)
            if rank <= len(hits) and hits[rank - 1]
        )
        / r
    )
    return scores


def search(queries: np.ndarray, gallery: np.ndarray, k: int, excluded: bool) -> np.ndarray:
    own = np.arange(len(queries)) if excluded else None
    return nearest(torch.from_numpy(queries), torch.from_numpy(gallery), cosine(), k, exclude=own)


def assert_by_definition(
    found: dict[str, np.ndarray],
    lists: list[list[int]],
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    excluded: bool,
) -> None:
    assert all(values.shape == (len(lists),) for values in found.values())
    for row, listed in enumerate(lists):
        own = row if excluded else None
        expected = score_by_definition(listed, query_labels[row], gallery_labels.tolist(), own)
        values = {name: value[row] for name, value in found.items()}
        assert values == pytest.approx(
            {name: expected[name] for name in found}, nan_ok=True, abs=1e-12
        ), row


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_metrics_equal_their_definitions(kind: str, whole: bool) -> None:
    labels = draw_labels(0)
    embeddings = EMBEDDINGS[kind](len(labels), 1)
    k = len(labels) - 1 if whole else max(SIZES) - 1
    found = score_queries(
        relevance(search(embeddings, embeddings, k, True), labels, labels),
        count_relevant(labels, labels, excluded=True),
    )
    lists = [list_by_definition(query, embeddings, row)[:k] for row, query in enumerate(embeddings)]
    assert found.keys() == OF_LISTS | OF_R
    assert_by_definition(found, lists, labels, labels, excluded=True)
    assert np.isnan(found["recall_at_1"]).sum() == SIZES.count(1)


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_metrics_equal_their_definitions_in_a_separate_gallery(kind: str) -> None:
    gallery_labels = draw_labels(0)
    query_labels = np.array(
        [10, 50, 7, 0, 999, 10, -3, 60]
    )  # 10 has one item; 7, 999 and -3 have none
    gallery, queries = (
        EMBEDDINGS[kind](len(gallery_labels), 1),
        EMBEDDINGS[kind](len(query_labels), 2),
    )
    neighbours = search(queries, gallery, len(gallery), False)
    found = score_queries(
        relevance(neighbours, query_labels, gallery_labels),
        count_relevant(query_labels, gallery_labels, excluded=False),
    )
    lists = [list_by_definition(query, gallery, None) for query in queries]
    assert_by_definition(found, lists, query_labels, gallery_labels, excluded=False)
    assert np.flatnonzero(np.isnan(found["map_at_r"])).tolist() == [2, 4, 6]


def test_the_search_gives_no_lists_longer_than_what_there_is() -> None:
    embeddings = random_directions(9, 0)
    with pytest.raises(ValueError, match="found k = 9, expected 1 to 8"):
        search(embeddings, embeddings, 9, True)


def test_a_duplicate_of_another_class_is_a_miss_and_one_of_the_class_a_hit() -> None:
    embeddings = np.repeat(random_directions(5, 0), 2, axis=0)
    neighbours = search(embeddings, embeddings, 9, True)
    for labels, expected in ((np.repeat(np.arange(5), 2), 1.0), (np.arange(10) % 2, 0.0)):
        found = recall_at_k(
            relevance(neighbours, labels, labels), count_relevant(labels, labels, excluded=True), 1
        )
        assert found.tolist() == [expected] * 10


def scored() -> tuple[dict[str, np.ndarray], np.ndarray]:
    labels = draw_labels(3)
    embeddings = random_directions(len(labels), 4) + labels[:, None] / 30
    relevant = count_relevant(labels, labels, excluded=True)
    return score_queries(
        relevance(search(embeddings, embeddings, 32, True), labels, labels), relevant
    ), relevant


def test_metrics_bound_each_other() -> None:
    found, relevant = scored()
    some = {name: values[relevant > 0] for name, values in found.items()}
    assert (some["map_at_r"] <= some["r_precision"]).all()
    assert (some["map_at_r"] < some["r_precision"]).any()
    assert (some["recall_at_1"] <= some["reciprocal_rank"]).all()
    for k, wider in pairwise(RANKS):
        assert (some[f"recall_at_{k}"] <= some[f"recall_at_{wider}"]).all()
    assert np.array_equal(some["recall_at_4"] == 1, some["reciprocal_rank"] >= 1 / 4)


def test_order_of_the_queries_and_names_of_the_classes_do_not_matter() -> None:
    labels = draw_labels(0)
    embeddings = random_directions(len(labels), 1)
    neighbours = search(embeddings, embeddings, 20, True)
    names = np.array(["class " + "x" * label for label in labels], dtype=object)
    expected = score_levels(neighbours, {"class": labels}, {"class": labels}, excluded=True)[
        "class"
    ]
    order = np.random.default_rng(5).permutation(len(labels))
    for kind in (object, str):
        text = names.astype(kind)
        found = score_levels(
            neighbours[order], {"class": text[order]}, {"class": text}, excluded=True
        )["class"]
        for name, values in expected.items():
            assert np.array_equal(found[name], values[order], equal_nan=True)


def test_queries_without_relevant_items_have_no_value() -> None:
    hits, relevant = np.zeros((3, 8), bool), np.array([2, 0, 1])
    hits[0, 5] = True
    assert all(
        np.isnan(values).tolist() == [False, True, False]
        for values in score_queries(hits, relevant).values()
    )
    alone = score_queries(np.zeros((2, 8), bool), np.array([0, 0]))
    assert all(np.isnan(values).all() for values in alone.values())


def test_perfect_lists_score_one_and_empty_ones_zero() -> None:
    relevant = np.array([8, 8])
    hits = np.array([[True] * 8, [False] * 8])
    assert all(values.tolist() == [1.0, 0.0] for values in score_queries(hits, relevant).values())


def test_hits_beyond_r_count_for_the_first_rank_alone() -> None:
    hits = np.array([[False, False, True, True]])
    relevant = np.array([2])
    assert map_at_r(hits, relevant).tolist() == r_precision(hits, relevant).tolist() == [0.0]
    assert reciprocal_rank(hits, relevant).tolist() == [1 / 3]
    assert reciprocal_rank(hits[:, :2], relevant).tolist() == [0.0]


def test_relevance_compares_labels_of_the_rows_found() -> None:
    neighbours = np.array([[2, 0], [1, 2]])
    found = relevance(neighbours, np.array([5, 7]), np.array([7, 7, 5]))
    assert found.tolist() == [[True, False], [True, False]]


def test_relevant_items_are_counted_without_the_query() -> None:
    labels = np.array([4, 2, 4, 4, 9])
    assert count_relevant(labels, labels, excluded=True).tolist() == [2, 0, 2, 2, 0]
    assert count_relevant(np.array([4, 5, 99]), labels, excluded=False).tolist() == [3, 0, 0]
    assert count_relevant(np.array([4, 5]), np.array([4, 4]), excluded=False).tolist() == [2, 0]


@pytest.mark.parametrize("excluded", [True, False])
def test_levels_equal_their_definitions_and_keep_what_their_lists_decide(excluded: bool) -> None:
    fine = draw_labels(6, [4, 1, 9, 10, 16])
    levels = {"root": np.zeros(40, int), "half": np.where(fine < 30, "low", "high"), "class": fine}
    gallery = few_directions(40, 7)
    rows = np.arange(40 if excluded else 11)
    query_levels = {level: labels[rows] for level, labels in levels.items()}
    queries = gallery[rows] if excluded else random_directions(11, 8)[:, :3]
    k = 16 - excluded  # R of the largest class: just enough
    found = score_levels(search(queries, gallery, k, excluded), query_levels, levels, excluded)
    lists = [
        list_by_definition(query, gallery, row if excluded else None)[:k]
        for row, query in enumerate(queries)
    ]
    assert list(found) == ["root", "half", "class"]
    for level, scores in found.items():
        assert scores.keys() == (OF_LISTS | OF_R if level == "class" else OF_LISTS)
        assert_by_definition(scores, lists, query_levels[level], levels[level], excluded)
    shorter = score_levels(
        search(queries, gallery, k - 1, excluded), query_levels, levels, excluded
    )
    assert shorter["class"].keys() == OF_LISTS


def test_rank_correlation_is_spearmans_mean() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 5, 40))
    b[:, 10:20] = b[:, 10:11]  # ties
    expected = np.mean([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert rank_correlation(a, np.exp(3 * a)) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)


def test_a_similarity_without_an_order_has_no_rank_correlation() -> None:
    rising = np.arange(8.0).reshape(2, 4)
    assert np.isnan(rank_correlation(np.ones((2, 4)), rising))
    assert np.isnan(rank_correlation(rising, np.where(rising == 6, np.nan, rising)))


LABELS = np.array([4, 2, 4])
LISTS = np.array([[1, 2], [0, 2], [0, 1]])
HITS, RELEVANT = np.zeros((3, 8), bool), np.array([2, 0, 8])
AT_R: list[Callable[..., Any]] = [map_at_r, r_precision, score_queries]
OF_HITS: list[Callable[..., Any]] = [
    lambda hits, relevant: recall_at_k(hits, relevant, 1),
    reciprocal_rank,
    *AT_R,
]


@pytest.mark.parametrize("k", [-1, 0, 9])
def test_recall_beyond_the_lists_is_refused(k: int) -> None:
    with pytest.raises(
        ValueError, match=rf"found hits of shape \(3, 8\) and type bool, k = {k}, expected"
    ):
        recall_at_k(HITS, RELEVANT, k)


@pytest.mark.parametrize("metric", AT_R)
def test_lists_shorter_than_r_are_refused(metric: Callable[..., Any]) -> None:
    with pytest.raises(
        ValueError, match=r"found hits of shape \(3, 8\) and type bool, k = 9, expected"
    ):
        metric(HITS, np.array([2, 9, 1]))


@pytest.mark.parametrize("metric", OF_HITS)
@pytest.mark.parametrize(
    ("hits", "relevant", "message"),
    [
        (HITS[0], RELEVANT[:1].repeat(8), "found hits of shape (8,) and type bool"),
        (HITS[None], RELEVANT[:1], "found hits of shape (1, 3, 8) and type bool"),
        (HITS.astype(int), RELEVANT, "found hits of shape (3, 8) and type int64"),
        (HITS[:0], RELEVANT[:0], "found hits of shape (0, 8)"),
        (HITS[:, :0], RELEVANT * 0, "found hits of shape (3, 0)"),
        (HITS, RELEVANT[:2], "found relevant of shape (2,) and type int64 for 3 lists"),
        (HITS, RELEVANT[:, None], "found relevant of shape (3, 1) and type int64"),
        (HITS, np.array([2, np.nan, 8]), "found relevant of shape (3,) and type float64"),
        (HITS, np.array([2, -1, 8]), "found more hits in a list"),
        (~HITS, np.array([8, 7, 8]), "found more hits in a list"),
    ],
)
def test_hits_that_cannot_be_are_refused(
    metric: Callable[..., Any], hits: np.ndarray, relevant: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message) + ".*, expected"):
        metric(hits, relevant)


def test_recall_is_given_at_the_ranks_asked_for() -> None:
    hits = np.zeros((2, 30), bool)
    hits[0, 9] = hits[1, 10] = True
    found = score_queries(hits, np.array([1, 1]), (1, 10, 30))
    assert {
        name: values.tolist() for name, values in found.items() if name.startswith("recall")
    } == {
        "recall_at_1": [0, 0],
        "recall_at_10": [1, 0],
        "recall_at_30": [1, 1],
    }
    with pytest.raises(ValueError, match="k = 31, expected"):
        score_queries(hits, np.array([1, 1]), (1, 31))


def test_lists_too_short_for_recall_at_8_are_refused() -> None:
    with pytest.raises(ValueError, match="k = 8, expected"):
        score_queries(HITS[:, :7], np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="k = 4, expected"):
        score_levels(LISTS, {"class": LABELS}, {"class": LABELS}, excluded=True)


@pytest.mark.parametrize(
    ("neighbours", "message"),
    [
        (LISTS[:2], "found 2 lists and 3 labels"),
        (LISTS[0], "found neighbours of shape (2,) and type int64"),
        (LISTS[:, :0], "found neighbours of shape (3, 0)"),
        (LISTS > 0, "found neighbours of shape (3, 2) and type bool"),
        (LISTS * 1.0, "found neighbours of shape (3, 2) and type float64"),
        (
            LISTS - 1,
            "found neighbours from -1 to 1, expected rows 0 to 2",
        ),  # faiss gives -1 where it finds no more
        (LISTS + 1, "found neighbours from 1 to 3, expected rows 0 to 2"),
    ],
)
def test_neighbours_that_are_no_rows_of_the_gallery_are_refused(
    neighbours: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        relevance(neighbours, LABELS, LABELS)
    with pytest.raises(ValueError, match=re.escape(message)):
        score_levels(neighbours, {"class": LABELS}, {"class": LABELS}, excluded=True)


@pytest.mark.parametrize(
    ("queries", "gallery", "message"),
    [
        (LABELS[:0], LABELS, "found query labels of shape (0,), expected"),
        (LABELS, LABELS[:0], "found gallery labels of shape (0,), expected"),
        (LABELS[:, None], LABELS, "found query labels of shape (3, 1), expected"),
        (LABELS, LABELS[:, None], "found gallery labels of shape (3, 1), expected"),
        (LABELS, LABELS.astype(str), "found labels of types int64 and <U21, expected"),
        (LABELS, LABELS + 0.0, "found labels of types int64 and float64, expected"),
        (
            np.array(["a", None, None]),
            np.array(["a", "b", None]),
            "found 3 labels missing, expected",
        ),
        (np.array([1.0, np.nan, 2.0]), LABELS + 0.0, "found 1 labels missing, expected"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(
    queries: np.ndarray, gallery: np.ndarray, message: str
) -> None:
    for call in (
        lambda: relevance(LISTS, queries, gallery),
        lambda: count_relevant(queries, gallery, excluded=False),
        lambda: score_levels(LISTS, {"class": queries}, {"class": gallery}, excluded=False),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


def test_a_query_excluded_from_a_gallery_without_its_class_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="found 2 queries of classes that the gallery lacks, expected each query in the",
    ):
        count_relevant(np.array([4, 5, 99]), LABELS, excluded=True)


def test_levels_of_queries_and_gallery_must_be_the_same() -> None:
    with pytest.raises(
        ValueError,
        match=re.escape("found levels ['class'] and ['class', 'order'], expected the same"),
    ):
        score_levels(LISTS, {"class": LABELS}, {"class": LABELS, "order": LABELS}, excluded=True)
    with pytest.raises(ValueError, match="at least one"):
        score_levels(LISTS, {}, {}, excluded=True)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (2, 4)), ((3,), (3,)), ((0, 4), (0, 4)), ((4, 0), (4, 0))]
)
def test_similarities_that_do_not_fit_have_no_rank_correlation(
    a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"found shapes {a} and {b}, expected one shape (Q, N)")
    ):
        rank_correlation(np.zeros(a), np.zeros(b))
