"""The page of a study on lineages, whatever it varies: reports/<dataset>/<study>/.

Both directions are scored apart, because a ranking that ignores the query can do well in one of
them: a held-out leaf is related to its ancestors alone, and those have the most descendants.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry
from geomix.config.stages import PageParams
from geomix.config.studies import Study
from geomix.config.tuning import Tuning
from geomix.data.packed import SCORED, open_packed
from geomix.report.budget import find_budget
from geomix.report.choices import Place, choose, place_choices
from geomix.report.directions import draw_directions
from geomix.report.findings import Row, list_fixed
from geomix.report.kinds import add_kinds, mark_curved
from geomix.report.page import write_cells, write_csv
from geomix.report.render import describe_origin, render
from geomix.report.results import (
    BASELINES,
    DESCRIBED,
    Results,
    over_seeds,
    own,
    read_results,
)

LINEAGE_SCORE = "lineage_score"  # whose mean on val chooses a setting
DIRECTIONS = {"leaf_ancestors": "leaf to ancestors", "inner_leaves": "inner node to leaves"}
SHARES = {
    "same_node": "same node",
    "map_lineage": "all relatives",
    "h_ap": "H-AP",
    "ndcg": "nDCG",
    "asi": "ASI",
}
CORRELATIONS = {"hop_correlation": "with hops", "hop_correlation_by_depth": "within equal depth"}
METRICS = [*DIRECTIONS, LINEAGE_SCORE, *SHARES, *CORRELATIONS]
# Rankings that ignore the query, by their geometry in the results.
CONSTANTS = {"depth": "ranking by depth", "descendants": "ranking by descendants"}
SEARCHED = ("pixels", "vectors", "head")


@dataclass(frozen=True)
class Comparison:
    """A curved geometry in one direction, beside the row without curvature that reaches most.

    Attributes:
        direction: A key of `DIRECTIONS`.
        curved: Its test row.
        rival: The other test row: a geometry or a baseline.
    """

    direction: str
    curved: Row
    rival: Row

    @property
    def words(self) -> str:
        """What the direction is called."""
        return DIRECTIONS[self.direction]

    @property
    def wins(self) -> bool:
        """Whether the mean of the curved geometry is higher."""
        return bool(self.curved[self.direction] > self.rival[self.direction])

    @property
    def close(self) -> bool:
        """Whether the means differ by less than one standard deviation of either."""
        rows = (self.curved, self.rival)
        first, second = (row[self.direction] for row in rows)
        spreads = [row[f"{self.direction}_sd"] for row in rows]
        return bool(abs(first - second) < np.nanmax([0, *spreads]))


@dataclass(frozen=True)
class LineageFindings:
    """What a study on lineages found.

    Attributes:
        name: Of the study.
        axes: The keys that vary.
        fixed: The settings that all cells share, where a geometry has them.
        summaries: Means over seeds by geometry and axes, for val and test.
        chosen: Mean test rows at the values that val chose, by geometry, with `kind` and `use`.
        val: Their lineage scores on val.
        baselines: Means of raw input, the untrained network and constant rankings, on test, by
            name.
        places: Where the chosen values lie.
    """

    name: str
    axes: list[str]
    fixed: Row
    summaries: dict[str, pd.DataFrame]
    chosen: dict[str, Row]
    val: dict[str, float]
    baselines: dict[str, Row]
    places: list[Place]

    @property
    def rows(self) -> list[Row]:
        """All test rows: geometries, then baselines."""
        return [*self.chosen.values(), *self.baselines.values()]

    @property
    def seeds(self) -> int:
        """The number of seeds of the geometry that has most."""
        return max(int(row["seeds"]) for row in self.chosen.values())

    @property
    def repeated(self) -> bool:
        """Whether some score has a standard deviation, which one seed does not have."""
        return any(not math.isnan(row[f"{LINEAGE_SCORE}_sd"]) for row in self.rows)

    @property
    def directions(self) -> dict[str, str]:
        """The directions in which some geometry has a score, with their names."""
        rows = self.chosen.values()
        return {
            key: words
            for key, words in DIRECTIONS.items()
            if not all(math.isnan(row[key]) for row in rows)
        }

    @property
    def missing(self) -> list[str]:
        """What could not be computed on test, in sentences."""
        return [
            f"From {words}: no query of test has anything to find, and the mean of both is of the "
            "other direction."
            for key, words in DIRECTIONS.items()
            if key not in self.directions
        ]

    @property
    def edges(self) -> list[Place]:
        """The choices that lie at an edge of their grid."""
        return [place for place in self.places if place.kind == "edge"]

    @property
    def untaught(self) -> list[Row]:
        """The rows of raw input and of the untrained network."""
        return [row for name, row in self.baselines.items() if name not in CONSTANTS.values()]

    @property
    def failed(self) -> bool:
        """Whether no geometry beats both raw input and the untrained network in a direction."""
        return not any(
            row[direction] > max(one[direction] for one in self.untaught)
            for row in self.chosen.values()
            for direction in DIRECTIONS
        )

    @property
    def flat(self) -> list[Row]:
        """The geometries without curvature."""
        return [row for row in self.chosen.values() if row["kind"] != "curved"]

    @property
    def best(self) -> str:
        """The geometry that scores highest on val: of the curved ones, if there are any."""
        curved = [name for name, row in self.chosen.items() if row["kind"] == "curved"]
        return max(curved or self.chosen, key=lambda name: self.val[name])

    @property
    def comparisons(self) -> list[Comparison]:
        """The best curved geometry in both directions; nothing where none is curved."""
        curved = self.chosen[self.best]
        if curved["kind"] != "curved":
            return []
        rivals = [*self.flat, *self.baselines.values()]
        return [
            Comparison(direction, curved, find_highest(rivals, direction))
            for direction in self.directions
        ]

    @property
    def leaders(self) -> dict[str, Row]:
        """The geometry without curvature that reaches most, by direction."""
        return {name: find_highest(self.flat, name) for name in self.directions if self.flat}

    @property
    def constant(self) -> Row:
        """The ranking that ignores the query and reaches most from leaf to ancestors."""
        constants = [row for name, row in self.baselines.items() if name in CONSTANTS.values()]
        return find_highest(constants, "leaf_ancestors")

    def list_free(self, credited: bool) -> list[str]:
        """Return the geometries of free norms that the best constant ranking does not explain.

        Without a score from leaf to ancestors there are none.

        Args:
            credited: Or, where this is false, those that it does.
        """
        bound = self.constant["leaf_ancestors"]
        if math.isnan(bound):
            return []
        return [
            name
            for name, row in self.chosen.items()
            if row["kind"] in ("inner", "flat", "curved") and not is_forced(row)
            if (row["leaf_ancestors"] > bound) == credited
        ]

    def list_use(self, use: str) -> list[str]:
        """Return the curved geometries whose curvature was `forced`, `unused` or `used`."""
        return [
            name
            for name, row in self.chosen.items()
            if row["kind"] == "curved" and row["use"] == use
        ]


def find_highest(rows: list[Row], metric: str) -> Row:
    """Return the row that is highest in a metric."""
    return max(rows, key=lambda row: float(row[metric]))


def list_beaten(found: LineageFindings) -> list[str]:
    """List the further metrics in which what was not taught is higher than each geometry."""
    return [
        words
        for key, words in SHARES.items()
        if any(all(one[key] > row[key] for row in found.chosen.values()) for one in found.untaught)
    ]


def is_forced(row: Row) -> bool:
    """Whether all points of a geometry lie at one radius."""
    return bool(row["use"] == "forced")


def find_lineages(
    name: str,
    study: Study,
    results: Results,
    baselines: Results,
    geometries: Mapping[str, Geometry],
) -> LineageFindings:
    """Compute what a study on lineages found.

    Args:
        name: Of the study.
        study: What it varies.
        results: Of its cells.
        baselines: Raw input, the untrained network, and constant rankings.
        geometries: Their spaces by name.
    """
    axes = list(study.axes)
    keys = ["geometry", *axes]
    summaries = {
        split: mark_curved(over_seeds(own(results.metrics, split), keys, METRICS))
        for split in SCORED
    }
    best = choose(summaries["val"], axes, LINEAGE_SCORE)
    rows = add_kinds(best[keys].merge(summaries["test"], on=keys), geometries)
    below = average_rankings(baselines.metrics, "test")
    return LineageFindings(
        name=name,
        axes=axes,
        fixed=list_fixed(results.metrics, study),
        summaries=summaries,
        chosen={row["geometry"]: row for row in rows.to_dict("records")},
        val=best.set_index("geometry")[LINEAGE_SCORE].to_dict(),
        baselines={row["geometry"]: row for row in below.to_dict("records")},
        places=list(place_choices(summaries["val"], best, axes, LINEAGE_SCORE)),
    )


def average_rankings(metrics: pd.DataFrame, split: str) -> pd.DataFrame:
    """Average raw input and the head of the untrained network, under cosine, and constants."""
    searched = metrics["vector"].isin(SEARCHED) & metrics["geometry"].isin(list(BASELINES))
    rows = metrics[searched | metrics["geometry"].isin(list(CONSTANTS))]
    means = over_seeds(rows[rows["split"] == split], ["geometry"], METRICS)
    return means.replace({"geometry": BASELINES | CONSTANTS})


def build_lineage(
    name: str, study: Study, results: Path, baselines: Path, data: Path, params: PageParams
) -> dict[str, bytes]:
    """Build the page of a study on lineages, its figure and tables.

    Args:
        name: Of the study.
        study: What it varies.
        results: The folder of its results.
        baselines: The folder of those of the baselines.
        data: The packed data set.
        params: What trained the cells.

    Returns:
        Content by file name.
    """
    packed, measured, raw = open_packed(data), read_results(results), read_results(baselines)
    found = find_lineages(name, study, measured, raw, params.geometry)
    geometries = {key: params.geometry[key] for key in study.geometries}
    page = render(
        "lineage",
        f=found,
        dataset=packed.card["dataset"],
        directions=DIRECTIONS,
        shares=SHARES,
        beaten=list_beaten(found),
        correlations=CORRELATIONS,
        lineage_score=LINEAGE_SCORE,
        swept=sweep(found),
        budget=find_budget(
            packed, params, measured.metrics["cell"].nunique(), study.axes, study.fixed
        ),
        tuned=isinstance(study, Tuning),
        origin=describe_origin(
            packed,
            [measured, raw],
            params.model_copy(update={"geometry": geometries}),
            study={name: study.model_dump(exclude_defaults=True, warnings=False)},
        ),
    )
    return {
        "README.md": page,
        "figure.png": draw_directions(
            DIRECTIONS, found.chosen, found.summaries["test"], found.baselines
        ),
        "summary.csv": write_summary(found),
        "cells.csv": write_cells({name: measured.metrics, "baselines": raw.metrics}),
    }


def sweep(found: LineageFindings) -> list[Row]:
    """Return a test row for each geometry and value, with the val score, and if it is `chosen`."""
    keys = ["geometry", *found.axes]
    scores = [LINEAGE_SCORE, f"{LINEAGE_SCORE}_sd"]
    val = found.summaries["val"][[*keys, *scores]]
    rows = found.summaries["test"].merge(val, on=keys, suffixes=("", "_val")).to_dict("records")
    return [
        row
        | {"chosen": all(row[axis] == found.chosen[row["geometry"]][axis] for axis in found.axes)}
        for row in rows
    ]


def write_summary(found: LineageFindings) -> bytes:
    """Write means over seeds as CSV: a row for each split, geometry and value."""
    table = pd.concat([rows.assign(split=split) for split, rows in found.summaries.items()])
    spreads = [f"{metric}_sd" for metric in METRICS]
    points = [column for column in DESCRIBED if column in table]
    return write_csv(
        table[["split", "geometry", *found.axes, "seeds", *METRICS, *spreads, *points]]
    )
