"""The page of the literature's systems, tuned and as published, with labels given and hidden."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import SystemsPageParams
from geomix.config.studies import flatten
from geomix.data.packed import Packed, open_packed
from geomix.report.budget import find_budget
from geomix.report.changes import RULES
from geomix.report.contrasts import find_smallest
from geomix.report.costs import Cost, find_noise, read_costs
from geomix.report.page import write_csv
from geomix.report.published_systems import PublishedRow, list_published
from geomix.report.remarks import (
    CORRECTIONS,
    Untrained,
    find_priors,
    find_untrained,
    is_unit_fed,
    list_corrections,
)
from geomix.report.render import describe_origin, render
from geomix.report.results import Results, average_baselines, read_results
from geomix.report.search import SCORES
from geomix.report.settled import System, read_system
from geomix.report.system_figure import draw_systems
from geomix.report.system_searches import SystemSearch, write_searches
from geomix.report.text import number
from geomix.report.trees import Tree, read_trees
from geomix.report.winning_systems import (
    Fused,
    Row,
    Scores,
    compare_fused,
    compare_winners,
    correct_rows,
)

LABELS = ("given", "hidden")


@dataclass(frozen=True)
class Systems:
    """All that is known of the systems.

    Attributes:
        systems: By what training knew of labels, by name.
        tuned: Results of the winners.
        published: Results of the published rows.
        baselines: Results of raw input and the untrained network.
        below: Mean test rows of these.
        metric: What is compared, a column.
        folder: Of the results.
    """

    systems: dict[str, list[System]]
    tuned: Results
    published: Results
    baselines: Results
    below: pd.DataFrame
    metric: str
    folder: Path

    @property
    def every(self) -> list[System]:
        """All systems."""
        return [one for group in self.systems.values() for one in group]

    @property
    def origins(self) -> list[Results]:
        """All results."""
        return [self.tuned, self.published, self.baselines]


@dataclass(frozen=True)
class Tables:
    """What the page shows.

    Attributes:
        tuned: Rows at what val chose, by labels.
        published: Rows as published, by labels.
        fused: Ensembles.
        untrained: By labels, the tuned rows below the untrained network.
    """

    tuned: dict[str, list[Row]]
    published: dict[str, list[PublishedRow]]
    fused: list[Fused]
    untrained: dict[str, Untrained]

    @property
    def smallest(self) -> float:
        """The smallest difference from a reference that would have been found, in the median."""
        gaps = [row.reference.gap for row in self.compared if row.reference]
        return float(np.median([find_smallest(gap, len(gaps)) for gap in gaps] or [math.nan]))

    @property
    def compared(self) -> list[Row]:
        """All tuned rows that are compared with a reference, by falling difference."""
        rows = [row for table in self.tuned.values() for row in table if row.reference]
        return sorted(rows, key=_mean_difference, reverse=True)


def _mean_difference(row: Row) -> float:
    """Return the difference of a row from its reference."""
    return row.reference.gap.mean if row.reference else 0.0


def build_systems(
    results: Path,
    baselines: Path,
    settled: Path,
    data: Path,
    costs: Path,
    searches: Sequence[SystemSearch],
    params: SystemsPageParams,
) -> dict[str, bytes]:
    """Build the page, its figure and its tables.

    Args:
        results: The folder with results of the systems, as published and tuned.
        baselines: The folder with those of the baselines.
        settled: The folder that stage settle wrote.
        data: The packed data set.
        costs: The table of bench.systems, which may be missing.
        searches: One for each tuned system and kind of labels.
        params: What the settings of the systems are laid over, the references, and the metric.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    found = read_systems(results, baselines, settled, params.verdict.metric)
    known = read_costs(costs, f"given/{params.systems.references.given}")
    tables = compare_systems(found, packed, known, params)
    described = describe_page(found, tables, packed, searches, known, params)
    below = found.below.set_index("geometry")[found.metric].to_dict()
    cells = {"tuned": found.tuned, "published": found.published, "baselines": found.baselines}
    return {
        "README.md": render("systems", **described),
        "cells.csv": write_csv(pd.concat([one.metrics.assign(run=k) for k, one in cells.items()])),
        "trials.csv": write_searches(searches),
        "figure.png": draw_systems(tables.tuned, below, SCORES[found.metric]),
    }


def read_systems(results: Path, baselines: Path, settled: Path, metric: str) -> Systems:
    """Read what is known of the systems."""
    published, raw = read_results(results / "published"), read_results(baselines)
    return Systems(
        systems={
            labels: [read_system(settled, name, labels) for name in names]
            for labels, names in list_systems(published.metrics).items()
        },
        tuned=read_results(results / "tuned"),
        published=published,
        baselines=raw,
        below=average_baselines(raw, "test"),
        metric=metric,
        folder=results,
    )


def list_systems(metrics: pd.DataFrame) -> dict[str, list[str]]:
    """Return the systems by what training knew of labels, by name; no ensembles."""
    systems = metrics[metrics["weight"].isna()] if "weight" in metrics else metrics
    found = {
        labels: sorted(systems.loc[systems["labels"] == labels, "system"].unique())
        for labels in LABELS
    }
    return {labels: names for labels, names in found.items() if names}


