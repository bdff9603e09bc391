"""Score cells by classes: the relevant items of a query are those of its class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from geomix.data.packed import SCORED, Packed
from geomix.errors import InputError
from geomix.evaluate.acted import describe_acted, describe_points, other_class, spread_degrees
from geomix.evaluate.cells import PICTURED, Cell, Scored, read_points, searches_of, space_evenly
from geomix.evaluate.rounded import recall_rounded
from geomix.geometry.geometry import Geometry
from geomix.retrieval.metrics import RANKS, count_relevant, score_levels
from geomix.retrieval.search import nearest

# The literature's ranks, where they are not RANKS.
PUBLISHED_RANKS = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30)}
KEPT = ("recall_at_1", "map_at_r")  # of each query
LONG = ("reciprocal_rank", "map_at_r", "r_precision")  # need lists as long as the largest class
LISTS = 2**24  # numbers in the lists of a block of queries
# Numbers in all lists of a search that are as long as the largest class: about 10 s on a core. For
# 120,000 queries in 6 classes they would take hours. Then a sample of the queries has such lists,
# evenly spaced in the table, as many as fit but at least LEAST: MAP@R is then within about 0.03 of
# that of all queries (2 standard errors of a share, 1 / sqrt(LEAST), at most).
LISTED = 2**25
LEAST = 1000


@dataclass(frozen=True)
class Protocol:
    """What is searched for what in a split.

    Attributes:
        queries: Rows among those of the split, (Q,).
        gallery: Likewise, (G,).
        excluded: Whether queries are the gallery, and none is its own neighbour.
        asked: By level, the classes of the queries, int (Q,).
        there: By level, the classes of the gallery, int (G,).
        ranks: The K of the recalls.
        depth: Neighbours in a list.
        longest: Neighbours in the lists of `sampled`.
        sampled: The queries, as numbers among them, for which alone a metric is computed that
            needs lists as long as the largest class; None where all lists are as long.
    """

    queries: np.ndarray
    gallery: np.ndarray
    excluded: bool
    asked: dict[str, np.ndarray]
    there: dict[str, np.ndarray]
    ranks: tuple[int, ...]
    depth: int
    longest: int
    sampled: np.ndarray | None

    def measure(
        self, points: Tensor, geometry: Geometry
    ) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
        """Search and score, a block of queries at a time, because lists may be long.

        Returns:
            The rows in the gallery of the few nearest to each query, int32 (Q, PICTURED) at most;
            and by level the metrics of each query, (Q,), NaN where it has none.
        """
        few, scores = [], []
        for block in split_range(len(self.queries), LISTS // self.depth):
            found = self.search(points, geometry, block=block)
            few.append(found[:, :PICTURED].astype(np.int32))
            scores.append(self.score(found, block=block))
        joined = join_scores(scores)
        if self.sampled is not None:
            joined["label"] |= self.measure_sampled(points, geometry, self.sampled)
        return np.concatenate(few), joined

    def measure_sampled(
        self, points: Tensor, geometry: Geometry, sampled: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the metrics of classes that need long lists, (Q,), NaN but for a sample."""
        values = {name: np.full(len(self.queries), np.nan) for name in LONG}
        for part in split_range(len(sampled), LISTS // self.longest):
            rows = sampled[part]
            found = self.search(points, geometry, self.longest, rows)
            scores = self.score(found, block=rows)["label"]
            for name, value in values.items():
                value[rows] = scores[name]
        return values

    def search(
        self,
        points: Tensor,
        geometry: Geometry,
        depth: int | None = None,
        block: slice | np.ndarray = slice(None),
    ) -> np.ndarray:
        """Return the rows in the gallery nearest to queries, (q, depth), closest first."""
        k = self.depth if depth is None else depth
        rows = self.queries[block]
        if not self.excluded:
            return nearest(points[rows], points[self.gallery], geometry, k)
        asked = points if len(rows) == len(points) else points[rows]
        return nearest(asked, points, geometry, k, exclude=rows)

    def score(
        self,
        found: np.ndarray,
        ranks: tuple[int, ...] | None = None,
        block: slice | np.ndarray = slice(None),
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return by level the metrics of queries, (q,), NaN where one has none."""
        asked = {level: classes[block] for level, classes in self.asked.items()}
        return score_levels(found, asked, self.there, self.excluded, ranks or self.ranks)


def split_range(count: int, step: int) -> Iterator[slice]:
    """Split 0 ... count - 1 into parts of that many, at least one."""
    for start in range(0, count, max(1, step)):
        yield slice(start, start + max(1, step))


def join_scores(
    blocks: Sequence[dict[str, dict[str, np.ndarray]]],
) -> dict[str, dict[str, np.ndarray]]:
    """Join the metrics of blocks of queries, by level those that all blocks have."""
    return {
        level: {
            name: np.concatenate([block[level][name] for block in blocks])
            for name in first
            if all(name in block[level] for block in blocks)
        }
        for level, first in blocks[0].items()
    }


def build_protocol(packed: Packed, split: str) -> Protocol:
    """Build the protocol of a split.

    Raises:
        InputError: If no query has a relevant item.
    """
    rows = packed.rows(split)
    samples = packed.samples.iloc[rows]
    queries = np.searchsorted(rows, packed.queries(split))
    gallery = np.searchsorted(rows, packed.gallery(split))
    excluded = np.array_equal(queries, gallery)
    levels = [*packed.card["levels"], "label"]
    codes = {level: pd.factorize(samples[level])[0] for level in levels}
    asked = {level: code[queries] for level, code in codes.items()}
    there = {level: code[gallery] for level, code in codes.items()}
    relevant = count_relevant(asked["label"], there["label"], excluded)
    if not relevant.any():
        found = f"class, and no query of {split} with another sample of its class in the gallery"
        raise InputError(f"relevance: found {found}; expected one, or lineage or distances")
    available = len(gallery) - excluded
    ranks = choose_ranks(packed.card["dataset"], available)
    longest = min(available, max(*ranks, int(relevant.max())))
    sampled = sample_queries(relevant, longest)
    depth = longest if sampled is None else min(available, max(*ranks, PICTURED))
    return Protocol(queries, gallery, excluded, asked, there, ranks, depth, longest, sampled)


def sample_queries(relevant: np.ndarray, longest: int) -> np.ndarray | None:
    """Choose the queries that get lists as long as the largest class; None for all of them.

    Args:
        relevant: The number of each query's relevant items, (Q,); one without any is not chosen.
        longest: Length of the lists.

    Returns:
        Numbers of queries, ascending and evenly spaced, so that a class has its share of them.
    """
    scored = np.flatnonzero(relevant)
    count = max(LEAST, LISTED // longest)
    if len(relevant) * longest <= LISTED or len(scored) <= count:
        return None
    return scored[space_evenly(len(scored), count)]


def choose_ranks(dataset: str, available: int) -> tuple[int, ...]:
    """Return the K of the recalls of a data set, ascending: the literature's up to `available`."""
    return tuple(rank for rank in PUBLISHED_RANKS.get(dataset, RANKS) if rank <= available)


def score_classes(cell: Cell, packed: Packed) -> Scored:
    """Search and score one cell.

    Yields:
        For each split and search a row of the table, and the values of each query under names that
        start with `<split>/<vector>/<similarity>/`.

    Raises:
        InputError: If the vectors do not fit the data set, or no query has a relevant item.
    """
    for split in SCORED:
        protocol = build_protocol(packed, split)
        labels = packed.samples["label"].to_numpy()[packed.rows(split)]
        for search in searches_of(cell, split):
            points = read_points(cell, packed, split, search.vector)
            few, scores = protocol.measure(points, search.geometry)
            values = scores.pop("label")
            row: dict[str, Any] = {
                "split": split,
                "vector": search.vector,
                "similarity": search.similarity,
                **{name: float(np.nanmean(value)) for name, value in values.items()},
            }
            for level, score in scores.items():
                row[f"recall_at_1_{level}"] = float(np.nanmean(score["recall_at_1"]))
            row["spread_degrees"] = spread_degrees(points)
            if search.similarity == "own":
                row |= describe_points(search.geometry, points)
                sides = protocol.queries, protocol.gallery
                row |= describe_acted(search.geometry, points, other_class(labels), *sides)
                row |= recall_rounded(search.geometry, points, labels, *sides)
            kept = {name: values[name].astype(np.float32) for name in KEPT}
            kept["neighbours"] = few
            prefix = f"{split}/{search.vector}/{search.similarity}"
            yield row, {f"{prefix}/{name}": value for name, value in kept.items()}
