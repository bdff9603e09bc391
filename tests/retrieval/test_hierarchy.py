"""Lineages and their metrics: each equals its definition, in trees of any depth and many roots."""

import math
import re
from collections.abc import Callable
from statistics import correlation
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.data.lineages import (
    Lineages,
    hops,
    parse_levels,
    parse_paths,
    related,
    shared_levels,
)
from geomix.errors import InputError
from geomix.retrieval.hierarchy import (
    _centred_ranks,
    asi,
    average_precision,
    depth_scores,
    descendant_scores,
    happier_relevance,
    hierarchical_ap,
    hop_correlation,
    hop_correlation_by_depth,
    ndcg,
)
from geomix.retrieval.metrics import rank_correlation

SEEDS = range(4)


def draw_paths(seed: int, count: int = 40) -> list[tuple[str, ...]]:
    """Draw samples of a tree: two roots, the same names below different parents, any depth to 5."""
    random = np.random.default_rng(seed)
    names = ("a", "b", "c")
    return [
        ("ab"[random.integers(2)], *random.choice(names, random.integers(5)).tolist())
        for _ in range(count)
    ]


def split_rows(seed: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    paths = draw_paths(seed)
    return paths[:15], paths[15:]


def draw_lineages(seed: int) -> tuple[Lineages, Lineages]:
    lineages = parse_paths(["/".join(path) for path in draw_paths(seed)])
    rows = np.arange(40)
    return lineages[rows[:15]], lineages[rows[15:]]


def shared_by_definition(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Count the names that two paths have in common before they part."""
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def edges_by_definition(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Count the steps of a walk up from both nodes until they meet, () being the virtual root."""
    steps = 0
    while a != b:
        a, b = (a[:-1], b) if len(a) >= len(b) else (a, b[:-1])
        steps += 1
    return steps


def draw_ranked_levels(seed: int) -> np.ndarray:
    """Draw shared levels of random rankings: (15, 25), of very different depths."""
    queries, items = draw_lineages(seed)
    return np.random.default_rng(seed).permuted(shared_levels(queries, items), axis=1)


def hap_by_definition(relevances: list[float]) -> float:
    if not sum(relevances):
        return math.nan
    summed = 0.0
    for k in range(1, len(relevances) + 1):
        summed += sum(min(relevances[k - 1], relevances[j - 1]) for j in range(1, k + 1)) / k
    return summed / sum(relevances)


def ap_by_definition(hits: list[bool]) -> float:
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    return sum(n / rank for n, rank in enumerate(ranks, 1)) / len(ranks) if ranks else math.nan


def ndcg_by_definition(levels: list[int]) -> float:
    def dcg(order: list[int]) -> float:
        return sum((2**level - 1) / math.log2(1 + rank) for rank, level in enumerate(order, 1))

    return dcg(levels) / dcg(sorted(levels, reverse=True)) if any(levels) else math.nan


def asi_by_definition(levels: list[int]) -> float:
    best = sorted(levels, reverse=True)
    last = sum(level > 0 for level in levels)
    if not last:
        return math.nan
    summed = 0.0
    for n in range(1, last + 1):
        common = [
            min(levels[:n].count(level), best[:n].count(level))
            for level in range(1, max(levels) + 1)
        ]
        summed += sum(common) / n
    return summed / last


def spearman_by_definition(a: list[float], b: list[float]) -> float:
    """Correlate ranks; NaN where b is constant, else 0 where a is."""
    if len(set(b)) < 2:
        return math.nan
    if len(set(a)) < 2:
        return 0.0
    ranks = [
        [sum(y < x for y in values) + (values.count(x) + 1) / 2 for x in values]
        for values in (a, b)
    ]
    return correlation(*ranks)


def by_row(definition: Callable[..., float], values: np.ndarray) -> list[float]:
    return [definition(row) for row in values.tolist()]


def same(found: np.ndarray, expected: list[float]) -> bool:
    return bool(found == pytest.approx(expected, abs=1e-12, nan_ok=True))


# Lineages


@pytest.mark.parametrize("seed", SEEDS)
def test_codes_are_numbers_of_paths_and_numbers_grow_with_depth(seed: int) -> None:
    paths = draw_paths(seed)
    lineages = parse_paths(["/".join(path) for path in paths])
    assert len(lineages) == 40
    assert len(set(lineages.paths)) == len(lineages.paths)
    assert [len(path) for path in lineages.paths] == sorted(map(len, lineages.paths))
    for path, codes, node in zip(paths, lineages.codes, lineages.node, strict=True):
        assert lineages.paths[node] == path
        known = codes[codes >= 0]
        assert [lineages.paths[code] for code in known] == [
            path[:level] for level in range(1, len(path) + 1)
        ]
        assert (codes[len(path) :] == -1).all()
    assert lineages.depth.tolist() == [len(path) for path in paths]


def test_the_same_name_below_two_parents_is_two_nodes() -> None:
    lineages = parse_paths(["a/x", "b/x", "a", "a/x", "x"])
    assert lineages.codes.tolist() == [[0, 3], [1, 4], [0, -1], [0, 3], [2, -1]]
    assert lineages.paths == (("a",), ("b",), ("x",), ("a", "x"), ("b", "x"))
    assert lineages.node.tolist() == [3, 4, 0, 3, 2]


def test_columns_give_the_same_lineages_as_paths() -> None:
    columns: dict[str, list[Any]] = {
        "order": ["cat", "dog ", "cat", "cat"],
        "family": ["big", "", "big", None],
        "genus": ["lion", " ", "", float("nan")],
    }
    found, expected = parse_levels(columns), parse_paths(["cat/big/lion", "dog", "cat/big", "cat/"])
    assert found.paths == expected.paths
    assert (
        found.codes.tolist()
        == expected.codes.tolist()
        == [[0, 2, 3], [1, -1, -1], [0, 2, -1], [0, -1, -1]]
    )


def test_lineages_are_chosen_by_rows_or_by_a_mask() -> None:
    lineages = parse_paths(["a", "a/b", "c"])
    assert lineages[np.array([2, 1])].codes.tolist() == [[1, -1], [0, 2]]
    assert lineages[np.array([False, True, False])].node.tolist() == [2]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (
            {"order": ["a", "a"], "family": ["b", ""], "genus": ["", "c"]},
            "found 'c' in column genus of row 1 (the first is 0) below a blank in column family,"
            " expected",
        ),
        (
            {"order": ["a", ""], "family": ["b", "d"]},
            "found 'd' in column family of row 1 (the first is 0) below a blank in column order,"
            " expected",
        ),
        (
            {"order": ["a", " "], "family": ["b", ""]},
            "found row 1 (the first is 0) blank in column order, expected",
        ),
    ],
)
def test_columns_with_names_below_blanks_or_with_nothing_are_refused(
    levels: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_levels(levels)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a", "a//b"], "found 'b' in column level 3 of row 1 (the first is 0) below a blank"),
        (["/a"], "found 'a' in column level 2 of row 0 (the first is 0) below a blank"),
        (["a", ""], "found row 1 (the first is 0) blank in column level 1, expected"),
    ],
)
def test_paths_with_blank_names_are_refused(paths: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_paths(paths)


@pytest.mark.parametrize("levels", [{}, {"a": []}, {"a": ["x"], "b": ["y", "z"]}])
def test_columns_that_make_no_table_are_refused(levels: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"found columns of lengths \[.*\], expected at least one"):
        parse_levels(levels)


# Relations


@pytest.mark.parametrize("seed", SEEDS)
def test_levels_hops_and_relations_equal_their_definitions(seed: int) -> None:
    (query_paths, item_paths), (queries, items) = split_rows(seed), draw_lineages(seed)
    shared, edges, kin = (
        shared_levels(queries, items),
        hops(queries, items),
        related(queries, items),
    )
    assert shared.shape == edges.shape == kin.related.shape == (15, 25)
    for row, query in enumerate(query_paths):
        for column, item in enumerate(item_paths):
            place = row, column
            assert shared[place] == shared_by_definition(query, item)
            assert edges[place] == edges_by_definition(query, item)
            above = {query[:level] for level in range(1, len(query))}
            below = {item[:level] for level in range(1, len(item))}
            assert kin.ancestor[place] == (item in above)
            assert kin.descendant[place] == (query in below)
            assert kin.same[place] == (query == item)
            assert kin.related[place] == (item in above or query in below or query == item)
    for mask in kin:
        assert 0 < mask.sum() < mask.size


def test_different_roots_meet_at_a_virtual_root() -> None:
    lineages = parse_paths(["a/b/c", "d/e", "d"])
    assert shared_levels(lineages, lineages).tolist() == [[3, 0, 0], [0, 2, 1], [0, 1, 1]]
    assert hops(lineages, lineages).tolist() == [[0, 5, 4], [5, 0, 1], [4, 1, 0]]
    assert related(lineages, lineages).related.tolist() == [
        [True, False, False],
        [False, True, True],
        [False, True, True],
    ]


def test_hops_are_a_metric_of_nodes_and_directions_mirror_each_other() -> None:
    queries, items = draw_lineages(7)
    edges = hops(items, items)
    assert np.array_equal(edges, edges.T)
    assert (edges[:, :, None] <= edges[:, None, :] + edges[None]).all()  # over the third node
    assert np.array_equal(edges == 0, items.node[:, None] == items.node)
    forth, back = related(queries, items), related(items, queries)
    assert np.array_equal(forth.ancestor, back.descendant.T)
    assert np.array_equal(forth.same, back.same.T)


@pytest.mark.parametrize("function", [shared_levels, hops, related, descendant_scores])
def test_lineages_read_apart_are_not_compared(function: Callable[..., Any]) -> None:
    a, b = parse_paths(["a/b", "c"]), parse_paths(["a/b", "d"])
    with pytest.raises(ValueError, match="found two trees, of 3 and 3 nodes, expected"):
        function(a, b)
    function(a, parse_paths(["a/b", "c"]))


# Metrics of rankings


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_hierarchical_ap_equals_its_definition(seed: int, alpha: float) -> None:
    relevances = happier_relevance(draw_ranked_levels(seed), alpha)
    relevances[0], relevances[1] = 0, 0.25
    found = hierarchical_ap(relevances)
    assert same(found, by_row(hap_by_definition, relevances))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_hierarchical_ap_of_levels_and_of_distinct_numbers_equals_its_definition(seed: int) -> None:
    levels = draw_ranked_levels(seed)
    assert same(hierarchical_ap(levels), by_row(hap_by_definition, levels))
    numbers = np.random.default_rng(seed).random((3, 9))
    assert same(hierarchical_ap(numbers), by_row(hap_by_definition, numbers))


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_of_levels_equal_their_definitions(seed: int) -> None:
    levels = draw_ranked_levels(seed)
    levels[0] = 0
    assert same(ndcg(levels), by_row(ndcg_by_definition, levels))
    assert same(asi(levels), by_row(asi_by_definition, levels))
    assert same(average_precision(levels > 1), by_row(ap_by_definition, levels > 1))


# [2, 0, 1, 2, 0] are the shared levels of a ranking of five items; the best is [2, 2, 1, 0, 0].
BY_HAND = np.array([[2, 0, 1, 2, 0]])


def test_hierarchical_ap_by_hand() -> None:
    # ranks 1, 3, 4 add 2/1, (1 + 1)/3, (2 + 1 + 2)/4; the sum of relevances is 5
    assert hierarchical_ap(BY_HAND) == pytest.approx([(2 + 2 / 3 + 5 / 4) / 5], abs=1e-12)
    # relevances 2/2, 1/1, 2/2: H-AP is AP with relevant items at ranks 1, 3, 4
    assert happier_relevance(BY_HAND).tolist() == [[1, 0, 1, 1, 0]]
    assert hierarchical_ap(happier_relevance(BY_HAND)) == pytest.approx([(1 + 2 / 3 + 3 / 4) / 3])


def test_ndcg_by_hand() -> None:
    # gains 3, 0, 1, 3, 0; discounts log2 of 2, 3, 4, 5
    found, best = 3 + 1 / 2 + 3 / math.log2(5), 3 + 3 / math.log2(3) + 1 / 2
    assert ndcg(BY_HAND) == pytest.approx([found / best], abs=1e-12)
    assert ndcg(BY_HAND) == pytest.approx([4.792030 / 5.392789], abs=1e-6)


def test_asi_by_hand() -> None:
    # the first 1, 2, 3 items have 1, 1, 2 in common with the best order
    assert asi(BY_HAND) == pytest.approx([(1 / 1 + 1 / 2 + 2 / 3) / 3], abs=1e-12)


def test_average_precision_by_hand() -> None:
    assert average_precision(BY_HAND > 0) == pytest.approx([(1 / 1 + 2 / 3 + 3 / 4) / 3], abs=1e-12)
    assert average_precision(BY_HAND == 0) == pytest.approx([(1 / 2 + 2 / 5) / 2], abs=1e-12)


def test_happier_relevance_by_hand() -> None:
    levels = np.array([[3, 1, 0, 1, 3, 3], [0, 0, 2, 0, 0, 1]])
    first = [3 / 3, 1 / 2, 0, 1 / 2, 3 / 3, 3 / 3]
    assert happier_relevance(levels).tolist() == [first, [0, 0, 2, 0, 0, 1]]
    squared = [9 / 3, 1 / 2, 0, 1 / 2, 9 / 3, 9 / 3]
    assert happier_relevance(levels, 2).tolist() == [squared, [0, 0, 4, 0, 0, 1]]
    assert happier_relevance(levels, 0)[1].tolist() == [0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_level_has_its_weight_as_a_whole(seed: int) -> None:
    levels = draw_ranked_levels(seed)
    relevances = happier_relevance(levels, 1.5)
    for level in range(1, levels.max() + 1):
        inside = levels == level
        summed = (relevances * inside).sum(1)
        assert same(summed, np.where(inside.any(1), level**1.5, 0).tolist())


def test_hierarchical_ap_does_not_change_when_relevances_are_rescaled() -> None:
    relevances = happier_relevance(draw_ranked_levels(1))
    factors = np.geomspace(1e-3, 1e5, len(relevances))[:, None]
    expected = hierarchical_ap(relevances)
    assert hierarchical_ap(relevances * factors) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert hierarchical_ap(relevances**2) != pytest.approx(expected, nan_ok=True)


def test_hierarchical_ap_of_relevant_or_not_is_average_precision() -> None:
    hits = draw_ranked_levels(2) > 1
    assert same(hierarchical_ap(hits * 0.3), average_precision(hits).tolist())


@pytest.mark.parametrize("metric", [hierarchical_ap, ndcg, asi])
def test_the_best_order_scores_one_and_each_swap_of_unequal_neighbours_less(
    metric: Callable[..., Any],
) -> None:
    best = np.array([[3, 3, 2, 2, 2, 1, 0, 0]])
    assert metric(best) == pytest.approx([1])
    for rank in range(7):
        swapped = best.copy()
        swapped[0, [rank, rank + 1]] = best[0, [rank + 1, rank]]
        equal = best[0, rank] == best[0, rank + 1]
        assert (metric(swapped)[0] < 1 - 1e-6) == (not equal)


@pytest.mark.parametrize("metric", [hierarchical_ap, ndcg, asi])
def test_queries_that_share_nothing_have_no_value(metric: Callable[..., Any]) -> None:
    assert np.isnan(metric(np.zeros((2, 4), int))).tolist() == [True, True]
    assert np.isnan(metric(np.array([[0, 0], [0, 1]]))).tolist() == [True, False]


def test_queries_without_relevant_items_have_no_average_precision() -> None:
    found = average_precision(np.array([[False, False], [False, True]]))
    assert np.isnan(found[0])
    assert found[1] == 0.5


def test_small_types_of_integers_do_not_lose_digits() -> None:
    levels = draw_ranked_levels(3) * 3  # 2^15 - 1 needs more than 16 bits of a float
    for metric in (hierarchical_ap, ndcg, asi, happier_relevance):
        expected = metric(levels.astype(np.int64))
        for kind in (np.int8, np.uint8):
            assert np.array_equal(metric(levels.astype(kind)), expected, equal_nan=True)


# Correlation with hops


def draw_similarity(seed: int) -> np.ndarray:
    """Draw similarities (15, 25) with ties, two rows constant."""
    similarity = np.random.default_rng(seed).integers(0, 9, (15, 25)) / 4
    similarity[[3, 6]] = 0.5
    return similarity


@pytest.mark.parametrize("seed", SEEDS)
def test_correlations_with_hops_equal_their_definitions(seed: int) -> None:
    queries, items = draw_lineages(seed)
    similarity, distances = draw_similarity(seed), hops(queries, items)
    distances[5:7] = 2
    overall, within = [], []
    for a, far in zip(similarity.tolist(), distances.tolist(), strict=True):
        near = [-edges for edges in far]
        overall.append(spearman_by_definition(a, near))
        of_depths = []
        for depth in set(items.depth.tolist()):
            columns = np.flatnonzero(items.depth == depth).tolist()
            chosen = [near[column] for column in columns]
            if len(columns) >= 3 and len(set(chosen)) > 1:
                similar = [a[column] for column in columns]
                of_depths.append(spearman_by_definition(similar, chosen))
        within.append(sum(of_depths) / len(of_depths) if of_depths else math.nan)
    assert same(hop_correlation(similarity, distances), overall)
    assert same(hop_correlation_by_depth(similarity, distances, items.depth), within)
    assert overall[3] == within[3] == 0
    assert np.isnan(overall[5:7]).all()
    assert np.isnan(within[5:7]).all()


@pytest.mark.parametrize(("size", "count"), [(2_000, 7), (2_000, 300), (200_000, 70_000)])
@pytest.mark.parametrize("decimals", [0, 1, 17])
def test_ranks_within_groups_are_those_of_pandas_ties_at_their_mean(
    size: int, count: int, decimals: int
) -> None:
    random = np.random.default_rng(decimals)
    values, group = random.normal(size=size).round(decimals), random.integers(count, size=size)
    ranks = pd.Series(values).groupby(group).rank()
    expected = ranks - ranks.groupby(group).transform("mean")
    found = _centred_ranks(values, group, count)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert (2 * found == np.round(2 * found)).all()


def test_each_query_can_have_its_own_order() -> None:
    queries, items = draw_lineages(4)
    similarity, distances = draw_similarity(4), hops(queries, items)
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked_similarity = np.take_along_axis(similarity, order, 1)
    ranked_distances = np.take_along_axis(distances, order, 1)
    overall = hop_correlation(similarity, distances)
    assert same(hop_correlation(ranked_similarity, ranked_distances), overall.tolist())
    expected = hop_correlation_by_depth(similarity, distances, items.depth)
    found = hop_correlation_by_depth(ranked_similarity, ranked_distances, items.depth[order])
    assert same(found, expected.tolist())


def test_the_correlation_of_the_whole_is_that_of_the_other_metrics() -> None:
    random = np.random.default_rng(0)
    similarity, distances = random.integers(0, 6, (2, 5, 30)).astype(float)
    expected = rank_correlation(similarity, -distances)
    assert hop_correlation(similarity, distances).mean() == pytest.approx(expected)


def test_minus_the_hops_correlate_with_one_and_hops_with_minus_one() -> None:
    queries, items = draw_lineages(5)
    distances = hops(queries, items)
    assert (hop_correlation(np.exp(-distances), distances) == 1).all()
    assert (hop_correlation(distances, distances) == -1).all()
    within = hop_correlation_by_depth(np.exp(-distances), distances, items.depth)
    assert (within[~np.isnan(within)] == 1).all()
    assert not np.isnan(within).all()


def test_a_ranking_by_depth_correlates_overall_and_not_within_a_depth() -> None:
    queries, items = draw_lineages(6)
    distances = hops(queries, items)
    scores = np.broadcast_to(depth_scores(items), distances.shape)
    assert hop_correlation(scores, distances).mean() > 0.3
    within = hop_correlation_by_depth(scores, distances, items.depth)
    assert (within[~np.isnan(within)] == 0).all()
    assert not np.isnan(within).all()


def test_depths_of_two_items_or_of_equally_far_ones_do_not_count() -> None:
    similarity = np.array([[5.0, 4, 3, 2, 1, 7, 8, 9]])
    distances = np.array([[1, 3, 1, 3, 5, 2, 2, 2]])
    depths = np.array([1, 1, 2, 2, 2, 3, 3, 3])
    assert hop_correlation_by_depth(similarity, distances, depths).tolist() == [1]
    few = hop_correlation_by_depth(similarity[:, :2], distances[:, :2], depths[:2])
    assert np.isnan(few).all()


# Baselines


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_without_a_query_equal_their_definitions(seed: int) -> None:
    (training_paths, item_paths), (training, items) = split_rows(seed), draw_lineages(seed)
    assert depth_scores(items).tolist() == [-len(path) for path in item_paths]
    assert descendant_scores(items, training).tolist() == [
        sum(other != path and other[: len(path)] == path for other in training_paths)
        for path in item_paths
    ]


def test_scores_without_a_query_order_ancestors_first() -> None:
    items = parse_paths(["a/b/c", "a/b", "a", "a/d", "a/b"])
    training = items[np.array([0, 0, 1, 3])]
    assert descendant_scores(items, training).tolist() == [0, 2, 4, 0, 2]
    assert depth_scores(items).tolist() == [-3, -2, -1, -2, -2]


# Refusals


LEVELS = np.array([[1, 0, 2], [0, 0, 1]])
OF_LEVELS: list[Callable[..., Any]] = [ndcg, asi, happier_relevance]


@pytest.mark.parametrize("metric", [hierarchical_ap, average_precision, *OF_LEVELS])
@pytest.mark.parametrize("shape", [(3,), (2, 3, 1), (0, 3), (2, 0)])
def test_shapes_that_are_no_rankings_are_refused(
    metric: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    values = np.zeros(shape, bool if metric is average_precision else int)
    with pytest.raises(ValueError, match=re.escape(f"found shape {shape} and type")):
        metric(values)


@pytest.mark.parametrize(
    ("metric", "values", "message"),
    [
        (average_precision, LEVELS, "type int64, expected booleans"),
        (hierarchical_ap, LEVELS > 0, "type bool, expected numbers"),
        *((metric, LEVELS / 2, "type float64, expected integers") for metric in OF_LEVELS),
        *((metric, LEVELS - 1, "found values from -1 to 1, expected") for metric in OF_LEVELS),
        (hierarchical_ap, LEVELS - 0.5, "found values from -0.5 to 1.5, expected"),
        (hierarchical_ap, LEVELS * np.nan, "found values from nan to nan, expected"),
        (
            hierarchical_ap,
            np.where(LEVELS > 1, np.inf, 0),
            "found values from 0.0 to inf, expected",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(
    metric: Callable[..., Any], values: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(values)


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_weights_of_levels_that_cannot_be_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"found alpha = {alpha}, expected"):
        happier_relevance(LEVELS, alpha)


@pytest.mark.parametrize(
    ("similarity", "distances", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "found shapes (2, 3) and (2, 4), expected one shape"),
        (np.zeros(3), np.zeros(3), "found shapes (3,) and (3,), expected one shape"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "found shapes (2, 0) and (2, 0), expected one shape"),
        (LEVELS * np.nan, LEVELS, "found similarities or hops of inf or nan, expected"),
        (LEVELS, LEVELS - np.inf, "found similarities or hops of inf or nan, expected"),
    ],
)
def test_similarities_and_hops_that_do_not_fit_are_refused(
    similarity: np.ndarray, distances: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        hop_correlation(similarity, distances)
    with pytest.raises(ValueError, match=re.escape(message)):
        hop_correlation_by_depth(similarity, distances, np.ones(3, int))


@pytest.mark.parametrize("depths", [np.ones(2, int), np.ones((3, 3), int), np.ones(3)])
def test_depths_that_do_not_fit_are_refused(depths: np.ndarray) -> None:
    found = f"found depths of shape {depths.shape} and type {depths.dtype}, expected integers"
    with pytest.raises(ValueError, match=re.escape(found)):
        hop_correlation_by_depth(LEVELS / 2, LEVELS, depths)
