"""The page of the systems: what results, settings and searches say, whole, the same bytes twice."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import SystemsPageParams
from geomix.data.packed import open_packed
from geomix.report.costs import Cost
from geomix.report.systems import (
    Systems,
    Tables,
    build_systems,
    compare_systems,
    count_trained,
    list_systems,
    read_systems,
)
from tests.conftest import ROOT
from tests.report.conftest import write_one_seed
from tests.report.made_systems import SYSTEMS, TUNED, make_searches, write_systems

COSTS = {"given/hypvit": Cost(1.5, 2.0)}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Path:
    """Return the folder of the made-up systems."""
    return write_systems(tmp_path_factory.mktemp("systems"), open_packed(kept_packed), ROOT)


@pytest.fixture(scope="module")
def params() -> SystemsPageParams:
    """Return what the page asks params.yaml for."""
    return load(SystemsPageParams, path=ROOT / "params.yaml")


@pytest.fixture(scope="module")
def found(scored: Path, kept_results: Path) -> Systems:
    """Return what is known of the systems."""
    baselines = kept_results / "baselines"
    return read_systems(scored / "results", baselines, scored / "settled", "map_at_r")


@pytest.fixture(scope="module")
def tables(found: Systems, kept_packed: Path, params: SystemsPageParams) -> Tables:
    """Return what the page shows."""
    return compare_systems(found, open_packed(kept_packed), COSTS, params)


def test_each_system_is_in_the_tables_of_its_labels(tables: Tables, found: Systems) -> None:
    shown = {
        f"{labels}/{row.system.system}" for labels, rows in tables.published.items() for row in rows
    }
    assert shown == set(SYSTEMS)
    tuned = {f"{labels}/{row.name}" for labels, rows in tables.tuned.items() for row in rows}
    assert tuned == set(TUNED)
    assert list_systems(found.tuned.metrics)["hidden"] == ["hypvit", "infonce"]


def test_a_published_score_stands_beside_the_tuned_one(tables: Tables, found: Systems) -> None:
    metrics = found.published.metrics
    rows = metrics[(metrics["split"] == "test") & (metrics["similarity"] == "own")]
    scores = rows.set_index("cell")["map_at_r"]
    by_name = {row.name: row for row in tables.tuned["given"]}
    assert by_name["hypvit"].published == pytest.approx(scores["hypvit-0/given/0"])


def test_changes_and_costs_stand_beside_the_published_scores(tables: Tables) -> None:
    rows = {row.system.system: row for row in tables.published["given"]}
    assert rows["hypvit"].changes == "geometry hyperbolic, tau 0.2, curvature 0.5"
    assert rows["hypvit"].cost == Cost(1.5, 2.0)
    assert rows["euclidean"].changes == "nothing"


def test_rows_that_are_compared_stand_by_their_difference(tables: Tables) -> None:
    named = [(row.name, row.system.labels) for row in tables.compared]
    assert named[0] == ("hypvit", "given")
    assert len(named) == 4
    means = [row.reference.gap.mean for row in tables.compared if row.reference]
    assert means == sorted(means, reverse=True)


def test_only_tuned_rows_are_called_below_the_untrained_network(tables: Tables) -> None:
    assert tables.untrained["given"].below == ["proxies"]
    assert tables.untrained["hidden"].below == []


def test_cells_are_counted_without_ensembles(found: Systems) -> None:
    assert count_trained(found, make_searches()) == len(SYSTEMS) + 2 * len(TUNED) + 2 * len(TUNED)


def test_the_page_is_whole(
    scored: Path, kept_results: Path, kept_packed: Path, params: SystemsPageParams, tmp_path: Path
) -> None:
    folders = scored / "results", kept_results / "baselines", scored / "settled", kept_packed
    files = build_systems(*folders, tmp_path / "none.csv", make_searches(), params)
    assert set(files) == {"README.md", "cells.csv", "trials.csv", "figure.png"}
    page = files["README.md"].decode()
    assert "nan" not in page.partition("<details>")[0]
    first = page.splitlines()[2]
    assert first.startswith("**On patterns, ")
    assert "`hypvit`" in first
    assert first.endswith("**")
    assert len(first.split()) <= 30
    targets = {part.split(")")[0] for part in page.split("](")[1:]}
    assert targets == {"figure.png", "cells.csv", "trials.csv"}
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7
    assert "- `proxies` is tuned otherwise, with epochs 6, beside `euclidean_long`" in page
    failed = "- `proxies`: the paper trained with More. The search that failed, by MAP@R on val: "
    assert f"{failed}tau 0.1: 50.0 %; tau 0.9 could not be trained." in page
    assert "| 1 of 2 " in page
    assert "| 85.6 " in page
    assert "Its rank correlation with cosine is 1.0000, as it must be." in page
    assert files == build_systems(*folders, tmp_path / "none.csv", make_searches(), params)
    costs = tmp_path / "costs.csv"
    measures = {"ratio": [1.234], "extra_mib": [1.5], "baseline_extra_mib": [0.25]}
    pd.DataFrame({"implementation": ["given/hypvit"]} | measures).to_csv(costs)
    page = build_systems(*folders, costs, make_searches(), params)["README.md"].decode()
    assert "| 1.23 " in page


def test_a_page_of_one_seed_has_no_interval_and_no_spread(
    scored: Path, results: Path, kept_packed: Path, params: SystemsPageParams, tmp_path: Path
) -> None:
    one = write_one_seed(Path(shutil.copytree(scored / "results", tmp_path / "one")))
    none = tmp_path / "none.csv"
    pages = []
    for folder in (scored / "results", one):
        folders = folder, results / "baselines", scored / "settled", kept_packed
        files = build_systems(*folders, none, make_searches(), params)
        pages.append(" ".join(files["README.md"].decode().partition("<details>")[0].split()))
        write_one_seed(results)
    explained = (
        "95 %",
        "brackets hold",
        "± is one standard deviation over seeds",
        "Filled markers",
    )
    for words in explained:
        assert words in pages[0]
        assert words not in pages[1]
    assert "One seed does not tell how far another would differ, so nothing is tested." in pages[1]
    assert "Large markers are one seed, small ones one seed as published." in pages[1]
    assert "nan" not in pages[1]
