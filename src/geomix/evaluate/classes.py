"""Score cells by classes: the relevant items of a query are those of its class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from geomix.data.packed import SCORED, Packed
from geomix.errors import InputError
from geomix.evaluate.acted import describe_acted, describe_points, other_class, spread_degrees
from geomix.evaluate.cells import PICTURED, Cell, Scored, read_points, searches_of
from geomix.evaluate.rounded import recall_rounded
from geomix.geometry.geometry import Geometry
from geomix.retrieval.metrics import RANKS, count_relevant, score_levels
from geomix.retrieval.search import nearest

# The literature's ranks, where they are not RANKS.
PUBLISHED_RANKS = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30)}
KEPT = ("recall_at_1", "map_at_r")  # of each query


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
    """

    queries: np.ndarray
    gallery: np.ndarray
    excluded: bool
    asked: dict[str, np.ndarray]
    there: dict[str, np.ndarray]
    ranks: tuple[int, ...]
    depth: int

    def search(self, points: Tensor, geometry: Geometry, depth: int | None = None) -> np.ndarray:
        """Return the rows in the gallery nearest to each query, (Q, depth), closest first."""
        k = self.depth if depth is None else depth
        if self.excluded:
            return nearest(points, points, geometry, k, exclude=np.arange(len(points)))
        return nearest(points[self.queries], points[self.gallery], geometry, k)

    def score(
        self, found: np.ndarray, ranks: tuple[int, ...] | None = None
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return by level the metrics of each query, (Q,), NaN where it has none."""
        return score_levels(found, self.asked, self.there, self.excluded, ranks or self.ranks)


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
    depth = min(available, max(*ranks, int(relevant.max())))
    return Protocol(queries, gallery, excluded, asked, there, ranks, depth)


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
            found = protocol.search(points, search.geometry)
            scores = protocol.score(found)
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
            kept["neighbours"] = found[:, :PICTURED].astype(np.int32)
            prefix = f"{split}/{search.vector}/{search.similarity}"
            yield row, {f"{prefix}/{name}": value for name, value in kept.items()}
