"""The page of the literature's systems, side by side, with labels given and hidden."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import SystemsPageParams
from geomix.data.packed import Packed, open_packed
from geomix.report.budget import find_budget
from geomix.report.changes import RULES, list_changes
from geomix.report.costs import Cost, find_noise, read_costs
from geomix.report.curves import draw_systems
from geomix.report.intervals import Difference, paired_difference
from geomix.report.page import write_csv
from geomix.report.remarks import (
    CORRECTIONS,
    find_edges,
    find_priors,
    find_untrained,
    is_unit_fed,
    list_corrections,
)
from geomix.report.render import describe_origin, render
from geomix.report.results import (
    SCORE,
    Results,
    average_baselines,
    over_seeds,
    own,
    read_results,
    stack_queries,
)
from geomix.report.settled import System, read_system
from geomix.report.text import number
from geomix.report.trees import read_trees

LABELS = ("given", "hidden")
ENSEMBLE = "ensemble: "  # before the name of an ensemble


@dataclass(frozen=True)
class Row:
    """A row of a table: a system or an ensemble beside the reference of its table.

    Attributes:
        name: As tables have it.
        changes: What it changes against the reference, in words.
        scores: Mean test row over seeds.
        difference: In test recall at 1 from the reference; none for that itself, and where the two
            do not compare.
        verdict: Of the difference, reference, or not comparable.
        tuned: Whether validation chose some of its settings.
        cost: Of its loss.
    """

    name: str
    changes: str
    scores: Mapping[str, Any]
    difference: Difference | None
    verdict: str
    tuned: bool
    cost: Cost

    @property
    def score(self) -> float:
        """Mean test recall at 1."""
        return float(self.scores[SCORE])


@dataclass(frozen=True)
class Table:
    """The rows with labels given, or hidden.

    Attributes:
        labels: Which.
        reference: What the others are compared with.
        rows: In the order of params.yaml; ensembles last.
    """

    labels: str
    reference: str
    rows: list[Row]

    @property
    def means(self) -> pd.DataFrame:
        """Mean test rows over seeds, named by the index."""
        return pd.DataFrame([row.scores for row in self.rows]).set_index("system")

    @property
    def best(self) -> Row:
        """The row that scores highest."""
        return max(self.rows, key=lambda row: row.score)

    @property
    def base(self) -> Row:
        """The row of the reference."""
        return next(row for row in self.rows if row.name == self.reference)

    @property
    def tuned(self) -> list[Row]:
        """The rows whose settings validation chose."""
        return [row for row in self.rows if row.tuned]

    @property
    def rival(self) -> Row | None:
        """What the best row is to be seen beside: the best tuned row, or the reference."""
        others = [row for row in (*self.tuned, self.base) if row.name != self.best.name]
        return max(others, key=lambda row: (row.tuned, row.score), default=None)

    @property
    def others(self) -> list[Row]:
        """The systems beside the reference; no ensembles."""
        return [
            row
            for row in self.rows
            if row.name != self.reference and not row.name.startswith(ENSEMBLE)
        ]

    def count_below(self, other: Mapping[str, Any], column: str) -> int:
        """Count the systems, reference and all, whose score is below that of another row."""
        return sum(row.scores[column] < other[column] for row in [self.base, *self.others])

    def list_names(self, verdict: str) -> list[str]:
        """Return the rows of a verdict."""
        return [row.name for row in self.rows if row.verdict == verdict]


@dataclass(frozen=True)
class Ensemble:
    """Two systems fused at search, and the weight of the second that validation chose."""

    name: str
    members: list[str]
    weight: float

    @property
    def words(self) -> str:
        """What it is made of."""
        kind, (first, second) = self.name.removeprefix(ENSEMBLE), self.members
        made = f"{kind} of {first} and {second}, weight {number(self.weight)} of the second"
        return f"{made}: {self.alone} alone" if self.alone else made

    @property
    def alone(self) -> str | None:
        """The one member that is in it, where the weight leaves only one."""
        return self.members[round(self.weight)] if self.weight in (0, 1) else None


def list_systems(metrics: pd.DataFrame) -> dict[str, list[str]]:
    """Return the systems by what training knew of labels, in their order; no ensembles."""
    systems = metrics[metrics["weight"].isna()] if "weight" in metrics else metrics
    found = {
        labels: list(systems.loc[systems["labels"] == labels, "system"].unique())
        for labels in LABELS
    }
    return {labels: names for labels, names in found.items() if names}


def list_ensembles(metrics: pd.DataFrame) -> list[Ensemble]:
    """Return the ensembles among the results."""
    if "weight" not in metrics:
        return []
    rows = metrics[metrics["weight"].notna()].drop_duplicates("system")
    return [
        Ensemble(row["system"], row["geometry"].split("+"), float(row["weight"]))
        for _, row in rows.iterrows()
    ]


def compare_table(
    results: Results,
    systems: Sequence[System],
    reference: str,
    costs: Mapping[str, Cost],
    classes: np.ndarray,
) -> Table:
    """Compare the systems of one kind of labels, and the ensembles there, with their reference.

    Args:
        results: Of all systems.
        systems: Those of the table.
        reference: The name of one of them.
        costs: By `<labels>/<name>`.
        classes: The class of each test query, (Q,).
    """
    labels = systems[0].labels
    metrics = results.metrics[results.metrics["labels"] == labels]
    rows = own(metrics, "test")
    means = over_seeds(rows, ["system", "geometry"]).set_index("system", drop=False)
    cells = rows.sort_values("seed").groupby("system")["cell"].agg(list)
    base = next(one for one in systems if one.system == reference)
    changes = {one.system: list_changes(one.comparable, base.comparable) for one in systems}
    changes |= {one.name: one.words for one in list_ensembles(metrics)}
    tuned = [one.system for one in systems if one.tuned_on]
    hits = {name: stack_queries(results, cells[name]) for name in changes}
    compared = []
    for name, words in changes.items():
        found = paired_difference(hits[name], hits[reference], classes)
        difference = None if name == reference else found
        verdict = found.verdict if difference else "reference"
        cost = costs.get(f"{labels}/{name}", Cost())
        scores = means.loc[name].to_dict()
        compared.append(Row(name, words, scores, difference, verdict, name in tuned, cost))
    return Table(labels, reference, compared)


def borrow_rows(table: Table, systems: Iterable[System], base: System) -> list[Row]:
    """Return the tuned rows of a table for another one, where they do not compare.

    Args:
        table: Whose rows are tuned.
        systems: Of that table.
        base: The reference of the other.
    """
    changes = {one.system: list_changes(one.comparable, base.comparable) for one in systems}
    return [
        replace(
            row,
            name=f"{row.name}, labels {table.labels}",
            changes=changes[row.name],
            difference=None,
            verdict="not comparable",
        )
        for row in table.tuned
    ]


def build_systems(
    results: Path,
    baselines: Path,
    settled: Path,
    data: Path,
    costs: Path,
    params: SystemsPageParams,
) -> dict[str, bytes]:
    """Build the page, its figure and its table.

    Args:
        results: The folder with results of the systems.
        baselines: The folder with those of the baselines.
        settled: The folder that stage settle wrote.
        data: The packed data set.
        costs: The table of bench.systems, which may be missing.
        params: What the settings of the systems are laid over, what they were tuned on, and the
            references.

    Returns:
        Content by file name.
    """
    packed, raw, found = open_packed(data), read_results(baselines), read_results(results)
    references = dict(params.systems.references)
    groups = {
        kind: [read_system(settled, name, kind) for name in names]
        for kind, names in list_systems(found.metrics).items()
    }
    known = read_costs(costs, f"given/{references['given']}")
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    tables = {
        kind: compare_table(found, group, references[kind], known, classes)
        for kind, group in groups.items()
    }
    below = average_baselines(raw, "test")
    page = render(
        "systems",
        dataset=packed.card["dataset"],
        tables=list(tables.values()),
        borrowed=list_borrowed(tables, groups, references),
        noise=find_noise(known, [one for group in groups.values() for one in group]),
        baselines=below.to_dict("records"),
        untrained={kind: find_untrained(table.means, below) for kind, table in tables.items()},
        ensembles=list_ensembles(found.metrics),
        trees=read_trees(results),
        budget=find_budget(packed, params, count_trained(found.metrics)),
        origin=describe_origin(packed, [found, raw], params),
        **describe_systems(tables, groups, packed, params),
    )
    return {
        "README.md": page,
        "cells.csv": write_csv(pd.concat([found.metrics, raw.metrics])),
        "figure.png": draw_systems(
            {kind: table.means for kind, table in tables.items()},
            below.set_index("geometry")[SCORE].to_dict(),
        ),
    }


def list_borrowed(
    tables: Mapping[str, Table],
    groups: Mapping[str, Sequence[System]],
    references: Mapping[str, str],
) -> list[Row]:
    """List the tuned rows with labels given, as the table with labels hidden shows them.

    Args:
        tables: By what training knew of labels.
        groups: The systems of each table.
        references: What the others are compared with, by table.
    """
    if "given" not in tables:
        return []
    bases = [one for one in groups.get("hidden", ()) if one.system == references["hidden"]]
    return [row for base in bases for row in borrow_rows(tables["given"], groups["given"], base)]


def describe_systems(
    tables: Mapping[str, Table],
    groups: Mapping[str, Sequence[System]],
    packed: Packed,
    params: SystemsPageParams,
) -> dict[str, Any]:
    """Return what remarks the page makes on systems, by the names in its template.

    Args:
        tables: By what training knew of labels.
        groups: The systems of each table.
        packed: The data set.
        params: The geometries, and what the systems were tuned on.
    """
    systems = [one for group in groups.values() for one in group]
    labels = packed.samples["label"].to_numpy()[packed.rows("train")]
    lower = tables["hidden"].list_names("lower") if "hidden" in tables else ()
    return {
        "known": {one.system: one for one in systems},
        "edges": find_edges(systems, params.study),
        "unit_fed": {
            one.system: tables[one.labels].means.loc[one.system, "rank_correlation"]
            for one in systems
            if is_unit_fed(one, params.geometry)
        },
        "corrections": list_corrections(groups.get("given", ())),
        "correcting": [RULES[rule].removeprefix("after ") for rule in CORRECTIONS],
        "priors": find_priors(groups.get("hidden", ()), labels, lower),
    }


def count_trained(metrics: pd.DataFrame) -> int:
    """Count the cells that were trained; ensembles are not."""
    trained = metrics[metrics["weight"].isna()] if "weight" in metrics else metrics
    return int(trained["cell"].nunique())
