"""Score cells by lineages: an item is relevant if its node is above, below or at the query's.

The gallery of a split is train's samples and after them the split's, both in the order of the
table; a query is never searched for itself. Held-out leaves ask for their ancestors in it. Train's
samples of inner nodes ask for the leaves below them among the split's samples alone, because they
have been trained with all the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from geomix.data.lineages import Lineages, hops, related, shared_levels
from geomix.data.packed import SCORED, Packed
from geomix.errors import InputError
from geomix.evaluate.acted import describe_acted, describe_points, spread_degrees
from geomix.evaluate.cells import (
    PICTURED,
    Cell,
    Scored,
    mean_known,
    read_points,
    searches_of,
    space_evenly,
    split_rows,
)
from geomix.geometry.geometry import Geometry
from geomix.retrieval.hierarchy import (
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
from geomix.retrieval.search import nearest

KEPT = ("leaf_ancestors", "inner_leaves", "map_lineage")  # of each query
DIRECTIONS = ("leaf_ancestors", "inner_leaves")  # whose mean is lineage_score
QUERIES = 512  # held-out samples, evenly spaced, that are ranked against the whole gallery
DIGITS = 12  # of a similarity, relative to the largest: what differs in later ones is equal
CONSTANTS = ("depth", "descendants")  # rankings that ignore the query
ORDERS = 20  # random orders of their ties, whose scores are averaged: the table's order is chance
Values = dict[str, np.ndarray]


class Ranking(NamedTuple):
    """How items of the gallery are ranked for queries, rows of it (q,).

    Attributes:
        search: Returns whole lists of items, closest first, (q, n), for queries and the first row
            that is searched, up to the last; items count from that row. A query among them is left
            out: all queries are, or none is.
        compare: Returns the similarity of queries to the whole gallery, float64 (q, G).
    """

    search: Callable[[np.ndarray, int], np.ndarray]
    compare: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Family:
    """The samples that are compared in a split, in their tree.

    Attributes:
        gallery: Lineages of train's samples and then of the split's, G.
        start: Row of the split's first sample in the gallery, the number of train's samples.
    """

    gallery: Lineages
    start: int

    @property
    def rows(self) -> np.ndarray:
        """The rows of the gallery, (G,)."""
        return np.arange(len(self.gallery))

    @property
    def train(self) -> Lineages:
        """Lineages of train's samples, T."""
        return self.gallery[self.rows[: self.start]]

    @property
    def held_out(self) -> Lineages:
        """Lineages of the split's samples, S."""
        return self.gallery[self.rows[self.start :]]

    @property
    def queries(self) -> np.ndarray:
        """Rows of the split's samples that ask the whole gallery: at most 512, evenly spaced."""
        return self.rows[self.start :][space_evenly(len(self.gallery) - self.start, QUERIES)]

    @cached_property
    def above(self) -> np.ndarray:
        """Which items of the gallery have nodes above any of the split's samples, (G,)."""
        return descendant_scores(self.gallery, self.held_out) > 0

    def differs(self, anchors: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return which items are unrelated to which anchors, rows of the gallery: (A, M)."""
        return ~related(self.gallery[anchors], self.gallery[items]).related


def any_ancestor(packed: Packed) -> bool:
    """Say whether any sample's node is above another's: else relatives are of one class."""
    lineages = packed.lineages
    above = lineages.codes.copy()
    above[np.arange(len(above)), lineages.depth - 1] = -1  # all but the own node
    return bool(np.isin(lineages.node, above).any())


def build_family(packed: Packed, split: str) -> Family:
    """Build the gallery of a split.

    Raises:
        InputError: If no item of it is above one of the split's samples: nothing could be scored.
    """
    train, held_out = packed.rows("train"), packed.rows(split)
    family = Family(packed.lineages[np.concatenate([train, held_out])], len(train))
    if not family.above.any():
        found = f"lineage, and no sample of train or {split} above one of {split} in the tree"
        raise InputError(f"relevance: found {found}; expected one, or class or distances")
    return family


def rank_points(points: Tensor, geometry: Geometry) -> Ranking:
    """Rank items by their similarity to each query, exactly as `nearest` does.

    Args:
        points: Embeddings of the gallery, (G, D), float64.
        geometry: The similarity.
    """
    placed = geometry.place(points)

    def search(queries: np.ndarray, start: int) -> np.ndarray:
        """Search the gallery from a row on."""
        among = bool(queries[0] >= start)
        exclude = queries - start if among else None
        count = len(points) - start - among
        return nearest(points[queries], points[start:], geometry, count, exclude)

    def compare(queries: np.ndarray) -> np.ndarray:
        """Compare queries with the whole gallery."""
        similarity: np.ndarray = geometry.similarity(
            [one[queries] for one in placed], placed
        ).numpy()
        return similarity

    return Ranking(search, compare)


def rank_constant(scores: np.ndarray, seed: int) -> Ranking:
    """Rank items alike for each query: by their scores, the highest first, ties in random order.

    Args:
        scores: Of the gallery, (G,).
        seed: Of the order of ties.
    """
    ties = np.random.default_rng(seed).permutation(len(scores))
    ranked = np.lexsort((ties, -scores))

    def search(queries: np.ndarray, start: int) -> np.ndarray:
        """Return the one order for all queries, without themselves."""
        order = ranked[ranked >= start] - start
        lists = np.tile(order, (len(queries), 1))
        if queries[0] >= start:
            lists = lists[lists != (queries - start)[:, None]].reshape(len(queries), -1)
        return lists

    def compare(queries: np.ndarray) -> np.ndarray:
        """Return the scores for each query."""
        return np.broadcast_to(scores.astype(np.float64), (len(queries), len(scores)))

    return Ranking(search, compare)


def score_held_out(
    lists: np.ndarray, similarity: np.ndarray, queries: Lineages, items: Lineages
) -> Values:
    """Return the metrics of queries that were ranked against all items.

    Args:
        lists: Rankings of all items but perhaps the query itself, (q, n).
        similarity: Of queries to all items, float64 (q, N).
        queries: Lineages, q.
        items: Lineages, N, of the same tree.

    Returns:
        Each (q,), NaN where it is not defined; see `score_lineages`.
    """

    def in_order(values: np.ndarray) -> np.ndarray:
        """Put values of all items (q, N) in the order of the rankings, (q, n)."""
        return np.take_along_axis(values, lists, 1)

    kin = related(queries, items)
    levels, distances = in_order(shared_levels(queries, items)), in_order(hops(queries, items))
    similarity = _tie_rounded(in_order(similarity))
    depths = items.depth[lists]
    return {
        "leaf_ancestors": average_precision(in_order(kin.ancestor)),
        "same_node": average_precision(in_order(kin.same)),
        "map_lineage": average_precision(in_order(kin.related)),
        "h_ap": hierarchical_ap(happier_relevance(levels)),
        "ndcg": ndcg(levels),
        "asi": asi(levels),
        "hop_correlation": hop_correlation(similarity, distances),
        "hop_correlation_by_depth": hop_correlation_by_depth(similarity, distances, depths),
    }


def score_inner(ranking: Ranking, family: Family) -> np.ndarray:
    """Return AP of train's samples, (T,): relevant is what is below them among the split's samples.

    The split's samples alone are ranked. NaN of those with nothing below them.
    """
    scores = np.full(family.start, np.nan)
    held_out = family.held_out
    inner = np.flatnonzero(family.above[: family.start])
    for block in split_rows(inner, len(held_out)):
        below = related(family.gallery[block], held_out).descendant
        lists = ranking.search(block, family.start)
        scores[block] = average_precision(np.take_along_axis(below, lists, 1))
    return scores


def score_ranking(ranking: Ranking, family: Family) -> Values:
    """Return all metrics of a ranking: inner_leaves (T,), others (S,); and neighbours (S, 5).

    Those of the split's samples that are no queries have NaN, and -1 for neighbours.
    """
    blocks = []
    for block in split_rows(family.queries, len(family.gallery)):
        lists, similarity = ranking.search(block, 0), ranking.compare(block)
        values = score_held_out(lists, similarity, family.gallery[block], family.gallery)
        blocks.append(values | {"neighbours": lists[:, :PICTURED]})
    joined = {"inner_leaves": score_inner(ranking, family)}
    for name in blocks[0]:
        found = np.concatenate([values[name] for values in blocks])
        missing = -1 if name == "neighbours" else np.nan
        shape = len(family.gallery) - family.start, *found.shape[1:]
        joined[name] = np.full(shape, missing, found.dtype)
        joined[name][family.queries - family.start] = found
    return joined


def score_lineages(cell: Cell, packed: Packed) -> Scored:
    """Search and score one cell.

    Queries are the split's samples, at most 512 of them, and items its whole gallery, unless
    said. MAP is the mean over queries of average precision; queries for which a metric is not
    defined are left out. A trained head is searched by its own similarity alone.

        leaf_ancestors    MAP; relevant are items whose node is a proper ancestor of the query's
        inner_leaves      MAP; queries are train's samples of inner nodes, items the split's samples
                          alone, relevant those below the query
        lineage_score     the mean of both, which count alike; one of them where the split has no
                          query of the other
        same_node         MAP; relevant are items of the query's own node
        map_lineage       MAP; relevant are items of an ancestor, a descendant or the same node
        h_ap, ndcg, asi   by shared levels, of `retrieval.hierarchy`; H-AP's relevance is HAPPIER's
        hop_correlation   Spearman's correlation of similarity and minus the hops; by_depth it is
                          the mean over the items of each depth

    What acted is measured on the whole gallery; negatives are unrelated items.

    Yields:
        For each split and search a row of the table, and under names that start with
        `<split>/<vector>/<similarity>/` the values of each query, NaN where it has none:
        leaf_ancestors and map_lineage of the split's samples (S,), inner_leaves of train's (T,);
        and neighbours, the first 5 items of each of the split's samples, rows of the gallery: those
        below T are train's samples.

    Raises:
        InputError: If vectors do not fit the data set, or no sample is above one of a split.
    """
    for split in SCORED:
        family = build_family(packed, split)
        for search in searches_of(cell, split):
            if cell.geometry and search.similarity != "own":
                continue  # whole rankings take long
            sides = [read_points(cell, packed, part, search.vector) for part in ("train", split)]
            points = torch.cat(sides)
            values = score_ranking(rank_points(points, search.geometry), family)
            row: dict[str, Any] = {
                "split": split,
                "vector": search.vector,
                "similarity": search.similarity,
                **average(values),
                "spread_degrees": spread_degrees(points),
            }
            if search.similarity == "own":
                row |= describe_points(search.geometry, points)
                rows = family.rows[family.start :], family.rows
                row |= describe_acted(search.geometry, points, family.differs, *rows)
            yield row, keep(values, f"{split}/{search.vector}/{search.similarity}")


def score_constant(name: str, packed: Packed) -> Scored:
    """Score a ranking that ignores the query, to be beaten: what it reaches is no knowledge of it.

    Most items tie in it. Values are means over 20 random orders of ties, those of neighbours of the
    first one.

    Args:
        name: `depth`, the shallower the higher; or `descendants`, by the number of train's samples
            below an item.
        packed: The data set.

    Yields:
        For each split a row with vector `tree` and similarity `constant`, and the values of each
        query, as `score_lineages` does.
    """
    for split in SCORED:
        family = build_family(packed, split)
        if name == "depth":
            scores = depth_scores(family.gallery)
        else:
            scores = descendant_scores(family.gallery, family.train)
        draws = [score_ranking(rank_constant(scores, seed), family) for seed in range(ORDERS)]
        values = {metric: np.mean([draw[metric] for draw in draws], 0) for metric in draws[0]}
        values["neighbours"] = draws[0]["neighbours"]
        row = {"split": split, "vector": "tree", "similarity": "constant", **average(values)}
        yield row, keep(values, f"{split}/tree/constant")


def average(values: Values) -> dict[str, float]:
    """Average the metrics of a ranking over queries, and the two directions into one score."""
    means = {name: mean_known(of) for name, of in values.items() if name != "neighbours"}
    directions = {name: means.pop(name) for name in DIRECTIONS}
    score = mean_known(np.array([*directions.values()]))
    return {**directions, "lineage_score": score, **means}


def keep(values: Values, prefix: str) -> Values:
    """Return what is kept of each query, named by a prefix."""
    kept = {f"{prefix}/{name}": values[name].astype(np.float32) for name in KEPT}
    return kept | {f"{prefix}/neighbours": values["neighbours"].astype(np.int32)}


def _tie_rounded(similarity: np.ndarray) -> np.ndarray:
    """Round each query's similarities (q, n), so that those that differ by rounding alone tie."""
    largest = np.abs(similarity).max(1, keepdims=True)
    relative: np.ndarray = np.round(similarity / np.where(largest > 0, largest, 1), DIGITS)
    return relative
