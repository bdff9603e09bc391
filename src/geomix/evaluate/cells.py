"""The cells of a study: what was trained, read back, and the ways in which each is searched."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.files import read_json
from geomix.geometry.geometry import Geometry, cosine, geometry_from

VECTORS = ("head", "backbone", "pixels", "vectors")
PICTURED = 5  # neighbours kept for pictures
PAIRS = 2**20  # pairs of samples compared at a time
AGAIN = "run train again"
Scored = Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]  # rows, and arrays by name


class Affine(NamedTuple):
    """How a similarity predicts a distance: offset - factor * similarity."""

    offset: float
    factor: float


@dataclass(frozen=True)
class Cell:
    """What is searched.

    Attributes:
        name: Its place in the study.
        identity: What names and makes it.
        geometry: Of the head, if it has one.
        vectors: By `<split>_<vector>`.
        machine: What it was trained with.
        affine: What its head was trained to predict distances with, if it was.
    """

    name: str
    identity: dict[str, Any]
    geometry: Geometry | None
    vectors: Mapping[str, np.ndarray]
    machine: dict[str, str] | None = None
    affine: Affine | None = None


@dataclass(frozen=True)
class Search:
    """One way to search a cell: a vector, the geometry that compares it, and that one's name."""

    vector: str
    similarity: str
    geometry: Geometry


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
    affine = Affine(**description["affine"]) if description.get("affine") else None
    return Cell(name, description["cell"], geometry, vectors, description["machine"], affine)


def read_points(cell: Cell, packed: Packed, split: str, vector: str) -> Tensor:
    """Return a vector of all samples of a split, float64 (n, D), in the order of the table.

    Raises:
        InputError: If the cell has none, or they do not fit the data set.
    """
    key, count = f"{split}_{vector}", len(packed.rows(split))
    if key not in cell.vectors:
        raise InputError(f"{cell.name}: found no {key} in embeddings.npz, expected it: {AGAIN}")
    points = torch.from_numpy(cell.vectors[key]).double()
    if len(points) != count:
        found = f"found {len(points)} {split} embeddings, expected {count}"
        raise InputError(f"{cell.name}: {found}: {AGAIN}")
    return points


def searches(geometry: Geometry | None, vectors: Sequence[str]) -> Iterator[Search]:
    """List the searches of a cell: the head in its own similarity, every vector under cosine."""
    if geometry:
        yield Search("head", "own", geometry)
    for vector in vectors:
        yield Search(vector, "cosine", cosine())


def searches_of(cell: Cell, split: str) -> Iterator[Search]:
    """List the searches of a split of a cell, by the vectors that the cell has of it."""
    vectors = [name for name in VECTORS if f"{split}_{name}" in cell.vectors]
    return searches(cell.geometry, vectors)


def space_evenly(count: int, most: int) -> np.ndarray:
    """Return at most that many places among 0 ... count - 1, evenly spaced from first to last.

    Steps differ by one where they must, unlike those of a slice: in a table stored class by class,
    each with its images in one order, every fifth row may meet the same few images of every class.
    """
    return np.linspace(0, count - 1, min(most, count)).astype(int)


def split_rows(rows: np.ndarray, items: int) -> Iterator[np.ndarray]:
    """Split rows (Q,) into blocks that are compared with that many items at a time."""
    step = max(1, PAIRS // items)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def mean_known(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
