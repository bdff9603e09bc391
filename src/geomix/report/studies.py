"""Results of a study as the pages need them: cells, means over seeds, the value that validation chose."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.errors import InputError
from geomix.files import read_json

# The name of a baseline by its geometry in the results.
BASELINES = {"pixels": "raw pixels", "vectors": "raw vectors", "untrained": "untrained network"}
METRICS = {
    "reciprocal_rank": "MRR",
    "map_at_r": "MAP@R",
    "r_precision": "R-precision",
}  # besides recall at K
CHOOSES = "recall_at_1"  # the metric on val that chooses a setting
DESCRIBED = (
    "curved",
    "clipped_share",
    "radius_mean",
    "radius_sd",
    "rank_correlation",
    "spread_degrees",
)


@dataclass(frozen=True)
class Study:
    """Results of one study.

    metrics: a row for each cell, split and search; per_query: arrays by
    `<cell>/<split>/<vector>/<similarity>/<name>`;
    machines: versions and devices the cells were trained with.
    """

    metrics: pd.DataFrame
    per_query: dict[str, np.ndarray]
    machines: list[dict[str, str]]


def read_study(folder: Path) -> Study:
    """Read what evaluate wrote.

    Raises:
        InputError: If a file is missing.
    """
    try:
        metrics = pd.read_csv(folder / "metrics.csv")
        with np.load(folder / "per_query.npz", allow_pickle=False) as arrays:
            per_query = dict(arrays)
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: not found; expected it from an earlier stage (dvc repro)"
        ) from None
    return Study(metrics, per_query, read_json(folder / "machine.json"))


def per_query(study: Study, cells: Sequence[str], split: str, metric: str) -> np.ndarray:
    """Stack a metric of each query over cells, (cells, queries), for the geometry's own similarity."""
    return np.stack([study.per_query[f"{cell}/{split}/head/own/{metric}"] for cell in cells])


def own(metrics: pd.DataFrame, split: str) -> pd.DataFrame:
    """Keep the rows of a split in which the head's output was searched in the geometry's own similarity."""
    return metrics[(metrics["split"] == split) & (metrics["similarity"] == "own")]


def find_ranks(table: pd.DataFrame) -> list[int]:
    """Give the K of the recalls among the columns of a table, ascending."""
    return sorted(
        int(match[1])
        for match in (re.fullmatch(r"recall_at_(\d+)", name) for name in table.columns)
        if match
    )


def name_metrics(table: pd.DataFrame) -> dict[str, str]:
    """Give the metrics among the columns of a table with their names for people: recall by rising K, then the others."""
    return {f"recall_at_{k}": f"R@{k}" for k in find_ranks(table)} | METRICS


def over_seeds(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average over seeds.

    Args:
        rows: Rows of `Study.metrics`, one for each seed in a group.
        by: Columns that name a group.

    Returns:
        A row for each group, in order of appearance: `by`, `seeds`, the mean of each metric and of
        each description of the points, and under `<metric>_sd` the standard deviation of each
        metric (n - 1; NaN for one seed).
    """
    described = [name for name in DESCRIBED if name in rows.columns]
    of_levels = [
        name for name in rows.columns if name.startswith("recall_at_1_")
    ]  # of the hierarchy
    measured = [*name_metrics(rows), *of_levels]
    groups = rows.groupby(list(by), sort=False, dropna=False)
    spreads = groups[measured].std().add_suffix("_sd")
    return (
        groups[[*measured, *described]]
        .mean()
        .join(spreads)
        .join(groups.size().rename("seeds"))
        .reset_index()
    )


def choose(summary: pd.DataFrame, knob: str) -> pd.DataFrame:
    """Choose for each geometry the value of a knob with the highest val recall_at_1, the lowest in
    a tie.

    Args:
        summary: From `over_seeds` of val rows, with columns geometry and the knob.
        knob: tau or curvature.

    Returns:
        A row for each geometry: geometry, the knob, `at_edge` (the choice is the first or the last
        of its values, and not 0, beyond which there is nothing), `score` and `score_sd`, and the
        same of the value next to an edge: `inner`, `inner_score`, `inner_score_sd` (of the choice
            itself where it is no edge, or the only value).
    """
    rows = []
    for geometry, group in summary.groupby("geometry", sort=False):
        ordered = group.sort_values(knob, ignore_index=True)
        best, last = int(ordered[CHOOSES].idxmax()), len(ordered) - 1
        at_edge = bool(ordered.loc[best, knob] > 0 and best in (0, last))
        inner = (min(1, last) if best == 0 else last - 1) if at_edge else best
        row = {
            "geometry": geometry,
            knob: ordered.loc[best, knob],
            "at_edge": at_edge,
            "inner": ordered.loc[inner, knob],
        }
        for name, place in (("score", best), ("inner_score", inner)):
            row |= {
                name: ordered.loc[place, CHOOSES],
                f"{name}_sd": ordered.loc[place, f"{CHOOSES}_sd"],
            }
        rows.append(row)
    return pd.DataFrame(rows)


def average_baselines(baselines: Study, split: str) -> pd.DataFrame:
    """Average raw pixels or vectors and the head of the untrained network, both under cosine, over seeds; a row for each."""
    searched = baselines.metrics["vector"].isin(["pixels", "vectors", "head"])
    rows = baselines.metrics[(baselines.metrics["split"] == split) & searched]
    return over_seeds(rows, ["geometry"]).replace({"geometry": BASELINES})
