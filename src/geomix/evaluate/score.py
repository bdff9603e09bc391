"""Score the cells of a study: runs/<dataset>/<study> -> metrics.csv, per_query.npz and others."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from geomix.data.packed import SCORED, Packed
from geomix.errors import InputError
from geomix.evaluate.acted import describe_acted, spread_degrees
from geomix.evaluate.choose import choose_values
from geomix.evaluate.rounded import recall_rounded
from geomix.evaluate.tree import score_tree
from geomix.files import new_folder, read_json, write_json
from geomix.geometry.geometry import Geometry, cosine, describe_radii, geometry_from
from geomix.retrieval.metrics import RANKS, count_relevant, rank_correlation, score_levels
from geomix.retrieval.search import nearest

# The literature's ranks, where they are not RANKS.
PUBLISHED_RANKS = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30)}
VECTORS = ("head", "backbone", "pixels", "vectors")
CORRELATED = 128  # queries, evenly spaced, behind a rank correlation
PICTURED = 5  # neighbours kept for pictures
KEPT = ("recall_at_1", "map_at_r")  # of each query


@dataclass(frozen=True)
class Cell:
    """What is searched.

    Attributes:
        name: Its place in the study.
        identity: What names and makes it.
        geometry: Of the head, if it has one.
        vectors: By `<split>_<vector>`.
        machine: What it was trained with.
    """

    name: str
    identity: dict[str, Any]
    geometry: Geometry | None
    vectors: Mapping[str, np.ndarray]
    machine: dict[str, str] | None = None


@dataclass(frozen=True)
class Search:
    """One way to search a cell: a vector, the geometry that compares it, and that one's name."""

    vector: str
    similarity: str
    geometry: Geometry


@dataclass(frozen=True)
class Task:
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


def build_task(packed: Packed, split: str) -> Task:
    """Build the task of a split."""
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
    available = len(gallery) - excluded
    ranks = choose_ranks(packed.card["dataset"], available)
    depth = min(available, max(*ranks, int(relevant.max())))
    return Task(queries, gallery, excluded, asked, there, ranks, depth)


def read_cell(runs: Path, name: str) -> Cell:
    """Read a cell that was trained.

    Raises:
        InputError: If a file is missing.
    """
    folder = runs / name
    description = read_json(folder / "geometry.json")
    try:
        vectors = np.load(folder / "embeddings.npz", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"{folder}/embeddings.npz: not found; expected it from an earlier stage (dvc repro)"
        ) from None
    geometry = geometry_from(description) if description.get("spaces") else None
    return Cell(name, description["cell"], geometry, vectors, description["machine"])


def searches(geometry: Geometry | None, vectors: Sequence[str]) -> Iterator[Search]:
    """List the searches of a cell: the head in its own similarity, every vector under cosine."""
    if geometry:
        yield Search("head", "own", geometry)
    for vector in vectors:
        yield Search(vector, "cosine", cosine())


