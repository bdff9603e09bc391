"""What a study found, as data: the chosen settings, their scores, differences, whether it bent.

Nothing here knows a study or a geometry by name. What a geometry is, its spaces and the results say
(see kinds.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry
from geomix.config.studies import Study
from geomix.config.tuning import Tuning
from geomix.data.packed import SCORED, Packed
from geomix.report.choices import Place, choose, place_choices
from geomix.report.difference import Difference, compare_seeds, paired_difference
from geomix.report.kinds import CONTROLS, add_kinds, mark_curved
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

FAR_APART = 4  # times as many effective negatives, from which a temperature is not the same
WITHOUT_EFFECT = 0.999  # rank correlation with cosine above which a geometry reorders nothing

Row = dict[str, Any]
UNKNOWN: Mapping[str, Geometry] = MappingProxyType({})  # geometries whose spaces are not given


@dataclass(frozen=True)
class Answer:
    """The one comparison that answers the question of a study.

    Attributes:
        kind: control: the first geometry whose curvature acted, or else the first curved one,
            against the best control; limit: a curved geometry against its own flat limit; best: the
            two that score highest; alone: one geometry.
        first: A geometry.
        second: Another, or the same where the kind is limit or alone.
        difference: In test recall at 1, first minus second; none where there is nothing to compare.
        controls: The geometries without curvature, of which validation chose the second.
    """

    kind: Literal["control", "limit", "best", "alone"]
    first: str
    second: str
    difference: Difference | None
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bend:
    """Whether curvature acted on the rankings of a geometry, over all values of a study.

    Attributes:
        geometry: Its name.
        curved: Whether it has a curvature at some value.
        correlation: The lowest rank correlation with cosine among its curved cells; NaN without
            any, and where points that coincide leave nothing to rank.
        at: The values it is lowest at, by axis.
        lowest: Test recall at 1 at its worst curved values.
        highest: Likewise at its best.
        limit: Mean test row in the flat limit, if that is among the values.
    """

    geometry: str
    curved: bool
    correlation: float
    at: Row
    lowest: float
    highest: float
    limit: Row | None

    @property
    def acted(self) -> bool:
        """Whether some ranking departs from cosine's."""
        return self.correlation <= WITHOUT_EFFECT


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
        steps: A row for each geometry and value of the only axis: the `control`, and the difference
            of test recall at 1 from it, `mean`, `low` and `high`.
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
    steps: pd.DataFrame
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
    def failed(self) -> bool:
        """Whether no geometry scores above both the raw input and the untrained network."""
        return all(
            row[SCORE] <= self.baselines["test"][SCORE].max() for row in self.chosen.values()
        )

    @property
    def tested(self) -> bool:
        """Whether some difference has an interval."""
        differences = [*self.differences.values(), *self.limits.values()]
        return any(one is not None and not math.isnan(one.low) for one in differences)

    @property
    def repeated(self) -> bool:
        """Whether some score has a standard deviation, which one seed does not have."""
        rows = [*self.chosen.values(), *self.baselines["test"].to_dict("records")]
        return any(not math.isnan(row[f"{SCORE}_sd"]) for row in rows)

    @property
    def seeds(self) -> int:
        """The number of seeds of the geometry that has most."""
        return max(int(row["seeds"]) for row in self.chosen.values())

    @property
    def scored(self) -> bool:
        """Whether some geometry has a score on test."""
        return any(not math.isnan(row[SCORE]) for row in self.chosen.values())

    def list_use(self, use: str) -> list[str]:
        """Return the curved geometries whose curvature was `forced`, `unused` or `used`."""
        return [name for name in self.list_kind("curved") if self.chosen[name]["use"] == use]

    @property
    def shared_gain(self) -> bool:
        """Whether flat and curved beat cosine alike, so that no curvature explains the gain."""
        first, control = self.answer.first, self.answer.second
        pairs = [(first, control)]
        pairs += [(one, cosine) for cosine in self.list_kind("cosine")[:1] for one in pairs[0]]
        if self.answer.kind != "control" or len(pairs) < 3 or control in pairs[1]:
            return False
        verdicts = [find_difference(self.differences, *pair).verdict for pair in pairs]
        return verdicts == ["no difference found", "higher", "higher"]

    def count_steps(self) -> dict[str, int]:
        """Count the values of the only axis at which the first geometry differs from its control.

        Returns:
            `lower` and `higher`, by intervals on one side of 0, and `all` of them; 0 of each if
            nothing is compared value by value, or one seed has no interval.
        """
        steps = self.steps
        if self.answer.kind != "control" or not len(steps):
            return dict.fromkeys(("lower", "higher", "all"), 0)
        rows = steps[(steps["geometry"] == self.answer.first) & steps["low"].notna()]
        lower, higher = (rows["high"] < 0).sum(), (rows["low"] > 0).sum()
        return {"lower": int(lower), "higher": int(higher), "all": len(rows)}

    @property
    def spread_of_weights(self) -> tuple[str, str] | None:
        """The geometries with the fewest and the most effective negatives, if far apart.

        At one temperature for all these differ, and what they do to learning is a matter of
        temperature, not of geometry.
        """
        counts = {name: row["effective_negatives"] for name, row in self.chosen.items()}
        known = {name: count for name, count in counts.items() if count > 0}
        if self.axes or not known:
            return None
        least, most = (pick(known, key=lambda name: known[name]) for pick in (min, max))
        return (least, most) if known[most] > FAR_APART * known[least] else None

    def list_kind(self, kind: str) -> list[str]:
        """Return the geometries of a kind."""
        return [name for name, row in self.chosen.items() if row["kind"] == kind]


