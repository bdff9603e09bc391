"""What a study found, as data: the chosen settings, their scores, differences, whether it bent.

Nothing here knows a study or a geometry by name. What a geometry is, the results say: one that has
a curvature is curved; of the others, one whose points have radii is flat, and one whose points have
none compares by cosine.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from geomix.config.studies import Study
from geomix.data.packed import SCORED, Packed
from geomix.report.choices import Place, choose, place_choices
from geomix.report.intervals import Difference, paired_difference
from geomix.report.results import (
    BASELINES,
    SCORE,
    Results,
    average_baselines,
    list_settings,
    over_seeds,
    own,
    stack_queries,
)

WITHOUT_EFFECT = 0.999  # rank correlation with cosine above which a geometry reorders nothing
KINDS = ("cosine", "flat", "curved")

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The one comparison that answers the question of a study.

    Attributes:
        kind: control: a curved geometry against one without curvature; limit: a curved geometry
            against its own flat limit; best: the two that score highest; alone: one geometry.
        first: A geometry.
        second: Another, or the same where the kind is limit or alone.
        difference: In test recall at 1, first minus second; none where there is nothing to compare.
    """

    kind: Literal["control", "limit", "best", "alone"]
    first: str
    second: str
    difference: Difference | None


@dataclass(frozen=True)
class Bend:
    """Whether curvature acted on the rankings of a geometry, over all values of a study.

    Attributes:
        geometry: Its name.
        correlation: The lowest rank correlation with cosine among its curved cells; NaN without.
        at: The values it is lowest at, by axis.
        lowest: Test recall at 1 at its worst curved values.
        highest: Likewise at its best.
        limit: Mean test row in the flat limit, if that is among the values.
    """

    geometry: str
    correlation: float
    at: Row
    lowest: float
    highest: float
    limit: Row | None

    @property
    def curved(self) -> bool:
        """Whether the geometry has a curvature at some value."""
        return not math.isnan(self.correlation)

    @property
    def acted(self) -> bool:
        """Whether some ranking departs from cosine's."""
        return self.correlation <= WITHOUT_EFFECT


