"""Late fusion of two systems that were trained apart: their similarities summed at search, their features concatenated."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geomix.data.packed import SCORED, Packed
from geomix.evaluate.score import Cell, read_cell
from geomix.geometry.geometry import Geometry, cosine
from geomix.retrieval.search import nearest

SAMPLE = 2048  # val images, evenly spaced, whose pairs give the spread of a similarity


def fuse(
    first: Geometry,
    second: Geometry,
    weight: float,
    spreads: tuple[float, float],
    dimensions: tuple[int, int],
) -> Geometry:
    """Give the geometry of concatenated features whose similarity is a weighted sum of two
    geometries' similarities.

        s(x, y) = (1 - weight) * s_1(x_1, y_1) / spread_1  +  weight * s_2(x_2, y_2) / spread_2

    Args:
        first: s_1, of the first features.
        second: s_2, of the others.
        weight: In [0, 1]; at 0 and 1 only one of them is in it.
        spreads: Positive, of `spread`.
        dimensions: Of the features of each.
    """
    spaces, weights, columns = [], [], []
    for side, factor, offset, width in (
        (first, (1 - weight) / spreads[0], 0, dimensions[0]),
        (second, weight / spreads[1], dimensions[0], dimensions[1]),
    ):
        for (space, own), (start, stop) in zip(
            side.parts, [one or (0, width) for one in side.columns], strict=True
        ):
            if factor > 0:
                spaces.append(space)
                weights.append(factor * own)
                columns.append((offset + start, offset + stop))
    return Geometry(spaces, weights, 1.0, columns=columns)


def spread(geometry: Geometry, features: Tensor) -> float:
    """Give the s.d. of the similarity over all pairs of features, but none with itself.

    Args:
        geometry: Of the similarity.
        features: (N, D), float64; up to 2,048 of them, evenly spaced, are taken.
    """
    sample = features[:: -(-len(features) // SAMPLE)]
    points = geometry.place(sample)
    others = ~torch.eye(len(sample), dtype=torch.bool)
    return float(geometry.similarity(points, points)[others].std())


def concatenate(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Concatenate unit vectors so that their cosine is (1 - weight) cos_1 + weight cos_2, float64
    (N, D_1 + D_2).

    Args:
        first: Features (N, D_1); each row is divided by its norm.
        second: Features (N, D_2), likewise.
        weight: In [0, 1].
    """
    sides = [side.astype(float) for side in (first, second)]
    units = [side / np.linalg.norm(side, axis=1, keepdims=True).clip(1e-300) for side in sides]
    return np.concatenate([(1 - weight) ** 0.5 * units[0], weight**0.5 * units[1]], axis=1)


def recall_at_1(cell: Cell, packed: Packed, split: str) -> float:
    """Give the share of queries of a split whose nearest image, itself apart, is of their class, in the cell's geometry."""
    rows = packed.rows(split)
    queries, gallery = (
        np.searchsorted(rows, chosen) for chosen in (packed.queries(split), packed.gallery(split))
    )
    labels = packed.samples["label"].to_numpy()[rows]
    features = torch.from_numpy(cell.vectors[f"{split}_head"]).double()
    geometry = cell.geometry or cosine()
    if np.array_equal(queries, gallery):
        found = nearest(features, features, geometry, 1, exclude=np.arange(len(features)))
    else:
        found = nearest(features[queries], features[gallery], geometry, 1)
    return float((labels[gallery[found[:, 0]]] == labels[queries]).mean())


def build_cell(kind: str, members: tuple[Cell, Cell], weight: float) -> Cell:
    """Build the ensemble of two cells of one seed.

    Args:
        kind: similarities or features.
        members: The cells.
        weight: Of the second.
    """
    heads = {split: [member.vectors[f"{split}_head"] for member in members] for split in SCORED}
    seed = members[0].identity["seed"]
    names = "+".join(member.identity["system"] for member in members)
    identity = {"system": f"ensemble: {kind}", "geometry": names, "seed": seed, "weight": weight}
    if kind == "features":
        vectors = {
            f"{split}_head": concatenate(pair[0], pair[1], weight) for split, pair in heads.items()
        }
        return Cell(f"{kind}/{seed}", identity, cosine(), vectors)
    geometries = [member.geometry or cosine() for member in members]
    val = [torch.from_numpy(head).double() for head in heads["val"]]
    first, second = (spread(geometry, head) for geometry, head in zip(geometries, val, strict=True))
    widths = (val[0].shape[1], val[1].shape[1])
    fused = fuse(geometries[0], geometries[1], weight, (first, second), widths)
    return Cell(
        f"{kind}/{seed}",
        identity,
        fused,
        {f"{split}_head": np.concatenate(pair, 1) for split, pair in heads.items()},
    )


def build_ensembles(
    runs: Path,
    systems: Sequence[str],
    weights: Sequence[float],
    seeds: Sequence[int],
    packed: Packed,
) -> dict[str, Cell]:
    """Build both ensembles of two systems for each seed, at the weight with the highest mean val
    R@1, the lowest in a tie.

    Args:
        runs: The folder of the study's cells.
        systems: Two of them, of which cells of the same seed are fused.
        weights: Of the second, each in [0, 1].
        seeds: The seeds.
        packed: The data set; of it only val is searched.

    Returns:
        Cells by name, `ensemble: <kind>/<seed>`.
    """
    torch.set_num_threads(1)  # sums of floats depend on it
    pairs = [
        (read_cell(runs / systems[0] / str(seed)), read_cell(runs / systems[1] / str(seed)))
        for seed in seeds
    ]
    cells: dict[str, Cell] = {}
    for kind in ("similarities", "features"):
        scores = {
            weight: np.mean(
                [recall_at_1(build_cell(kind, pair, weight), packed, "val") for pair in pairs]
            )
            for weight in sorted(weights)
        }
        best = max(scores, key=lambda weight: scores[weight])
        cells |= {
            f"ensemble: {kind}/{seed}": build_cell(kind, pair, best)
            for seed, pair in zip(seeds, pairs, strict=True)
        }
    return cells
