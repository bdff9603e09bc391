"""The shape of embeddings: radii, curvature and tree, of every cell that is analyzed.

Writes into results/<dataset>/analysis/:

    shape.csv          a row for each cell: radii, relative deltas, agreement with the tree
    radii.csv          histograms of the radii, a row for each cell and bin
    correlations.csv   a row for each setting: rank correlation of radii, with an interval
    disk.csv           samples of one cell in the Poincare disk, for a picture
    layout.csv         fewer of them, laid out in the disk by UMAP
    shape.json         what was sampled, and the tree's own numbers
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from geomix.analyze.delta import compare_deltas
from geomix.analyze.disk import lay_out, place_in_disk
from geomix.analyze.metric import own_distances
from geomix.analyze.radii import BINS, NEIGHBOURS, correlate_ranks, count_radii, measure_ambiguity
from geomix.analyze.trained import Setting, Trained
from geomix.analyze.trees import average_distortion, cophenetic_correlation, is_star, tree_distances
from geomix.data.packed import Packed
from geomix.evaluate.acted import radius_in_curvature
from geomix.evaluate.cells import space_evenly
from geomix.files import write_json
from geomix.geometry.geometry import Geometry, describe_radii

POINTS, DRAWS = 64, 3  # of a sample whose delta is computed, and samples over which it is averaged
PAIRED = 1024  # samples, evenly spaced, whose distances are compared with the tree
ASKED = 1024  # samples, evenly spaced, whose ambiguity is measured
DRAWN = 1000  # samples, evenly spaced, in the disk
LAID, FEWEST = 300, 4  # samples, evenly spaced, that UMAP lays out in 10 s; fewer are not
KINDS = {"embedding": "", "gaussian": "_gaussian", "sphere": "_sphere"}  # suffixes of columns
BINNED = ["study", "geometry", "seed", "low", "high", "count"]
CORRELATED = ["study", "geometry", "against", "mean", "low", "high", "per_seed"]


@dataclass(frozen=True)
class Samples:
    """What is described of every cell, by places among the stored samples.

    Attributes:
        rows: Of the table, by place, (N,).
        small: Places whose delta is computed, (DRAWS, n).
        paired: Places whose distances are compared with the tree, (m,).
        tree: The distances of these in the tree, (m, m); None of samples in a flat space.
        asked: Places whose radii are correlated, (q,).
        labels: Classes by place, (N,).
        clusters: By place the cluster that intervals draw, (N,).
        depth: By place the level in the tree, (N,), where samples have lineages of their own.
    """

    rows: np.ndarray
    small: np.ndarray
    paired: np.ndarray
    tree: np.ndarray | None
    asked: np.ndarray
    labels: np.ndarray
    clusters: np.ndarray
    depth: np.ndarray | None

    @property
    def against(self) -> str:
        """What radii are correlated with."""
        return "ambiguity" if self.depth is None else "level"


def list_splits(packed: Packed) -> list[str]:
    """List the splits that are described: test, and train too where samples have lineages."""
    return ["train", "test"] if "lineage" in packed.samples else ["test"]


def choose_samples(packed: Packed) -> Samples:
    """Choose what is described of every cell, the same in all."""
    rows = np.concatenate([packed.rows(split) for split in list_splits(packed)])
    random, count = np.random.default_rng(0), min(POINTS, len(rows))
    small = [np.sort(random.choice(len(rows), count, replace=False)) for _ in range(DRAWS)]
    own_lineage = "lineage" in packed.samples
    labels = packed.samples["label"].to_numpy()[rows]
    paired = space_evenly(len(rows), PAIRED)
    return Samples(
        rows=rows,
        small=np.stack(small),
        paired=paired,
        tree=tree_distances(packed, rows[paired]),
        asked=space_evenly(len(rows), ASKED),
        labels=labels,
        clusters=packed.lineages.node[rows] if own_lineage else labels,
        depth=packed.lineages.depth[rows] if own_lineage else None,
    )


def list_settings(trained: Trained) -> list[Setting]:
    """List what is described: one study, and the values that validation chose of the other."""
    return [*trained.settings(trained.beside), *trained.chosen_settings()]


def read_outputs(trained: Trained, setting: Setting, seed: int) -> tuple[Geometry, Tensor]:
    """Return the geometry of a cell and its head's outputs of all samples, float64 (N, D)."""
    splits = list_splits(trained.packed)
    read = [trained.read_head(setting, seed, split) for split in splits]
    return read[0][0], torch.cat([outputs for _, outputs in read])