def compare_systems(
    found: Systems, packed: Packed, costs: Mapping[str, Cost], params: SystemsPageParams
) -> Tables:
    """Compare the winners with their references, and list the published rows.

    Args:
        found: The systems.
        packed: The data set.
        costs: By `<labels>/<name>`.
        params: Has the references.
    """
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    references = dict(params.systems.references)
    published = {
        labels: list_published(found.published.metrics, group, references[labels], costs)
        for labels, group in found.systems.items()
    }
    rows: list[Row] = []
    fused: list[Fused] = []
    for labels, names in list_systems(found.tuned.metrics).items():
        scores = Scores(found.tuned, labels, found.metric, classes)
        group = [one for one in found.systems[labels] if one.system in names]
        before = {one.system.system: one.scores[found.metric] for one in published[labels]}
        rows += compare_winners(scores, group, references[labels], before)
        if labels == "given":
            fused = compare_fused(scores, found.tuned.metrics, references[labels])
    tuned: dict[str, list[Row]] = {}
    for row in correct_rows(rows):
        tuned.setdefault(row.system.labels, []).append(row)
    untrained = {
        labels: find_untrained(
            pd.DataFrame([row.scores for row in table]).set_index("system"),
            found.below,
            found.metric,
        )
        for labels, table in tuned.items()
    }
    return Tables(tuned, published, fused, untrained)


def describe_page(
    found: Systems,
    tables: Tables,
    packed: Packed,
    searches: Sequence[SystemSearch],
    costs: Mapping[str, Cost],
    params: SystemsPageParams,
) -> dict[str, Any]:
    """Return what the template names."""
    settings = params.systems
    return {
        "dataset": packed.card["dataset"],
        "metric": found.metric,
        "metric_name": SCORES[found.metric],
        "tables": tables,
        "known": {one.system: one for one in found.every},
        "searches": searches,
        "tuning": settings.tuned,
        "references": dict(settings.references),
        "laid": write_settings(settings.tuned.settings),
        "passes": count_passes(found, params),
        "needs": list_needs(found, searches),
        "seeds": int(found.tuned.metrics["seed"].nunique()),
        "unit_fed": list_unit_fed(tables, params),
        "noise": find_noise(costs, found.every),
        "baselines": found.below.to_dict("records"),
        "trees": list_trees(found.folder),
        "budget": find_budget(
            packed, params, count_trained(found, searches), pinned=flatten(settings.common)
        ),
        "origin": describe_origin(packed, found.origins, params),
        **describe_corrections(found, tables, packed),
    }


def write_settings(settings: Mapping[str, Any]) -> list[str]:
    """Write settings with their dotted keys: head.norm batch."""
    return [f"{key} {number(value)}" for key, value in flatten(settings).items()]


def list_needs(found: Systems, searches: Sequence[SystemSearch]) -> list[dict[str, Any]]:
    """Return the systems that are tuned otherwise than the rest, and in what."""
    places = {one.system: one.places for one in searches}
    return [
        {
            "system": one.system,
            "settings": write_settings(one.tuned["settings"]),
            "searched": [f"{place.key} {place.searched}" for place in places[one.system]],
            "reference": one.reference,
            "why": one.tuned["why"],
        }
        for one in found.every
        if one.tuned and one.system in places
    ]


def describe_corrections(found: Systems, tables: Tables, packed: Packed) -> dict[str, Any]:
    """Return what the template says of rules that correct for false negatives."""
    train = packed.samples["label"].to_numpy()[packed.rows("train")]
    lower = [row.name for row in tables.tuned.get("hidden", []) if row.verdict == "lower"]
    return {
        "corrections": list_corrections(found.systems.get("given", ())),
        "correcting": [RULES[rule].removeprefix("after ") for rule in CORRECTIONS],
        "priors": find_priors(found.systems.get("hidden", ()), train, lower),
    }


def count_passes(found: Systems, params: SystemsPageParams) -> dict[str, int]:
    """Return the passes over the training images by kind of labels, which the references make."""
    references = dict(params.systems.references)
    return {
        labels: next(one for one in group if one.system == references[labels]).full["epochs"]
        for labels, group in found.systems.items()
    }


def list_unit_fed(tables: Tables, params: SystemsPageParams) -> dict[str, float]:
    """Return the rank correlation with cosine of systems whose balls are fed with unit vectors."""
    return {
        row.system.system: float(row.scores["rank_correlation"])
        for group in tables.published.values()
        for row in group
        if is_unit_fed(row.system, params.geometry)
    }


def list_trees(results: Path) -> list[Tree]:
    """Return the learned trees of winners, and of systems that ran as published alone."""
    tuned = read_trees(results / "tuned")
    names = {tree.system for tree in tuned}
    others = [tree for tree in read_trees(results / "published") if tree.system not in names]
    return [*tuned, *others]


def count_trained(found: Systems, searches: Sequence[SystemSearch]) -> int:
    """Count the cells that were trained: published rows, trials and winners, but no ensembles."""
    winners = found.tuned.metrics
    winners = winners[winners["weight"].isna()] if "weight" in winners else winners
    cells = found.published.metrics["cell"].nunique() + winners["cell"].nunique()
    return int(cells) + sum(len(one.trials) for one in searches)
