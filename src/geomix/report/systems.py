"""The page of the literature's systems, side by side, with labels given and hidden."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import TrainParams
from geomix.config.studies import References, Study
from geomix.config.systems import Published
from geomix.data.packed import Packed, open_packed
from geomix.files import read_json
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
    find_unit_fed,
    find_untrained,
    list_corrections,
    list_spaces,
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
from geomix.report.text import number
from geomix.report.trees import read_trees

LABELS = ("given", "hidden")
OPTIONAL = ("curvature", "lam")  # settings that only some geometries have
KNOBS = ("tau", *OPTIONAL)  # settings that tables name first


@dataclass(frozen=True)
class System:
    """What a row was trained with, as stage settle wrote it.

    Attributes:
        system: Its name.
        labels: What training knew of labels.
        geometry: Its name.
        about: One sentence.
        source: The paper or code.
        published: Scores.
        tuned_on: The study that chose some of its settings.
        settings: What it lays over params.yaml.
        full: What these settings come to, but for the spaces of the geometry.
    """

    system: str
    labels: str
    geometry: str
    about: str
    source: str | None
    published: list[Published]
    tuned_on: str | None
    settings: dict[str, Any]
    full: dict[str, Any]

    @property
    def comparable(self) -> dict[str, Any]:
        """The settings in which systems are compared, in the order of tables."""
        keys = sorted(self.full, key=lambda key: (key == "labels", key not in KNOBS))
        unsaid = {key for key in OPTIONAL if key not in self.settings}
        full = {key: None if key in unsaid else self.full[key] for key in keys}
        return {"geometry": self.geometry, **full}

    @property
    def spaces(self) -> dict[str, dict[str, Any]]:
        """The spaces of the geometry, where the system has its own."""
        found: dict[str, dict[str, Any]] = self.settings.get("geometry", {}).get(self.geometry, {})
        return found


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
        borrowed: Tuned rows of the other table, which do not compare.
    """

    labels: str
    reference: str
    rows: list[Row]
    borrowed: list[Row]

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

    def count(self, verdict: str) -> int:
        """Count the rows of a verdict."""
        return sum(row.verdict == verdict for row in self.rows)


@dataclass(frozen=True)
class Ensemble:
    """Two systems fused at search, and the weight of the second that validation chose."""

    name: str
    members: list[str]
    weight: float

    @property
    def words(self) -> str:
        """What it is made of."""
        kind, (first, second) = self.name.removeprefix("ensemble: "), self.members
        made = f"{kind} of {first} and {second}, weight {number(self.weight)} of the second"
        return f"{made}: {self.alone} alone" if self.alone else made

    @property
    def alone(self) -> str | None:
        """The one member that is in it, where the weight leaves only one."""
        return self.members[round(self.weight)] if self.weight in (0, 1) else None


def read_system(settled: Path, name: str, labels: str) -> System:
    """Read what a system was trained with.

    Args:
        settled: The folder that stage settle wrote.
        name: Of the system.
        labels: What training knew of labels.

    Raises:
        InputError: If a file is missing or no JSON.
    """
    content: dict[str, Any] = {}
    for folder in ("settings", "words"):
        content |= read_json(settled / folder / name / f"{labels}.json")
    content["published"] = [Published.model_validate(one) for one in content["published"]]
    return System(**{field.name: content[field.name] for field in fields(System)})


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


def compare_systems(
    results: Results,
    systems: Mapping[str, System],
    ensembles: list[Ensemble],
    reference: str,
    costs: Mapping[str, Cost],
    classes: np.ndarray,
) -> list[Row]:
    """Compare systems of one kind of labels with their reference.

    Args:
        results: Of all systems.
        systems: By name.
        ensembles: Further rows.
        reference: The name of one of the systems.
        costs: By `<labels>/<name>`.
        classes: The class of each test query, (Q,).
    """
    labels = systems[reference].labels
    rows = own(results.metrics, "test")
    rows = rows[rows["labels"] == labels]
    means = over_seeds(rows, ["system", "geometry"]).set_index("system", drop=False)
    cells = rows.sort_values("seed").groupby("system")["cell"].agg(list)
    base = stack_queries(results, cells[reference])

    def compare(name: str, changes: str, tuned: bool) -> Row:
        """Return the row of a system."""
        difference = paired_difference(stack_queries(results, cells[name]), base, classes)
        row = Row(
            name,
            changes,
            means.loc[name].to_dict(),
            difference,
            difference.verdict,
            tuned,
            costs.get(f"{labels}/{name}", Cost()),
        )
        return row if name != reference else replace(row, difference=None, verdict="reference")

    compared = systems[reference].comparable
    return [
        *(
            compare(name, list_changes(one.comparable, compared), one.tuned_on is not None)
            for name, one in systems.items()
        ),
        *(compare(one.name, one.words, False) for one in ensembles),
    ]