@dataclass(frozen=True)
class Step:
    """The difference of a geometry from its control at one value of the only axis."""

    geometry: str
    control: str
    value: Any
    difference: Difference


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        name: Of the study.
        axes: The keys that vary.
        results: Of its cells.
        fixed: The settings that all cells share, where a geometry has them.
        summaries: Means over seeds by geometry and axes, for val and test.
        baselines: Means of the baselines, for val and test.
        chosen: Mean test rows at the chosen values, by geometry, with `kind`.
        cells: The chosen cells by geometry, in order of their seeds.
        places: Where the chosen values lie.
        differences: In test recall at 1 at the chosen values, by pair.
        limits: Of the chosen values from the flat limit, by geometry; none where that was chosen.
        limit_rows: Mean test rows in the flat limit, by geometry.
        bends: Whether curvature acted, by geometry.
        steps: Differences from the control along the only axis.
        answer: The comparison that the first sentence makes.
    """

    name: str
    axes: list[str]
    results: Results
    fixed: Row
    summaries: dict[str, pd.DataFrame]
    baselines: dict[str, pd.DataFrame]
    chosen: dict[str, Row]
    cells: dict[str, list[str]]
    places: list[Place]
    differences: dict[tuple[str, str], Difference]
    limits: dict[str, Difference | None]
    limit_rows: dict[str, Row]
    bends: list[Bend]
    steps: list[Step]
    answer: Answer

    @property
    def own_cells(self) -> pd.DataFrame:
        """The metrics of the chosen cells."""
        names = [cell for cells in self.cells.values() for cell in cells]
        return self.results.metrics[self.results.metrics["cell"].isin(names)]

    @property
    def gains(self) -> dict[str, float]:
        """Test recall at 1 of the chosen cells minus that of the raw input, by geometry."""
        baselines = self.baselines["test"]
        raw = baselines.loc[baselines["geometry"] == self.raw, SCORE].iloc[0]
        return {name: row[SCORE] - raw for name, row in self.chosen.items()}

    @property
    def raw(self) -> str:
        """Which raw input is a baseline."""
        names = self.baselines["test"]["geometry"]
        return str(next(name for name in names if name != BASELINES["untrained"]))

    @property
    def lost(self) -> list[str]:
        """The geometries that score no higher than the raw input."""
        return [name for name, gain in self.gains.items() if gain <= 0]

    @property
    def edges(self) -> list[Place]:
        """The choices that lie at an edge of their grid."""
        return [place for place in self.places if place.kind == "edge"]

    @property
    def seeds(self) -> int:
        """The fewest seeds of a geometry."""
        return min(row["seeds"] for row in self.chosen.values())

    @property
    def still(self) -> list[str]:
        """The curved geometries that rank as cosine does at the chosen values."""
        return [name for name, row in self._curved.items() if not row["acted"]]

    @property
    def moving(self) -> list[str]:
        """The curved geometries that rank otherwise than cosine at the chosen values."""
        return [name for name, row in self._curved.items() if row["acted"]]

    @property
    def shared_gain(self) -> bool:
        """Whether flat and curved beat cosine alike, so that no curvature explains the gain."""
        first, control = self.answer.first, self.answer.second
        cosine = next((name for name, row in self.chosen.items() if row["kind"] == "cosine"), None)
        if self.answer.kind != "control" or cosine in (None, control):
            return False
        gains = [find_difference(self.differences, name, cosine) for name in (first, control)]
        between = find_difference(self.differences, first, control)
        return [one.verdict for one in (*gains, between)] == [
            "higher",
            "higher",
            "no difference found",
        ]

    @property
    def _curved(self) -> dict[str, Row]:
        return {name: row for name, row in self.chosen.items() if row["kind"] == "curved"}


def describe_rows(
    summary: pd.DataFrame, chosen: pd.DataFrame, axes: Sequence[str]
) -> dict[str, Row]:
    """Return the chosen rows of a summary by geometry.

    Each has besides its `kind`, and whether curvature `acted`: whether it ranks unlike cosine.
    """
    keys = ["geometry", *axes]
    rows = chosen[keys].merge(summary, on=keys)
    uncurved = np.where(rows["radius_mean"].isna(), "cosine", "flat")
    rows["kind"] = np.where(rows["curved"] > 0, "curved", uncurved)
    rows["acted"] = rows["rank_correlation"] <= WITHOUT_EFFECT
    return {row["geometry"]: row for row in rows.to_dict("records")}


def find_difference(
    differences: dict[tuple[str, str], Difference], first: str, second: str
) -> Difference:
    """Return first minus second, whichever way round it was computed."""
    if (first, second) in differences:
        return differences[first, second]
    other = differences[second, first]
    turned = tuple(-gap for gap in other.per_seed)
    return Difference(-other.mean, -other.high, -other.low, turned)


def find_cells(metrics: pd.DataFrame, row: pd.Series | Row, axes: Sequence[str]) -> list[str]:
    """Return the cells of a geometry at given values, in order of their seeds."""
    rows = own(metrics, "test")
    for key in ("geometry", *axes):
        rows = rows[rows[key] == row[key]]
    return list(rows.sort_values("seed")["cell"])


def compare_cells(
    results: Results, first: Sequence[str], second: Sequence[str], classes: np.ndarray
) -> Difference:
    """Return the difference in test recall at 1 of cells of the same seeds, first minus second."""
    return paired_difference(stack_queries(results, first), stack_queries(results, second), classes)


def find(name: str, study: Study, results: Results, baselines: Results, packed: Packed) -> Findings:
    """Compute what a study found.

    Args:
        name: Of the study.
        study: What it varies.
        results: Of its cells.
        baselines: Raw pixels or vectors, and the untrained network.
        packed: The data set that was searched.
    """
    axes, metrics = list(study.axes), results.metrics
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    summaries = {split: over_seeds(own(metrics, split), ["geometry", *axes]) for split in SCORED}
    best = choose(summaries["val"], axes)
    cells = {str(row["geometry"]): find_cells(metrics, row, axes) for _, row in best.iterrows()}
    chosen = describe_rows(summaries["test"], best, axes)
    pairs = [(second, first) for first, second in combinations(chosen, 2)]
    differences = {
        pair: compare_cells(results, cells[pair[0]], cells[pair[1]], classes) for pair in pairs
    }
    limits = _choose_limits(summaries["val"], axes)
    limit_rows = describe_rows(summaries["test"], limits, axes)
    limit_cells = {one: find_cells(metrics, row, axes) for one, row in limit_rows.items()}
    from_limit = {
        one: None if names == cells[one] else compare_cells(results, cells[one], names, classes)
        for one, names in limit_cells.items()
    }
    answer = _answer(chosen, differences, from_limit)
    return Findings(
        name=name,
        axes=axes,
        results=results,
        fixed=_list_fixed(metrics, axes),
        summaries=summaries,
        baselines={split: average_baselines(baselines, split) for split in SCORED},
        chosen=chosen,
        cells=cells,
        places=list(place_choices(summaries["val"], best, axes)),
        differences=differences,
        limits=from_limit,
        limit_rows=limit_rows,
        bends=[
            _bend(rows, axes, limit_rows)
            for _, rows in summaries["test"].groupby("geometry", sort=False)
        ],
        steps=list(_step(results, summaries["test"], axes, answer, limit_cells, classes)),
        answer=answer,
    )


def _list_fixed(metrics: pd.DataFrame, axes: Sequence[str]) -> Row:
    """Return the settings of the cells that do not vary."""
    values = {
        key: metrics[key].dropna().unique() for key in list_settings(metrics) if key not in axes
    }
    return {key: found[0] for key, found in values.items() if len(found) == 1}


def _choose_limits(summary: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Choose the best val rows without curvature of the geometries that have one elsewhere."""
    curves = summary.groupby("geometry")["curved"].transform("max") > 0
    return choose(summary[curves & (summary["curved"] == 0)], axes)