def describe_rows(
    summary: pd.DataFrame,
    chosen: pd.DataFrame,
    keys: list[str],
    geometries: Mapping[str, Geometry],
) -> dict[str, Row]:
    """Return the chosen rows of a summary by geometry.

    Each has besides its `kind` and the `use` of its curvature, see `add_kinds`; and whether it
    `acted`: whether the geometry ranks unlike cosine.
    """
    rows = add_kinds(chosen[keys].merge(summary, on=keys), geometries)
    rows["acted"] = rows["rank_correlation"] <= WITHOUT_EFFECT
    return {row["geometry"]: row for row in rows.to_dict("records")}


def find_difference(
    differences: dict[tuple[str, str], Difference], first: str, second: str
) -> Difference:
    """Return first minus second, whichever way round it was computed."""
    if (first, second) in differences:
        return differences[first, second]
    other = differences[second, first]
    turned = tuple(0 - gap for gap in other.per_seed)  # 0 - 0 is not -0
    return Difference(0 - other.mean, 0 - other.high, 0 - other.low, turned)


def find(
    name: str,
    study: Study,
    results: Results,
    baselines: Results,
    packed: Packed,
    geometries: Mapping[str, Geometry] = UNKNOWN,
) -> Findings:
    """Compute what a study found.

    Args:
        name: Of the study.
        study: What it varies.
        results: Of its cells.
        baselines: Raw pixels or vectors, and the untrained network.
        packed: The data set that was searched.
        geometries: Their spaces by name, which tell a distance from an inner product.
    """
    axes, metrics = list(study.axes), results.metrics
    keys = ["geometry", *axes]
    summaries = {split: mark_curved(over_seeds(own(metrics, split), keys)) for split in SCORED}
    best = choose(summaries["val"], axes)
    chosen = describe_rows(summaries["test"], best, keys, geometries)
    flat = _choose_limits(summaries["val"], axes)
    limits = describe_rows(summaries["test"], flat, keys, geometries)
    cells = _group_cells(results, keys, packed)
    differences = {(b, a): cells.compare(chosen[b], chosen[a]) for a, b in combinations(chosen, 2)}
    from_limits = {name: cells.compare_limit(chosen[name], row) for name, row in limits.items()}
    answer = _answer(chosen, best.set_index("geometry")[SCORE], differences, from_limits)
    tests = summaries["test"]
    return Findings(
        name=name,
        axes=axes,
        results=results,
        fixed=list_fixed(metrics, study),
        summaries=summaries,
        baselines={split: average_baselines(baselines, split) for split in SCORED},
        chosen=chosen,
        cells={one: cells.list_of(row) for one, row in chosen.items()},
        places=list(place_choices(summaries["val"], best, axes)),
        differences=differences,
        limits=from_limits,
        limit_rows=limits,
        bends=[_bend(rows, axes, limits) for _, rows in tests.groupby("geometry", sort=False)],
        steps=_list_steps(tests, answer, limits, cells) if len(axes) == 1 else pd.DataFrame(),
        answer=answer,
    )


@dataclass(frozen=True)
class _Cells:
    """The cells of a study, compared by test recall at 1.

    Attributes:
        results: Of the cells.
        keys: The columns that tell settings apart: geometry and axes.
        places: The cells of each setting in order of their seeds, by the values of the keys.
        classes: The class of each test query, (Q,).
    """

    results: Results
    keys: list[str]
    places: Mapping[tuple[Any, ...], list[str]]
    classes: np.ndarray

    def list_of(self, row: Row) -> list[str]:
        """Return the cells of a setting in order of their seeds."""
        return list(self.places[tuple(row[key] for key in self.keys)])

    def compare(self, first: Row, second: Row) -> Difference:
        """Return the difference in test recall at 1, first minus second."""
        a, b = (stack_queries(self.results, self.list_of(row)) for row in (first, second))
        scored = self.classes[~np.isnan(a - b).any(axis=0)]
        if len(np.unique(scored)) < 2:
            return compare_seeds(a, b)
        return paired_difference(a, b, self.classes)

    def compare_limit(self, chosen: Row, limit: Row) -> Difference | None:
        """Return the difference from the flat limit; none where that was chosen."""
        same = self.list_of(chosen) == self.list_of(limit)
        return None if same else self.compare(chosen, limit)


