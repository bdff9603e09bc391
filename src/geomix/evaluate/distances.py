"""Score cells by distances: how well a similarity predicts those between samples.

    stress = mean over pairs of ( (a - b * similarity) - t )^2 / t^2

with t > 0 the distance of a pair: hops in the tree, or Euclidean where samples have coordinates; a
and b are those that fitted train last, and the similarity is without its temperature.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from geomix.data.lineages import hops
from geomix.data.packed import SPLITS, Packed
from geomix.errors import InputError
from geomix.evaluate.acted import describe_points, radius_in_curvature, spread_degrees
from geomix.evaluate.cells import AGAIN, Affine, Cell, Scored, read_points, split_rows
from geomix.geometry.geometry import Geometry

COLUMNS = ("cell", "geometry", "split", "vector", "similarity", "stress")  # where no cell has a row
Targets = Callable[[np.ndarray], np.ndarray]  # samples (q,) -> distances to all samples (q, N)


class Stress(NamedTuple):
    """Squared relative errors of predicted distances.

    Attributes:
        pairs: Mean over pairs, each counted once.
        samples: Mean over the pairs of each sample, (n,), NaN of one with none.
    """

    pairs: float
    samples: np.ndarray


def target_distances(packed: Packed, rows: np.ndarray) -> Targets:
    """Return what tells the distances from some of the rows (N,), by place, to all of them."""
    if packed.coordinates is not None:
        points = packed.coordinates[rows]
        return lambda some: np.linalg.norm(points[some][:, None] - points, axis=2)
    lineages = packed.lineages[rows]
    return lambda some: hops(lineages[some], lineages)


def relative_stress(
    geometry: Geometry, affine: Affine, vectors: Tensor, targets: Targets, start: int
) -> Stress:
    """Measure the stress of all pairs of samples of which one at least is from `start` on.

    Args:
        geometry: Its similarity is without temperature.
        affine: Offset a and factor b.
        vectors: Embeddings (N, D), float64.
        targets: t of samples to all samples; pairs at 0 are left out.
        start: Of the N - start samples that are told of one by one, the first.

    Returns:
        The mean over pairs, NaN without any, and those of N - start samples.
    """
    points = geometry.place(vectors)
    count = len(vectors)
    # Two samples from `start` on are met twice, once from either side.
    share = np.where(np.arange(count) < start, 1.0, 0.5)
    sums, weights, means = [], [], []
    for block in split_rows(np.arange(start, count), count):
        similarity = geometry.similarity([one[block] for one in points], points).numpy()
        target = targets(block)
        apart = target > 0
        error = affine.offset - affine.factor * similarity - target
        squares = np.square(error / np.where(apart, target, 1)) * apart  # (q, N)
        sums.append(squares @ share)
        weights.append(apart @ share)
        means.append(squares.sum(1) / np.where(apart.any(1), apart.sum(1), np.nan))
    total, weight = np.concatenate(sums).sum(), np.concatenate(weights).sum()
    return Stress(float(total / weight) if weight else np.nan, np.concatenate(means))


def score_distances(cell: Cell, packed: Packed) -> Scored:
    """Score the distances that one cell predicts, on train, val and test.

    Pairs of train are within train. Those of val or test have a sample of that split at least, and
    the other from that split or train. The points are described together, as they are compared.

    Yields:
        For each split a row of the table, and under `<split>/head/own/stress` the mean over the
        pairs of each of its samples, in the order of the table. Nothing of a cell without a
        geometry: raw input and an untrained network predict no distance.

    Raises:
        InputError: If vectors do not fit the data set, or no two samples are apart.
    """
    if cell.geometry is None:
        return
    if cell.affine is None:
        raise InputError(f"{cell.name}: found no affine in geometry.json, expected it: {AGAIN}")
    for split in SPLITS:
        parts = [split] if split == "train" else ["train", split]
        rows = np.concatenate([packed.rows(part) for part in parts])
        vectors = torch.cat([read_points(cell, packed, part, "head") for part in parts])
        targets = target_distances(packed, rows)
        start = len(rows) - len(packed.rows(split))
        stress = relative_stress(cell.geometry, cell.affine, vectors, targets, start)
        if np.isnan(stress.pairs):
            found = f"distances, and no sample of {split} apart from another"
            raise InputError(f"relevance: found {found}; expected one, or class or lineage")
        row: dict[str, Any] = {
            "split": split,
            "vector": "head",
            "similarity": "own",
            "stress": stress.pairs,
            "spread_degrees": spread_degrees(vectors),
            **describe_points(cell.geometry, vectors),
            "radius_relative": radius_in_curvature(cell.geometry, cell.geometry.place(vectors)),
        }
        yield row, {f"{split}/head/own/stress": stress.samples.astype(np.float32)}
