"""Results of a study as the pages need them: cells, means over seeds, baselines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.data.packed import EARLIER
from geomix.errors import InputError
from geomix.files import read_json

# The name of a baseline by its geometry in the results.
BASELINES = {"pixels": "raw pixels", "vectors": "raw vectors", "untrained": "untrained network"}
SCORE = "recall_at_1"  # the metric whose mean on val chooses a setting
METRICS = {"reciprocal_rank": "MRR", "map_at_r": "MAP@R", "r_precision": "R-precision"}
DESCRIBED = (
    "curved",
    "clipped_share",
    "radius_mean",
    "radius_sd",
    "rank_correlation",
    "spread_degrees",
    "radius_relative",
    "bend",
    "bend_beyond_kernel",
    "effective_negatives",
    "negatives",
)
IDENTITY = ("cell", "system", "labels", "geometry", "seed")  # what columns before the settings say


@dataclass(frozen=True)
class Results:
    """What was measured of the cells of one study.

    Attributes:
        metrics: A row for each cell, split and search.
        per_query: Arrays by `<cell>/<split>/<vector>/<similarity>/<name>`.
        machines: Versions and devices the cells were trained with.
    """

    metrics: pd.DataFrame
    per_query: dict[str, np.ndarray]
    machines: list[dict[str, str]]


def read_results(folder: Path) -> Results:
    """Read what evaluate wrote.

    Raises:
        InputError: If a file is missing.
    """
    metrics = read_metrics(folder)
    path = folder / "per_query.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            per_query = dict(arrays)
    except FileNotFoundError:
        raise InputError(f"{path}: {EARLIER}") from None
    return Results(metrics, per_query, read_json(folder / "machine.json"))


def scored_lineages(folder: Path) -> bool:
    """Say whether evaluate scored lineages, rather than classes.

    Raises:
        InputError: If the table of metrics is missing.
    """
    return "lineage_score" in read_metrics(folder)


def read_metrics(folder: Path) -> pd.DataFrame:
    """Read the table that evaluate wrote, a row for each cell, split and search.

    Raises:
        InputError: If it is missing.
    """
    path = folder / "metrics.csv"
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: {EARLIER}") from None


def read_history(folder: Path) -> pd.DataFrame:
    """Read how the cells of a study were trained: a row for each cell and epoch.

    What makes a cell comes first, then `epoch`, then what was recorded. No row without the file.
    """
    path = folder / "history.csv"
    return (
        pd.read_csv(path)
        if path.is_file()
        else pd.DataFrame(columns=["cell", "geometry", "seed", "epoch"])
    )


def list_recorded(history: pd.DataFrame) -> list[str]:
    """Return what was recorded of each epoch: the columns after it."""
    return list(history.columns[list(history.columns).index("epoch") + 1 :])


def stack_queries(results: Results, cells: Sequence[str], metric: str = SCORE) -> np.ndarray:
    """Stack a metric of each test query over cells, in their own similarity, (cells, queries)."""
    return np.stack([results.per_query[f"{cell}/test/head/own/{metric}"] for cell in cells])


def own(metrics: pd.DataFrame, split: str) -> pd.DataFrame:
    """Keep the rows of a split in which the head was searched in the geometry's own similarity."""
    return metrics[(metrics["split"] == split) & (metrics["similarity"] == "own")]


def list_settings(metrics: pd.DataFrame) -> list[str]:
    """Return the columns that hold the settings of a cell, such as tau."""
    before_scores = metrics.columns[: list(metrics.columns).index("split")]
    return [name for name in before_scores if name not in IDENTITY]


def find_ranks(table: pd.DataFrame) -> list[int]:
    """Return the K of the recalls among the columns of a table, ascending."""
    matches = (re.fullmatch(r"recall_at_(\d+)", name) for name in table.columns)
    return sorted(int(match[1]) for match in matches if match)


def name_metrics(table: pd.DataFrame) -> dict[str, str]:
    """Return the metrics of a table with their names for people: recall by rising K first."""
    return {f"recall_at_{k}": f"R@{k}" for k in find_ranks(table)} | METRICS


def over_seeds(
    rows: pd.DataFrame, by: Sequence[str], metrics: Iterable[str] | None = None
) -> pd.DataFrame:
    """Average over seeds.

    Args:
        rows: Rows of `Results.metrics`, one for each seed in a group.
        by: Columns that name a group.
        metrics: Columns that are scores; without them, those of classes.

    Returns:
        A row for each group, in order of appearance: `by`, `seeds`, the mean of each metric and of
        each description of the points, and under `<metric>_sd` the standard deviation of each
        metric (n - 1; NaN for one seed).
    """
    described = [name for name in DESCRIBED if name in rows.columns]
    if metrics is None:
        # by level of the hierarchy, and of rounded vectors
        further = [name for name in rows.columns if name.startswith(f"{SCORE}_")]
        metrics = [*name_metrics(rows), *further]
    measured = list(metrics)
    groups = rows.groupby(list(by), sort=False, dropna=False)
    means = groups[[*measured, *described]].mean()
    spreads = groups[measured].std().add_suffix("_sd")
    return means.join(spreads).join(groups.size().rename("seeds")).reset_index()


def average_baselines(baselines: Results, split: str) -> pd.DataFrame:
    """Average raw pixels or vectors and the head of the untrained network, both under cosine."""
    searched = baselines.metrics["vector"].isin(["pixels", "vectors", "head"])
    rows = baselines.metrics[(baselines.metrics["split"] == split) & searched]
    return over_seeds(rows, ["geometry"]).replace({"geometry": BASELINES})