def _group_cells(results: Results, keys: list[str], packed: Packed) -> _Cells:
    """Group the cells of a study by setting."""
    ordered = own(results.metrics, "test").sort_values("seed")
    places = {
        tuple(values): rows["cell"].tolist()
        for values, rows in ordered.groupby(keys, sort=False, dropna=False)
    }
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    return _Cells(results, keys, places, classes)


def _list_steps(
    tests: pd.DataFrame, answer: Answer, limits: dict[str, Row], cells: _Cells
) -> pd.DataFrame:
    """Return `Findings.steps`: along the only axis, each row beside what it is compared with."""
    steps, first = [], str(tests["geometry"].iloc[0])
    for row in tests.to_dict("records"):
        if control := _find_control(row, answer, limits, first):
            found = cells.compare(row, {**row, **control})
            step = {key: row[key] for key in cells.keys} | {"control": control["geometry"]}
            steps.append(step | {"mean": found.mean, "low": found.low, "high": found.high})
    return pd.DataFrame(steps)


def list_fixed(metrics: pd.DataFrame, study: Study) -> Row:
    """Return the settings of the cells that do not vary; each winner of a search has its own."""
    if isinstance(study, Tuning):
        return {}
    settings = [key for key in list_settings(metrics) if key not in study.axes]
    values = {key: metrics[key].dropna().unique() for key in settings}
    return {key: found[0] for key, found in values.items() if len(found) == 1}


def _choose_limits(summary: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Choose the best val rows without curvature of the geometries that have one elsewhere."""
    curves = summary.groupby("geometry")["curved"].transform("max") > 0
    return choose(summary[curves & (summary["curved"] == 0)], axes)


def _answer(
    chosen: dict[str, Row],
    val: pd.Series,
    differences: dict[tuple[str, str], Difference],
    limits: dict[str, Difference | None],
) -> Answer:
    """Find the comparison that answers: with the best control if there is one, else the limit.

    Args:
        chosen: Test rows by geometry.
        val: Their val scores, which choose the control.
        differences: By pair.
        limits: By geometry that has curvature at some value.
    """
    curved = [name for name, row in chosen.items() if row["kind"] == "curved"]
    controls = [
        name
        for kind in CONTROLS
        for name, row in chosen.items()
        if row["kind"] == kind and name not in limits
    ]
    if curved and controls:
        acted = [name for name in curved if chosen[name]["use"] == "used"]
        first, second = (acted or curved)[0], max(controls, key=lambda name: val[name])
        difference = find_difference(differences, first, second)
        return Answer("control", first, second, difference, tuple(controls))
    if limits:
        first = next(iter(limits))
        return Answer("limit", first, first, limits[first])
    first, *others = sorted(chosen, key=lambda name: -chosen[name][SCORE])
    if not others:
        return Answer("alone", first, first, None)
    return Answer("best", first, others[0], find_difference(differences, first, others[0]))


def _find_control(row: Row, answer: Answer, limits: dict[str, Row], first: str) -> Row | None:
    """Return what a row is compared with along an axis: a geometry, with values if not the row's.

    Where the answer is about a control or a flat limit, only curved rows are compared with it; else
    all geometries are compared with the first.
    """
    name = row["geometry"]
    if answer.kind in ("control", "limit") and row["curved"] == 0:
        return None
    if answer.kind == "limit":
        return limits.get(name)
    control = answer.second if answer.kind == "control" else first
    return {"geometry": control} if name != control else None


def _bend(rows: pd.DataFrame, axes: Sequence[str], limits: dict[str, Row]) -> Bend:
    """Find whether curvature acted on a geometry, from its test rows."""
    name, curved = str(rows["geometry"].iloc[0]), rows[rows["curved"] > 0]
    if curved.empty:
        return Bend(name, False, math.nan, {}, math.nan, math.nan, None)
    most = curved.sort_values("rank_correlation", kind="stable").iloc[0]  # NaN comes last
    at = {axis: most[axis] for axis in axes}
    ends = float(curved[SCORE].min()), float(curved[SCORE].max())
    return Bend(name, True, float(most["rank_correlation"]), at, *ends, limits.get(name))