def build_systems(
    results: Path,
    baselines: Path,
    settled: Path,
    data: Path,
    costs: Path,
    params: TrainParams,
    studies: Mapping[str, Study],
    references: References,
) -> dict[str, bytes]:
    """Build the page, its figure and its table.

    Args:
        results: The folder with results of the systems.
        baselines: The folder with those of the baselines.
        settled: The folder that stage settle wrote.
        data: The packed data set.
        costs: The table of bench.systems, which may be missing.
        params: What the settings of the systems are laid over.
        studies: Those that systems were tuned on.
        references: The systems that others are compared with.

    Returns:
        Content by file name.
    """
    packed, raw, study = open_packed(data), read_results(baselines), read_results(results)
    systems = {
        labels: {name: read_system(settled, name, labels) for name in names}
        for labels, names in list_systems(study.metrics).items()
    }
    known = read_costs(costs, f"given/{references.given}")
    tables = compare_tables(study, systems, packed, known, references)
    listed = {name: one for part in systems.values() for name, one in part.items()}
    below = average_baselines(raw, "test")
    page = render(
        "systems",
        dataset=packed.card["dataset"],
        tables=tables,
        known=listed,
        published={name: one.published for name, one in listed.items() if one.published},
        tuned=[name for name, one in listed.items() if one.tuned_on],
        baselines=below.to_dict("records"),
        ensembles=list_ensembles(study.metrics),
        untrained={table.labels: find_untrained(table.means, below) for table in tables},
        correcting=[RULES[rule].removeprefix("after ") for rule in CORRECTIONS],
        trees=read_trees(results),
        budget=find_budget(packed, params, count_trained(study.metrics)),
        origin=describe_origin(packed, [study, raw], params),
        **find_remarks(tables, systems, packed, known, params, studies),
    )
    return {
        "README.md": page,
        "cells.csv": write_csv(pd.concat([study.metrics, raw.metrics])),
        "figure.png": draw_systems(
            {table.labels: table.means for table in tables},
            below.set_index("geometry")[SCORE].to_dict(),
        ),
    }


def find_remarks(
    tables: list[Table],
    systems: Mapping[str, Mapping[str, System]],
    packed: Packed,
    costs: Mapping[str, Cost],
    params: TrainParams,
    studies: Mapping[str, Study],
) -> dict[str, Any]:
    """Find what is to be said of single rows, by its name in the template.

    Args:
        tables: Of the page.
        systems: By labels and name.
        packed: The data set.
        costs: By `<labels>/<name>`.
        params: For the spaces of the geometries.
        studies: Those that systems were tuned on.
    """
    every = {
        f"{one.labels}/{one.system}": one for part in systems.values() for one in part.values()
    }
    scores = {f"{table.labels}/{row.name}": row.scores for table in tables for row in table.rows}
    shared = {name: list_spaces(one) for name, one in params.geometry.items()}
    spaces = {name: one.spaces or shared[one.geometry] for name, one in every.items()}
    tuned = {
        one.system: (one.tuned_on, one.full) for one in every.values() if one.tuned_on is not None
    }
    hidden = systems.get("hidden", {})
    lower = [
        row.name
        for table in tables
        for row in table.rows
        if table.labels == "hidden" and row.verdict == "lower"
    ]
    classes = packed.samples["label"].to_numpy()[packed.rows("train")]
    return {
        "unit_fed": {
            every[name].system: scores[name]["rank_correlation"] for name in find_unit_fed(spaces)
        },
        "edges": find_edges(tuned, studies),
        "corrections": list_corrections(
            {name: one.full for name, one in systems.get("given", {}).items()}
        ),
        "priors": find_priors({name: one.full for name, one in hidden.items()}, classes, lower),
        "noise": find_noise(costs, {name: one.comparable for name, one in every.items()}),
    }


def count_trained(metrics: pd.DataFrame) -> int:
    """Count the cells that were trained; ensembles are not."""
    trained = metrics[metrics["weight"].isna()] if "weight" in metrics else metrics
    return int(trained["cell"].nunique())


def compare_tables(
    results: Results,
    systems: Mapping[str, Mapping[str, System]],
    packed: Packed,
    costs: Mapping[str, Cost],
    references: References,
) -> list[Table]:
    """Compare all systems with the reference of their table.

    Args:
        results: Of the systems.
        systems: By labels and name.
        packed: The data set.
        costs: By `<labels>/<name>`.
        references: Of each table.
    """
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    tables: list[Table] = []
    for labels, group in systems.items():
        ensembles = list_ensembles(results.metrics) if labels == "given" else []
        reference = getattr(references, labels)
        rows = compare_systems(results, group, ensembles, reference, costs, classes)
        compared = group[reference].comparable
        borrowed = [
            replace(
                row,
                name=f"{row.name}, labels given",
                changes=list_changes(systems["given"][row.name].comparable, compared),
                difference=None,
                verdict="not comparable",
            )
            for table in tables
            for row in table.tuned
        ]
        tables.append(Table(labels, reference, rows, borrowed))
    return tables
