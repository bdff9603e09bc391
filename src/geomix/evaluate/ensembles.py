"""Late fusion of two systems that were trained apart.

Their similarities are summed at search, or their features are concatenated.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geomix.data.packed import SCORED, Packed
from geomix.evaluate.cells import Cell, read_cell, space_evenly
from geomix.evaluate.classes import Protocol, build_protocol
from geomix.geometry.geometry import Geometry, cosine

SAMPLE = 2048  # val images, evenly spaced, whose pairs give the spread of a similarity


def fuse(
    first: Geometry,
    second: Geometry,
    weight: float,
    spreads: tuple[float, float],
    dimensions: tuple[int, int],
) -> Geometry:
    """Return the geometry of concatenated features that sums the similarities of two geometries.

        s(x, y) = (1 - weight) * s_1(x_1, y_1) / spread_1  +  weight * s_2(x_2, y_2) / spread_2

    Args:
        first: s_1, of the first features.
        second: s_2, of the others.
        weight: In [0, 1]; at 0 and 1 only one of them is in it.
        spreads: Positive, of `spread`.
        dimensions: Of the features of each.
    """
    spaces, weights, outputs = [], [], []
    for side, factor, offset, width in (
        (first, (1 - weight) / spreads[0], 0, dimensions[0]),
        (second, weight / spreads[1], dimensions[0], dimensions[1]),
    ):
        for (space, own), (start, stop) in zip(
            side.parts, [one or (0, width) for one in side.outputs], strict=True
        ):
            if factor > 0:
                spaces.append(space)
                weights.append(factor * own)
                outputs.append((offset + start, offset + stop))
    return Geometry(spaces, weights, 1.0, outputs=outputs)


def spread(geometry: Geometry, features: Tensor) -> float:
    """Return the s.d. of the similarity over all pairs of features, but none with itself.

    Args:
        geometry: Of the similarity.
        features: (N, D), float64; up to 2,048 of them, evenly spaced, are taken.
    """
    sample = features[space_evenly(len(features), SAMPLE)]
    points = geometry.place(sample)
    others = ~torch.eye(len(sample), dtype=torch.bool)
    return float(geometry.similarity(points, points)[others].std())


def concatenate(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Concatenate unit vectors so that their cosine is (1 - weight) cos_1 + weight cos_2.

    Args:
        first: Features (N, D_1); each row is divided by its norm.
        second: Features (N, D_2), likewise.
        weight: In [0, 1].

    Returns:
        float64, (N, D_1 + D_2).
    """
    sides = [side.astype(float) for side in (first, second)]
    units = [side / np.linalg.norm(side, axis=1, keepdims=True).clip(1e-300) for side in sides]
    return np.concatenate([(1 - weight) ** 0.5 * units[0], weight**0.5 * units[1]], axis=1)


def recall_at_1(cell: Cell, protocol: Protocol, split: str) -> float:
    """Return the share of a split's queries whose nearest sample is of their class."""
    features = torch.from_numpy(cell.vectors[f"{split}_head"]).double()
    found = protocol.search(features, cell.geometry or cosine(), depth=1)
    return float(np.nanmean(protocol.score(found, ranks=(1,))["label"]["recall_at_1"]))


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
    name = f"ensemble: {kind}"
    identity = {"system": name, "labels": "given", "geometry": names, "seed": seed}
    identity["weight"] = weight
    if kind == "features":
        fused = cosine()
        vectors = {split: concatenate(pair[0], pair[1], weight) for split, pair in heads.items()}
    else:
        geometries = [member.geometry or cosine() for member in members]
        val = [torch.from_numpy(head).double() for head in heads["val"]]
        first, second = (spread(*pair) for pair in zip(geometries, val, strict=True))
        widths = (val[0].shape[1], val[1].shape[1])
        fused = fuse(geometries[0], geometries[1], weight, (first, second), widths)
        vectors = {split: np.concatenate(pair, 1) for split, pair in heads.items()}
    named = {f"{split}_head": head for split, head in vectors.items()}
    return Cell(f"{name}/{seed}", identity, fused, named)


def build_ensembles(
    runs: Path, places: Sequence[tuple[str, str]], weights: Sequence[float], packed: Packed
) -> list[Cell]:
    """Build both ensembles of two systems for each seed, at the weight that val chooses.

    It is the weight with the highest mean val R@1, the lowest in a tie.

    Args:
        runs: The folder of the study's cells.
        places: For each seed those of the two cells that are fused; where there are none nothing
            is built.
        weights: Of the second, each in [0, 1].
        packed: The data set; of it only val is searched.

    Returns:
        Cells named `ensemble: <kind>/<seed>`.
    """
    if not places:
        return []
    protocol = build_protocol(packed, "val")
    pairs = [(read_cell(runs, first), read_cell(runs, second)) for first, second in places]
    cells = []
    for kind in ("similarities", "features"):
        scores = {
            weight: np.mean(
                [recall_at_1(build_cell(kind, pair, weight), protocol, "val") for pair in pairs]
            )
            for weight in sorted(weights)
        }
        best = max(scores, key=lambda weight: scores[weight])
        cells += [build_cell(kind, pair, best) for pair in pairs]
    return cells
