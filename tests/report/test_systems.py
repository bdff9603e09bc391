"""The page of the systems: each beside the reference of its labels, as results and settings say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import CellParams, SystemsPageParams
from geomix.data.packed import open_packed
from geomix.evaluate.ensembles import build_cell
from geomix.evaluate.score import read_cell, score_study
from geomix.files import write_json
from geomix.report.costs import Cost
from geomix.report.intervals import paired_difference
from geomix.report.results import Results, own, read_results, stack_queries
from geomix.report.settled import System, read_system
from geomix.report.systems import (
    Ensemble,
    Table,
    borrow_rows,
    build_systems,
    compare_table,
    list_ensembles,
    list_systems,
)
from tests.report.conftest import BALL, SEEDS, SPHERE, make_study, write_cell

UNIT = BALL | {"normalize": True}
ROWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "given/euclidean": ("euclidean", [SPHERE]),
    "given/ball_tuned": ("hyperbolic", [BALL]),
    "given/hypvit": ("hyperbolic", [BALL]),
    "given/hypmix": ("hypmix", [SPHERE, UNIT]),
    "hidden/infonce": ("euclidean", [SPHERE]),
    "hidden/hypvit": ("hyperbolic", [BALL]),
}
CURVED = {"tau": 0.2, "curvature": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {
    "given/ball_tuned": CURVED,
    "given/hypvit": CURVED,
    "given/hypmix": {
        "negatives": {"rule": "debiased", "tau_plus": 0.1},
        "geometry": {"hypmix": {"cosine": SPHERE, "distance": UNIT}},
    },
    "hidden/hypvit": CURVED,
}
CLAIM = {"data": "cub200", "score": 85.6, "vector": "head", "protocol": "one seed"}
REFERENCES = {"given": "euclidean", "hidden": "infonce"}
COSTS = {"given/hypvit": Cost(1.5, 2.0)}


def place(row: str, seed: int) -> str:
    """Return the place of a cell."""
    labels, name = row.split("/")
    return f"{name}-0-1/{labels}/{seed}"


def write_settled(folder: Path, root: Path) -> None:
    """Write what stage settle writes."""
    full = load(CellParams, path=root / "params.yaml").model_dump(exclude={"geometry"})
    for row, (geometry, _) in ROWS.items():
        labels, name = row.split("/")
        settings = SETTINGS.get(row, {})
        own = {key: value for key, value in settings.items() if key != "geometry"}
        words = {
            "about": f"About {name}.",
            "source": None,
            "published": [CLAIM] if name == "hypvit" else [],
            "tuned_on": "tau" if name == "ball_tuned" else None,
            "full": full | {"tau": 0.1, "labels": labels} | own,
        }
        facts = {"system": name, "labels": labels, "geometry": geometry, "settings": settings}
        for kind, content in (("settings", facts), ("words", words)):
            path = folder / kind / name / f"{labels}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Path:
    """Return a folder of results and settings; systems with a ball have less noise."""
    root = tmp_path_factory.mktemp("systems")
    packed, runs = open_packed(kept_packed), root / "runs"
    for row, (geometry, spaces) in ROWS.items():
        labels, name = row.split("/")
        noise = 2.7 if BALL in spaces else 3.5
        for seed in SEEDS:
            names = {"system": name, "labels": labels, "geometry": geometry, "seed": seed}
            cell = names | {"tau": 0.1, "curvature": 0.5, "lam": None}
            write_cell(runs / place(row, seed), packed, cell, spaces, noise)
    members = [
        (
            read_cell(runs, place("given/euclidean", seed)),
            read_cell(runs, place("given/hypvit", seed)),
        )
        for seed in SEEDS
    ]
    weights = {"similarities": 0.5, "features": 1}
    ensembles = [
        build_cell(kind, pair, weight) for kind, weight in weights.items() for pair in members
    ]
    cells = [place(row, seed) for row in ROWS for seed in SEEDS]
    score_study(runs, cells, packed, root / "results", "systems", ensembles)
    write_settled(root / "settled", Path(__file__).resolve().parents[2])
    return root


@pytest.fixture
def results(scored: Path) -> Results:
    """Return the results of the systems."""
    return read_results(scored / "results")


@pytest.fixture
def systems(scored: Path, results: Results) -> dict[str, list[System]]:
    """Return the settings of the systems."""
    return {
        labels: [read_system(scored / "settled", name, labels) for name in names]
        for labels, names in list_systems(results.metrics).items()
    }


@pytest.fixture
def classes(kept_packed: Path) -> np.ndarray:
    """Return the class of each test query."""
    packed = open_packed(kept_packed)
    labels: np.ndarray = packed.samples["label"].to_numpy()[packed.queries("test")]
    return labels


@pytest.fixture
def tables(
    results: Results, systems: dict[str, list[System]], classes: np.ndarray
) -> dict[str, Table]:
    """Return the tables of the page."""
    return {
        labels: compare_table(results, group, REFERENCES[labels], COSTS, classes)
        for labels, group in systems.items()
    }


@pytest.fixture
def params(root: Path) -> SystemsPageParams:
    """Return what the page asks params.yaml for."""
    return load(SystemsPageParams, path=root / "params.yaml")


def test_each_system_is_in_the_table_of_its_labels(tables: dict[str, Table]) -> None:
    ensembles = ["ensemble: similarities", "ensemble: features"]
    named = [row.name for row in tables["given"].rows]
    assert named == ["euclidean", "ball_tuned", "hypvit", "hypmix", *ensembles]
    assert [row.name for row in tables["hidden"].rows] == ["infonce", "hypvit"]


def test_scores_are_those_of_the_results(
    tables: dict[str, Table], results: Results, classes: np.ndarray
) -> None:
    for table in tables.values():
        key = f"{table.labels}/{table.reference}"
        base = stack_queries(results, [place(key, seed) for seed in SEEDS])
        for row in table.rows:
            rows = own(results.metrics, "test")
            rows = rows[(rows["system"] == row.name) & (rows["labels"] == table.labels)]
            assert row.score == pytest.approx(rows["recall_at_1"].mean())
            assert row.scores["map_at_r"] == pytest.approx(rows["map_at_r"].mean())
            assert row.scores["seeds"] == len(SEEDS)
            if row.name != table.reference:
                hits = stack_queries(results, list(rows["cell"]))
                difference = paired_difference(hits, base, classes)
                assert (row.difference, row.verdict) == (difference, difference.verdict)


def test_the_reference_is_not_compared_with_itself(tables: dict[str, Table]) -> None:
    for table in tables.values():
        base = table.base
        assert (base.verdict, base.difference, base.changes) == ("reference", None, "nothing")


def test_a_row_is_tuned_where_a_study_tuned_it_whatever_its_name(
    tables: dict[str, Table],
    systems: dict[str, list[System]],
    results: Results,
    classes: np.ndarray,
) -> None:
    assert [row.name for row in tables["given"].tuned] == ["ball_tuned"]
    untuned = [replace(one, tuned_on=None) for one in systems["given"]]
    assert not compare_table(results, untuned, "euclidean", {}, classes).tuned


def test_tuned_rows_are_not_compared_where_labels_are_hidden(
    tables: dict[str, Table], systems: dict[str, list[System]]
) -> None:
    (row,) = borrow_rows(tables["given"], systems["given"], systems["hidden"][0])
    assert row.name == "ball_tuned, labels given"
    assert (row.verdict, row.difference) == ("not comparable", None)
    assert row.changes == "geometry hyperbolic, tau 0.2, curvature 0.5, labels given"
    assert row.score == tables["given"].tuned[0].score


def test_changes_and_costs_stand_beside_the_scores(tables: dict[str, Table]) -> None:
    rows = {row.name: row for row in tables["given"].rows}
    assert rows["hypvit"].changes == "geometry hyperbolic, tau 0.2, curvature 0.5"
    assert rows["hypvit"].cost == Cost(1.5, 2.0)
    assert rows["ensemble: features"].changes.endswith("weight 1 of the second: hypvit alone")


def test_the_best_row_is_seen_beside_the_best_tuned_one(tables: dict[str, Table]) -> None:
    given, hidden = tables["given"], tables["hidden"]
    assert given.best.score == max(row.score for row in given.rows)
    assert given.rival is not None
    assert given.rival.name == ("ball_tuned" if given.best.name != "ball_tuned" else "euclidean")
    assert hidden.rival == hidden.base
    verdicts = {row.verdict for row in given.rows}
    assert sum(len(given.list_names(verdict)) for verdict in verdicts) == len(given.rows)


def test_systems_below_a_baseline_are_counted_without_ensembles(tables: dict[str, Table]) -> None:
    given = tables["given"]
    assert [row.name for row in given.others] == ["ball_tuned", "hypvit", "hypmix"]
    scores = sorted(row.score for row in [given.base, *given.others])
    assert given.count_below({"recall_at_1": scores[0]}, "recall_at_1") == 0
    assert given.count_below({"recall_at_1": scores[-1] + 1}, "recall_at_1") == 4


def test_ensembles_are_the_rows_with_a_weight(results: Results) -> None:
    similarities, features = list_ensembles(results.metrics)
    assert similarities == Ensemble("ensemble: similarities", ["euclidean", "hypvit"], 0.5)
    assert (similarities.alone, features.alone) == (None, "hypvit")
    assert replace(features, weight=0.0).alone == "euclidean"
    without = results.metrics.drop(columns="weight")
    assert list_ensembles(without) == []


def test_the_page_is_whole(
    scored: Path, kept_results: Path, kept_packed: Path, params: SystemsPageParams, tmp_path: Path
) -> None:
    grid = make_study(["hyperbolic"], "0-1", tau=[0.05, 0.1, 0.2])
    params = params.model_copy(update={"study": {"tau": grid}})
    folders = scored / "results", kept_results / "baselines", scored / "settled", kept_packed
    files = build_systems(*folders, tmp_path / "none.csv", params)
    assert set(files) == {"README.md", "cells.csv", "figure.png"}
    page = files["README.md"].decode()
    assert "nan" not in page.partition("<details>")[0]
    first = page.splitlines()[2]
    assert first.startswith("**On patterns with labels given, `")
    assert len(first.split()) <= 30
    targets = {part.split(")")[0] for part in page.split("](")[1:]}
    assert targets == {"figure.png", "cells.csv", "../tau/README.md", "#what-the-rows-are"}
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7
    assert "| ball_tuned, labels given " in page
    assert "The tau of `ball_tuned` (0.2) lies **at an edge of the grid**" in page
    assert "Its rank correlation with cosine is 1.0000, as it must be." in page
    assert "Here that is `hypmix`." in page
    assert "| 85.6 " in page
    assert "raw pixels score higher than" in page
    costs = tmp_path / "costs.csv"
    measures = {"ratio": [1.234], "extra_mib": [1.5], "baseline_extra_mib": [0.25]}
    pd.DataFrame({"implementation": ["given/hypvit"]} | measures).to_csv(costs)
    assert "| 1.23 " in build_systems(*folders, costs, params)["README.md"].decode()
