"""Score the cells of a study: runs/<dataset>/<study> -> metrics.csv, per_query.npz, summary of the machine."""

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
from geomix.evaluate.tree import score_tree
from geomix.files import new_folder, read_json, write_json
from geomix.geometry.geometry import Geometry, cosine, describe_radii, geometry_from
from geomix.retrieval.metrics import RANKS, count_relevant, rank_correlation, score_levels
from geomix.retrieval.search import nearest

PUBLISHED_RANKS = {
    "sop": (1, 10, 100, 1000),
    "inshop": (1, 10, 20, 30),
}  # the literature's, where not RANKS
VECTORS = ("head", "backbone", "pixels", "vectors")
CORRELATED = 128  # queries, evenly spaced, behind a rank correlation
PICTURED = 5  # neighbours kept for pictures


@dataclass(frozen=True)
class Search:
    """One way to search a cell: a vector, the geometry that compares it, and the name of that geometry."""

    vector: str
    similarity: str
    geometry: Geometry


@dataclass(frozen=True)
class Cell:
    """What is searched: vectors by `<split>_<vector>`, the geometry of the head if it has one, and what makes the cell."""

    name: str
    identity: dict[str, Any]
    geometry: Geometry | None
    vectors: Mapping[str, np.ndarray]


def read_cell(folder: Path) -> Cell:
    """Read a cell that was trained.

    Raises:
        InputError: If a file is missing.
    """
    description = read_json(folder / "geometry.json")
    try:
        vectors = np.load(folder / "embeddings.npz", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"{folder}/embeddings.npz: not found; expected it from an earlier stage (dvc repro)"
        ) from None
    geometry = geometry_from(description) if description.get("spaces") else None
    return Cell(str(folder), description["cell"], geometry, vectors)


def searches(geometry: Geometry | None, vectors: Sequence[str]) -> Iterator[Search]:
    """List the searches of a cell: the head in the geometry's own similarity, then every vector under cosine."""
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


def spread_degrees(vectors: Tensor) -> float:
    """Say how far vectors point apart: the angle whose cosine is their mean cosine with their mean
    direction.

    Args:
        vectors: (N, D), float64.

    Returns:
        Degrees in [0, 90]; 0 where all point one way, near 90 where no direction prevails.
    """
    length = torch.nn.functional.normalize(vectors).mean(0).norm()
    return float(length.clamp(max=1).arccos().rad2deg())


def choose_ranks(dataset: str, available: int) -> tuple[int, ...]:
    """Give the K at which the recall of a data set is reported, ascending: the literature's, of those up to `available`."""
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
        samples = packed.samples.iloc[packed.rows(split)]
        queries, gallery = (
            np.searchsorted(packed.rows(split), rows)
            for rows in (packed.queries(split), packed.gallery(split))
        )
        excluded = np.array_equal(
            queries, gallery
        )  # a query is an image of the gallery, and not its own neighbour
        codes = {
            level: pd.factorize(samples[level])[0] for level in [*packed.card["levels"], "label"]
        }
        asked, there = (
            {level: code[rows] for level, code in codes.items()} for rows in (queries, gallery)
        )
        relevant = count_relevant(asked["label"], there["label"], excluded)
        available = len(gallery) - excluded
        ranks = choose_ranks(packed.card["dataset"], available)
        k = min(available, max(*ranks, int(relevant.max())))
        vectors = [name for name in VECTORS if f"{split}_{name}" in cell.vectors]
        for search in searches(cell.geometry, vectors):
            points = torch.from_numpy(cell.vectors[f"{split}_{search.vector}"]).double()
            if len(points) != len(samples):
                raise InputError(
                    f"{cell.name}: found {len(points)} {split} embeddings, expected {len(samples)}: run train again"
                )
            if excluded:
                found = nearest(points, points, search.geometry, k, exclude=np.arange(len(points)))
            else:
                found = nearest(points[queries], points[gallery], search.geometry, k)
            scores = score_levels(found, asked, there, excluded, ranks)
            values = scores.pop("label")
            row: dict[str, Any] = {
                "split": split,
                "vector": search.vector,
                "similarity": search.similarity,
            }
            row |= {name: float(np.nanmean(value)) for name, value in values.items()}
            row |= {
                f"recall_at_1_{level}": float(np.nanmean(score["recall_at_1"]))
                for level, score in scores.items()
            }
            row["spread_degrees"] = spread_degrees(points)
            if search.similarity == "own":
                row["curved"] = any(
                    "curvature" in space for space in search.geometry.describe()["spaces"]
                )
                row |= describe_points(search.geometry, points)
            kept = {name: values[name].astype(np.float32) for name in ("recall_at_1", "map_at_r")}
            kept["neighbours"] = found[:, :PICTURED].astype(np.int32)
            yield (
                row,
                {
                    f"{split}/{search.vector}/{search.similarity}/{name}": value
                    for name, value in kept.items()
                },
            )


def score_study(
    runs: Path,
    cells: Sequence[str],
    packed: Packed,
    out: Path,
    name: str,
    ensembles: Mapping[str, Cell] | None = None,
) -> None:
    """Score all cells of a study in one process.

    Args:
        runs: The folder of the study's cells.
        cells: Their names.
        packed: The data set.
        out: Where metrics.csv (a row for each cell, split and search), per_query.npz, machine.json
            and, of cells with a learned tree, trees.csv (a row for each such cell and level) shall
            be.
        name: Of the study, for the progress bar.
        ensembles: Further cells, made of those that were trained, by name.
    """
    torch.set_num_threads(1)  # sums of floats depend on it
    rows: list[dict[str, Any]] = []
    per_query: dict[str, np.ndarray] = {}
    machines: list[dict[str, str]] = []
    trees: list[dict[str, Any]] = []
    made = dict(ensembles or {})
    for place in tqdm([*cells, *made], desc=f"evaluate {name}", unit="cell", disable=None):
        cell = made.get(place) or read_cell(runs / place)
        if (
            place not in made
            and (machine := read_json(runs / place / "geometry.json")["machine"]) not in machines
        ):
            machines.append(machine)
        if (runs / place / "tree.csv").is_file():
            trees += [
                {"cell": place, **cell.identity, **row}
                for row in score_tree(runs / place, cell.vectors, packed)
            ]
        for row, values in score_cell(cell, packed):
            rows.append({"cell": place, **cell.identity, **row})
            per_query |= {f"{place}/{key}": value for key, value in values.items()}
    with new_folder(out) as folder:
        pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False, float_format="%.9g")
        np.savez_compressed(folder / "per_query.npz", allow_pickle=False, **per_query)
        write_json(folder / "machine.json", machines)
        if trees:
            pd.DataFrame(trees).to_csv(folder / "trees.csv", index=False, float_format="%.9g")