def describe_points(geometry: Geometry, vectors: Tensor) -> dict[str, float]:
    """Describe what the geometry made of embeddings (N, D).

    Returns:
        The share of points at the clip radius, mean and s.d. of the radii (NaN without a radius),
        and the mean rank correlation of each query's gallery between cosine and the geometry's own
        similarity.
    """
    sample = vectors[:: max(1, len(vectors) // CORRELATED)][:CORRELATED]
    pairs = [
        space.similarity(space.place(sample), space.place(vectors)).numpy()
        for space in (geometry, cosine())
    ]
    return describe_radii(geometry.radii(geometry.place(vectors)), geometry.clip_radius) | {
        "rank_correlation": rank_correlation(*pairs)
    }


def choose_ranks(dataset: str, available: int) -> tuple[int, ...]:
    """Return the K of the recalls of a data set, ascending: the literature's up to `available`."""
    return tuple(rank for rank in PUBLISHED_RANKS.get(dataset, RANKS) if rank <= available)


def score_cell(
    cell: Cell, packed: Packed
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Search and score one cell.

    Yields:
        For each split and search a row of the table, and the values of each query under names that
        start with `<split>/<vector>/<similarity>/`.

    Raises:
        InputError: If the vectors do not fit the data set.
    """
    for split in SCORED:
        task, count = build_task(packed, split), len(packed.rows(split))
        labels = packed.samples["label"].to_numpy()[packed.rows(split)]
        vectors = [name for name in VECTORS if f"{split}_{name}" in cell.vectors]
        for search in searches(cell.geometry, vectors):
            points = torch.from_numpy(cell.vectors[f"{split}_{search.vector}"]).double()
            if len(points) != count:
                raise InputError(
                    f"{cell.name}: found {len(points)} {split} embeddings, expected {count}: "
                    "run train again"
                )
            found = task.search(points, search.geometry)
            scores = task.score(found)
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
                spaces = search.geometry.describe()["spaces"]
                row["curved"] = any("curvature" in space for space in spaces)
                row |= describe_points(search.geometry, points)
                searched = search.geometry, points, labels, task.queries, task.gallery
                row |= describe_acted(*searched) | recall_rounded(*searched)
            kept = {name: values[name].astype(np.float32) for name in KEPT}
            kept["neighbours"] = found[:, :PICTURED].astype(np.int32)
            prefix = f"{split}/{search.vector}/{search.similarity}"
            yield row, {f"{prefix}/{name}": value for name, value in kept.items()}


def remove_strays(runs: Path, cells: Sequence[str]) -> None:
    """Remove the folders of settings that the study no longer has: they would enter its hash."""
    named = {cell.split("/")[0] for cell in cells}
    for folder in sorted(runs.iterdir()) if runs.is_dir() else []:
        if folder.is_dir() and folder.name not in named and not folder.name.startswith("."):
            print(f"removed {folder}, which the study no longer has")
            shutil.rmtree(folder)


def score_study(
    runs: Path,
    cells: Sequence[str],
    packed: Packed,
    out: Path,
    name: str,
    ensembles: Sequence[Cell] = (),
    axes: Sequence[str] = (),
) -> None:
    """Score all cells of a study in one process.

    Args:
        runs: The folder of the study's cells.
        cells: Their places in it.
        packed: The data set.
        out: The target folder of metrics.csv (a row for each cell, split and search),
            per_query.npz, machine.json, chosen.json (by geometry the value of each axis that
            validation chose) and, of cells with a learned tree, trees.csv (a row for each such
            cell and level).
        name: Of the study, for the progress bar.
        ensembles: Further cells, made of those that were trained.
        axes: Keys that vary.
    """
    rows: list[dict[str, Any]] = []
    per_query: dict[str, np.ndarray] = {}
    machines: list[dict[str, str]] = []
    trees: list[dict[str, Any]] = []
    made = {cell.name: cell for cell in ensembles}
    for place in tqdm([*cells, *made], desc=f"evaluate {name}", unit="cell", disable=None):
        cell = made.get(place) or read_cell(runs, place)
        if cell.machine and cell.machine not in machines:
            machines.append(cell.machine)
        if (runs / place / "tree.csv").is_file():
            purities = score_tree(runs / place, cell.vectors, packed)
            trees += [{"cell": place, **cell.identity, **row} for row in purities]
        for row, values in score_cell(cell, packed):
            rows.append({"cell": place, **cell.identity, **row})
            per_query |= {f"{place}/{key}": value for key, value in values.items()}
    with new_folder(out) as folder:
        table = pd.DataFrame(rows)
        table.to_csv(folder / "metrics.csv", index=False, float_format="%.9g")
        np.savez_compressed(folder / "per_query.npz", allow_pickle=False, **per_query)
        write_json(folder / "machine.json", machines)
        write_json(folder / "chosen.json", choose_values(table, axes))
        if trees:
            trees_path = folder / "trees.csv"
            pd.DataFrame(trees).to_csv(trees_path, index=False, float_format="%.9g")