def _answer(
    chosen: dict[str, Row],
    differences: dict[tuple[str, str], Difference],
    limits: dict[str, Difference | None],
) -> Answer:
    """Find the comparison that answers: with a control if there is one, else with the limit."""
    of_kind = {
        kind: [
            name
            for name, row in chosen.items()
            if row["kind"] == kind and (kind == "curved" or name not in limits)
        ]
        for kind in KINDS
    }
    controls = of_kind["flat"] or of_kind["cosine"]
    if of_kind["curved"] and controls:
        first, second = of_kind["curved"][0], controls[0]
        return Answer("control", first, second, find_difference(differences, first, second))
    if limits:
        first = next(iter(limits))
        return Answer("limit", first, first, limits[first])
    first, *others = sorted(chosen, key=lambda name: -chosen[name][SCORE])
    if not others:
        return Answer("alone", first, first, None)
    return Answer("best", first, others[0], find_difference(differences, first, others[0]))


def _bend(rows: pd.DataFrame, axes: Sequence[str], limits: dict[str, Row]) -> Bend:
    """Find whether curvature acted on a geometry, from its test rows."""
    name = str(rows["geometry"].iloc[0])
    curved = rows[rows["curved"] > 0]
    if curved.empty:
        return Bend(name, math.nan, {}, math.nan, math.nan, None)
    most = curved.loc[curved["rank_correlation"].idxmin()]
    scores = curved[SCORE]
    return Bend(
        name,
        float(most["rank_correlation"]),
        {axis: most[axis] for axis in axes},
        float(scores.min()),
        float(scores.max()),
        limits.get(name),
    )


def _step(
    results: Results,
    summary: pd.DataFrame,
    axes: Sequence[str],
    answer: Answer,
    limits: dict[str, list[str]],
    classes: np.ndarray,
) -> Iterator[Step]:
    """Compare each geometry with its control at each value of the only axis.

    Where the answer is about a control or a flat limit, only curved cells are compared with it;
    else all geometries are compared with the first.
    """
    for _, row in summary.iterrows() if len(axes) == 1 else ():
        name = str(row["geometry"])
        if answer.kind in ("control", "limit") and row["curved"] == 0:
            continue
        if answer.kind == "limit" and name not in limits:
            continue
        if answer.kind == "limit":
            control, others = f"{name} without curvature", limits[name]
        else:
            is_control = answer.kind == "control"
            control = answer.second if is_control else str(summary["geometry"].iloc[0])
            others = find_cells(results.metrics, {**row, "geometry": control}, axes)
        if name != control:
            cells = find_cells(results.metrics, row, axes)
            difference = compare_cells(results, cells, others, classes)
            yield Step(name, control, row[axes[0]], difference)