def describe_cell(geometry: Geometry, outputs: Tensor, samples: Samples) -> dict[str, float]:
    """Describe the points of one cell.

    Args:
        geometry: Of the cell.
        outputs: Of its head, (N, D), float64.
        samples: What is described.

    Returns:
        clipped_share, radius_mean and radius_sd; radius_relative; relative_delta of the embedding,
        and with _gaussian and _sphere of random points, means over the draws; diameter, likewise;
        cophenetic and distortion. NaN where there is nothing to measure.
    """
    points = geometry.place(outputs)
    found = describe_radii(geometry.radii(points), geometry.clip_radius)
    found["radius_relative"] = radius_in_curvature(geometry, points)
    found |= average_deltas(geometry, outputs.numpy(), samples.small)
    distances = own_distances(geometry, outputs[samples.paired])
    found["cophenetic"] = found["distortion"] = math.nan
    if distances is not None and samples.tree is not None:
        found["cophenetic"] = cophenetic_correlation(distances, samples.tree)
        found["distortion"] = average_distortion(distances, samples.tree)
    return found


def average_deltas(geometry: Geometry, outputs: np.ndarray, small: np.ndarray) -> dict[str, float]:
    """Average relative deltas and diameters over samples (DRAWS, n) of outputs (N, D)."""
    random = np.random.default_rng(0)  # the same numbers for every cell
    drawn = [compare_deltas(geometry, outputs, rows, random) for rows in small]
    found = {f"relative_delta{suffix}": math.nan for suffix in KINDS.values()}
    found["diameter"] = math.nan
    for kind in drawn[0]:
        relative = [draw[kind].relative for draw in drawn]
        found[f"relative_delta{KINDS[kind]}"] = float(np.mean(relative))
    if drawn[0]:
        found["diameter"] = float(np.mean([draw["embedding"].diameter for draw in drawn]))
    return found


def list_bins(radii: Sequence[np.ndarray], seeds: Sequence[int]) -> Iterator[dict[str, float]]:
    """List the bins of histograms of radii, (N,) in each seed, from 0 to the largest of all."""
    top = max((float(one.max()) for one in radii), default=0.0)
    ends = np.linspace(0, top, BINS + 1)
    for seed, one in zip(seeds, radii, strict=False):
        for low, high, count in zip(ends[:-1], ends[1:], count_radii(one, top), strict=True):
            yield {"seed": seed, "low": low, "high": high, "count": count}


def correlate(
    radii: Sequence[np.ndarray], outputs: Sequence[np.ndarray], samples: Samples
) -> dict[str, Any]:
    """Correlate the radii (N,) of each seed with levels, or with the ambiguity of outputs (N, D).

    Returns:
        against, mean, low, high, and per_seed as text. Where all radii of a seed are one, NaN.
    """
    asked = samples.asked
    if samples.depth is not None:
        values = [samples.depth[asked]] * len(radii)
    else:
        values = [measure_ambiguity(one, samples.labels, asked) for one in outputs]
    sides = np.stack([flatten(one[asked]) for one in radii]), np.stack(values)
    found = correlate_ranks(*sides, samples.clusters[asked], np.random.default_rng(0))
    per_seed = " ".join(f"{one:.6g}" for one in found.per_seed)
    return {"against": samples.against, **found._asdict(), "per_seed": per_seed}


def flatten(radii: np.ndarray) -> np.ndarray:
    """Return radii (n,), equal where rounding alone tells them apart."""
    return np.round(radii / max(float(radii.max()), 1e-300), 9)


