"""What val chose for each geometry, as a verdict needs it: cells, val scores, settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry
from geomix.data.packed import EARLIER
from geomix.errors import InputError
from geomix.files import read_json
from geomix.report.kinds import add_kinds, mark_curved
from geomix.report.lineage import CONSTANTS, DIRECTIONS, SEARCHED
from geomix.report.results import BASELINES, Results, over_seeds, own, read_results, stack_queries

Row = dict[str, Any]


@dataclass(frozen=True)
class Winners:
    """The geometries, each at what val chose.

    Attributes:
        results: Of their cells.
        cells: By geometry, in order of the seeds, which are the same for all.
        rows: Mean test rows by geometry, with `kind` and `use` of `add_kinds`.
        val: By geometry the val score that chose it.
        others: By direction of a lineage and geometry the mean val score of the cells; a search
            chooses by both.
        settings: By geometry what val chose, by dotted key.
        free: By geometry the val score of its best trial whose radii can differ, and the standard
            error of the score that was chosen; none where no such trial was scored.
    """

    results: Results
    cells: dict[str, list[str]]
    rows: dict[str, Row]
    val: dict[str, float]
    others: dict[str, dict[str, float]]
    settings: dict[str, dict[str, Any]]
    free: dict[str, tuple[float, float] | None]

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(next(iter(self.cells.values())))

    def score_val(self, metric: str) -> dict[str, float]:
        """Return the val scores that name a control: of a direction, or else the search's."""
        return self.others.get(metric, self.val)

    def stack(self, geometry: str, metric: str) -> np.ndarray:
        """Return the metric of each test query by seed, float64 (S, Q)."""
        return stack_queries(self.results, self.cells[geometry], metric).astype(np.float64)


def read_winners(
    results: Path,
    settings: Path,
    names: Sequence[str],
    metrics: Sequence[str],
    geometries: Mapping[str, Geometry],
) -> Winners:
    """Read the winners of a search.

    Args:
        results: What evaluate wrote of their cells.
        settings: The folder with a folder for each geometry, in it `winner`.
        names: Of the geometries.
        metrics: Columns that are scores.
        geometries: Their spaces by name.

    Raises:
        InputError: If a file or a geometry is missing, or geometries have different seeds.
    """
    found = read_results(results)
    cells, rows = _describe(results, own(found.metrics, "test"), names, metrics, geometries)
    searches = {name: _read_search(settings / name / "winner" / "history.csv") for name in names}
    return Winners(
        results=found,
        cells=cells,
        rows=rows,
        val={name: float(search["score"].max()) for name, search in searches.items()},
        others=_average_val(own(found.metrics, "val"), set(metrics) & set(DIRECTIONS)),
        settings={
            name: read_json(settings / name / "winner" / "winner.json")["settings"]
            for name in names
        },
        free={name: find_free(search) for name, search in searches.items()},
    )


def _describe(
    folder: Path,
    tests: pd.DataFrame,
    names: Sequence[str],
    metrics: Sequence[str],
    geometries: Mapping[str, Geometry],
) -> tuple[dict[str, list[str]], dict[str, Row]]:
    """Return cells and mean rows of winners by geometry, from their test rows.

    Raises:
        InputError: If a geometry is missing, or geometries have different seeds.
    """
    ordered = tests.sort_values("seed", kind="stable")
    by_name = {name: ordered[ordered["geometry"] == name] for name in names}
    _check_seeds(folder, {name: rows["seed"] for name, rows in by_name.items()})
    means = over_seeds(pd.concat(by_name.values()), ["geometry"], metrics)
    rows = add_kinds(mark_curved(means), geometries).to_dict("records")
    cells = {name: of["cell"].tolist() for name, of in by_name.items()}
    return cells, {row["geometry"]: row for row in rows}


def _average_val(rows: pd.DataFrame, metrics: Collection[str]) -> dict[str, dict[str, float]]:
    """Average val rows over seeds: by metric and geometry; none of a metric that one has not."""
    means = rows.groupby("geometry")[[*metrics]].mean()
    return {metric: means[metric].to_dict() for metric in means if means[metric].notna().all()}


def _check_seeds(folder: Path, seeds: Mapping[str, pd.Series]) -> None:
    """Check that all geometries have the same seeds, at least one."""
    first = next(iter(seeds))
    expected = list(seeds[first])
    for name, found in seeds.items():
        if list(found) != expected or not expected:
            words = f"found seeds {list(found)} of {name}, expected {expected} as of {first}"
            raise InputError(f"{folder}/metrics.csv: {words}: run evaluate again")


def _read_search(path: Path) -> pd.DataFrame:
    """Read the trials of a search; one whose training failed has no score."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: {EARLIER}") from None


def find_free(search: pd.DataFrame) -> tuple[float, float] | None:
    """Find the best trial whose radii can differ: without a layer norm and a clip radius.

    Args:
        search: With score and standard_error; a setting that was not searched has no column.

    Returns:
        Its score, and the standard error of the highest score of all; none without such a trial.
    """
    kept = search["score"].notna()
    for column in search:
        if column == "head.norm":
            kept &= search[column] != "layer"
        elif column.endswith("clip_radius"):
            kept &= search[column].isna()  # pandas reads null as missing, too
    if not kept.any():
        return None
    error = search.loc[search["score"].idxmax(), "standard_error"]
    return float(search.loc[kept, "score"].max()), float(error)


def average_below(baselines: Results, metrics: Sequence[str]) -> dict[str, Row]:
    """Average what winners must beat on test: raw input, the untrained network, constant rankings.

    Returns:
        A row for each by its name, constant rankings last.
    """
    table = baselines.metrics[baselines.metrics["split"] == "test"]
    learned = table["vector"].isin(SEARCHED) & table["geometry"].isin(list(BASELINES))
    constant = table["geometry"].isin(list(CONSTANTS))
    means = over_seeds(table[learned | constant], ["geometry"], metrics)
    means = means.replace({"geometry": BASELINES | CONSTANTS})
    return {row["geometry"]: row for row in means.to_dict("records")}