def analyze_shape(trained: Trained, out: Path) -> None:
    """Describe the shape of stored embeddings.

    Args:
        trained: The cells.
        out: The folder that takes the files, see above.
    """
    samples = choose_samples(trained.packed)
    cells: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    correlations: list[dict[str, Any]] = []
    for setting in list_settings(trained):
        identity = {"study": setting.study, "geometry": setting.geometry}
        read = {seed: read_outputs(trained, setting, seed) for seed in setting.places}
        for seed, (geometry, outputs) in read.items():
            described = describe_cell(geometry, outputs, samples)
            cells.append(identity | {"seed": seed} | described)
        radii = [geometry.radii(geometry.place(outputs)) for geometry, outputs in read.values()]
        placed = [one.numpy() for one in radii if one is not None]
        bins += [identity | row for row in list_bins(placed, list(read))]
        if placed:
            heads = [outputs.numpy() for _, outputs in read.values()]
            correlations.append(identity | correlate(placed, heads, samples))
    table = pd.DataFrame(cells)
    disk, layout, drawn = draw_disks(trained, table, samples)
    write_table(table, out / "shape.csv")
    write_table(pd.DataFrame(bins, columns=BINNED), out / "radii.csv")
    write_table(pd.DataFrame(correlations, columns=CORRELATED), out / "correlations.csv")
    write_table(disk, out / "disk.csv")
    write_table(layout, out / "layout.csv")
    named = {"tuned": trained.tuned, "beside": trained.beside}
    described = describe_samples(samples, is_star(trained.packed))
    write_json(out / "shape.json", named | described | drawn)


def draw_disks(
    trained: Trained, cells: pd.DataFrame, samples: Samples
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Place samples of one cell in the Poincare disk, by two directions and by UMAP.

    It is the first seed of the setting whose ball is the most curved, by sqrt(c) times the radius.

    Args:
        trained: The cells.
        cells: From `describe_cell`, with the names of study, geometry and seed.
        samples: What is described.

    Returns:
        Two tables with a row for each sample, its row in the table of samples and its place (x, y);
        and what was drawn and how. No row, and nothing drawn, without a ball; no layout where the
        geometry has no metric.
    """
    curved = cells.groupby(["study", "geometry"], sort=False)["radius_relative"].mean().dropna()
    if not len(curved):
        nothing = tabulate_places([], np.empty((0, 2)))
        return nothing, nothing, {"disk": None}
    study, name = curved.idxmax()
    setting = next(
        one for one in list_settings(trained) if (one.study, one.geometry) == (study, name)
    )
    seed = min(setting.places)
    geometry, outputs = read_outputs(trained, setting, seed)
    drawn = space_evenly(len(samples.rows), DRAWN)
    tangents, curvature = find_ball(geometry, outputs[drawn])
    places, share = place_in_disk(tangents, curvature)
    few = space_evenly(len(samples.rows), LAID)
    distances = own_distances(geometry, outputs[few])
    if distances is None or len(few) < FEWEST:
        few, layout = few[:0], np.empty((0, 2))
    else:
        layout = lay_out(distances)
    shown = {"study": study, "geometry": name, "seed": seed, "share": round(share, 6)}
    tables = (
        tabulate_places(samples.rows[drawn], places),
        tabulate_places(samples.rows[few], layout),
    )
    return *tables, {"disk": shown}


def tabulate_places(rows: np.ndarray | list[int], places: np.ndarray) -> pd.DataFrame:
    """Return a table of rows (n,) of samples and their places (n, 2)."""
    return pd.DataFrame({"row": rows, "x": places[:, 0], "y": places[:, 1]})


def find_ball(geometry: Geometry, outputs: Tensor) -> tuple[np.ndarray, float]:
    """Return the tangent vectors (n, D) of outputs in the first ball, and its curvature."""
    for (space, _), points in zip(geometry.parts, geometry.place(outputs), strict=True):
        curvature = space.describe().get("curvature")
        if curvature is not None and space.radii(points) is not None:
            return points.numpy(), float(curvature)
    raise ValueError("geometry: found no ball, expected one")


def describe_samples(samples: Samples, star: bool) -> dict[str, Any]:
    """Describe what was sampled, and the tree, whose own delta is 0: hops are a tree's metric."""
    found: dict[str, Any] = {
        "samples": len(samples.rows),
        "delta": {"points": samples.small.shape[1], "draws": samples.small.shape[0]},
        "paired": len(samples.paired),
        "asked": len(samples.asked),
        "clusters": len(np.unique(samples.clusters[samples.asked])),
        "against": samples.against,
        "neighbours": NEIGHBOURS,
        "tree": None,
    }
    if samples.tree is not None:
        alike = np.ones_like(samples.tree)
        own = samples.clusters[samples.paired]
        same = (own[:, None] == own)[np.triu_indices(len(own), 1)]
        found["tree"] = {
            "star": star,
            "distortion_of_equal": round(average_distortion(alike, samples.tree), 6),
            "same": round(float(same.mean()), 6),
        }
    return found


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, six figures."""
    table.to_csv(path, index=False, float_format="%.6g")
