"""Lineages: both directions apart, and no credit for what needs neither curvature nor a query."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import PageParams
from geomix.config.studies import Study
from geomix.config.tuning import Tuning
from geomix.report.budget import WHOLE, find_budget
from geomix.report.lineage import (
    LineageFindings,
    build_lineage,
    find_lineages,
    list_beaten,
    write_summary,
)
from tests.conftest import ROOT
from tests.report.made_lineages import BEST, REACHED, TAUS, make_baselines, make_results
from tests.report.made_winners import tuned_study


@pytest.fixture(scope="module")
def study() -> Study:
    """Return a study on lineages."""
    run = {"geometries": list(REACHED), "seeds": ["0-2"]}
    pinned = {"relevance": "lineage", "curvature": 1, "lam": 1}
    return Study.model_validate({"run": run, "over": {"tau": TAUS}, "pinned": pinned})


@pytest.fixture(scope="module")
def lineage_params(study: Study) -> PageParams:
    """Return what trained the cells."""
    return load(PageParams, study.pinned, path=ROOT / "params.yaml")


Find = Callable[..., LineageFindings]


@pytest.fixture(scope="module")
def find(study: Study, lineage_params: PageParams) -> Find:
    """Return what finds what a study found, with other figures for some geometries."""

    def find(**reached: tuple[float, float]) -> LineageFindings:
        results = make_results(REACHED | reached)
        return find_lineages("lineage", study, results, make_baselines(), lineage_params.geometry)

    return find


def test_val_chooses_and_the_head_is_searched_in_its_own_similarity(find: Find) -> None:
    found = find()
    assert {row["tau"] for row in found.chosen.values()} == {BEST}
    assert found.chosen["dot"]["leaf_ancestors"] == pytest.approx(0.872)
    assert found.chosen["dot"]["leaf_ancestors_sd"] == pytest.approx(0.00872)
    assert found.val["dot"] == pytest.approx((0.872 + 0.603) / 2)
    kinds = [row["kind"] for row in found.chosen.values()]
    assert kinds == ["cosine", "flat", "inner", "curved", "curved"]
    assert list(found.baselines) == [
        "raw vectors",
        "untrained network",
        "ranking by depth",
        "ranking by descendants",
    ]
    assert found.baselines["untrained network"]["inner_leaves"] == pytest.approx(0.42)


def test_curvature_is_compared_with_the_best_without_it_in_each_direction(find: Find) -> None:
    found = find()
    assert found.best == "hyperbolic_free"
    up, down = found.comparisons
    assert (up.rival["geometry"], up.wins) == ("dot", False)
    assert (down.rival["geometry"], down.wins) == ("euclidean", False)
    assert {key: row["geometry"] for key, row in found.leaders.items()} == {
        "leaf_ancestors": "dot",
        "inner_leaves": "euclidean",
    }
    assert [one.wins for one in find(hyperbolic_free=(0.9, 0.61)).comparisons] == [True, False]
    without = find(dot=(0.1, 0.1), hyperbolic_free=(0.58, 0.61)).comparisons[0]
    assert (without.rival["geometry"], without.wins) == ("ranking by descendants", False)


def test_means_within_one_standard_deviation_are_called_close(find: Find) -> None:
    assert [one.close for one in find(hyperbolic_free=(0.87, 0.61)).comparisons] == [True, False]


def test_a_free_norm_is_credited_beyond_constant_rankings_alone(find: Find) -> None:
    found = find()
    assert found.constant["geometry"] == "ranking by descendants"
    assert found.list_free(True) == ["dot", "hyperbolic_free"]
    assert found.list_free(False) == ["flat_free"]  # all points of the other ball are clipped
    assert found.list_use("forced") == ["hyperbolic"]
    assert found.list_use("used") == ["hyperbolic_free"]


def test_training_failed_where_both_baselines_are_not_beaten_in_any_direction(find: Find) -> None:
    low = dict.fromkeys(REACHED, (0.055, 0.5))
    assert find(**low).failed
    assert not find(**low | {"dot": (0.06, 0.5)}).failed
    assert not find(**low | {"dot": (0.05, 0.6)}).failed


@pytest.fixture
def build(
    study: Study, lineage_params: PageParams, kept_packed: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, bytes]]:
    """Return what builds the page, with other figures for some geometries."""

    def build(
        winners: Tuning | None = None,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda metrics: metrics,
        **reached: tuple[float, float],
    ) -> dict[str, bytes]:
        taus = [BEST] if winners else TAUS
        made = {"cells": make_results(REACHED | reached, taus), "baselines": make_baselines()}
        tables = {name: replace(one, metrics=change(one.metrics)) for name, one in made.items()}
        monkeypatch.setattr("geomix.report.lineage.read_results", lambda path: tables[path.name])
        folders = Path("cells"), Path("baselines"), kept_packed
        return build_lineage("tune", winners or study, *folders, lineage_params)

    return build


def first_sentence(page: str) -> str:
    """Return the first sentence below the title."""
    return next(line for line in page.splitlines()[1:] if line).replace("*", "")


def test_the_page_answers_first(build: Callable[..., dict[str, bytes]]) -> None:
    files = build()
    page = files["README.md"].decode()
    assert set(files) == {"README.md", "figure.png", "summary.csv", "cells.csv"}
    assert first_sentence(page) == (
        "On patterns, curved hyperbolic_free leads in neither direction: 81.2 % against 87.2 of dot"
        " (leaf to ancestors), 61.0 % against 73.9 of euclidean (inner node to leaves)."
    )
    assert "nan" not in page.partition("<details>")[0]
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7
    targets = {target for target in re.findall(r"\]\(([^)]*)\)", page) if "docs/" not in target}
    assert targets == {"figure.png", "summary.csv", "cells.csv"}
    assert "dot and hyperbolic_free are above, flat_free is not." in page
    assert "In hyperbolic, **curvature could not act**" in page


def test_a_page_of_winners_shows_each_geometry_once(
    build: Callable[..., dict[str, bytes]],
) -> None:
    files = build(tuned_study(list(REACHED)))
    page = files["README.md"].decode()
    assert page.startswith("# patterns, tuned: euclidean, flat_free, dot, hyperbolic and hyp")
    assert first_sentence(page).startswith(
        "All metrics of the geometries, each at its best settings"
    )
    for words in (
        "leads in",
        "Results at every value",
        "chosen on val)",
        "Held fixed",
        "were tried",
        "nan",
    ):
        assert words not in page.partition("<details>")[0]
    assert len([line for line in page.splitlines() if line.startswith("| dot ")]) == 5
    assert "settings of its own, chosen on val" in page
    targets = {target for target in re.findall(r"\]\(([^)]*)\)", page) if ".." in target}
    verdict, search = "../tune/README.md", "../tune_search/README.md"
    assert {verdict, search} == {target for target in targets if "docs/" not in target}


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        ({"hyperbolic_free": (0.9, 0.61)}, "leads in one direction only: "),
        ({"hyperbolic_free": (0.9, 0.8)}, "leads in both directions: "),
        ({"dot": (0.1, 0.1), "hyperbolic_free": (0.58, 0.61)}, "59.5 of ranking by descendants"),
        (dict.fromkeys(REACHED, (0.055, 0.5)), "Training failed on patterns: in neither direction"),
    ],
)
def test_the_first_sentence_is_short_whatever_was_found(
    build: Callable[..., dict[str, bytes]], reached: dict[str, tuple[float, float]], said: str
) -> None:
    sentence = first_sentence(build(**reached)["README.md"].decode())
    assert said in sentence
    assert len(sentence.split()) <= 30


def test_a_page_of_one_seed_has_no_spread_over_seeds(
    build: Callable[..., dict[str, bytes]],
) -> None:
    several = build()["README.md"].decode()
    page = build(change=lambda metrics: metrics[metrics["seed"] == 0])["README.md"].decode()
    assert (
        "± is one standard deviation over seeds; no difference on this page is tested." in several
    )
    assert "Test, mean ± standard deviation over seeds; the first five in percent." in several
    assert "with bars of one standard deviation." in several
    text = re.sub(r"mean ± s\.d\. of points|\d\.\d{3} ± \d\.\d{3}", "", page)  # of radii
    text = text.partition("<details>")[0]
    assert not any(words in text for words in ("±", "standard deviation", "interval", "nan"))
    assert " No difference on this page is tested." in " ".join(text.split())


@pytest.mark.parametrize(
    ("direction", "words", "said"),
    [
        ("inner_leaves", "inner node to leaves", "81.2 % against 87.2 of dot (leaf to ancestors)."),
        ("leaf_ancestors", "leaf to ancestors", "70.0 % against 73.9 of euclidean (inner node to"),
    ],
)
def test_a_direction_without_queries_is_said_to_have_none(
    build: Callable[..., dict[str, bytes]], direction: str, words: str, said: str
) -> None:
    other = next(one for one in ("leaf_ancestors", "inner_leaves") if one != direction)

    def change(metrics: pd.DataFrame) -> pd.DataFrame:
        """Take a direction away; the mean of both is then that of the other."""
        return metrics.assign(**{direction: math.nan, "lineage_score": metrics[other]})

    page = build(change=change)["README.md"].decode().partition("<details>")[0]
    best = {
        "inner_leaves": "curved hyperbolic_free",
        "leaf_ancestors": "hyperbolic (curvature could not act)",
    }[direction]
    assert first_sentence(page).startswith(f"On patterns, {best} does not lead: {said}")
    assert "Not everything could be computed, and a dash stands where" in page
    assert f"- From {words}: no query of test has anything to find, and the mean of both" in page
    assert "nan" not in page


def test_a_metric_in_which_what_was_not_taught_leads_is_named(find: Find) -> None:
    found = find()
    rows = {row["geometry"]: row | {"h_ap": -1.0, "ndcg": -1.0} for row in found.untaught}
    next(iter(rows.values()))["h_ap"] = 2.0  # one is enough
    high = replace(found, baselines=found.baselines | rows)
    assert "H-AP" in list_beaten(high)
    assert "nDCG" not in list_beaten(high)


def test_a_study_without_a_ball_has_an_answer_too(
    study: Study, lineage_params: PageParams, find: Find
) -> None:
    found = find()
    flat = {name: row for name, row in found.chosen.items() if row["kind"] != "curved"}
    less = replace(found, chosen=flat)
    assert less.best == "dot"
    assert not less.comparisons


def test_the_summary_has_both_splits_of_every_value(find: Find) -> None:
    lines = write_summary(find()).decode().splitlines()
    assert len(lines) == 1 + 2 * len(REACHED) * len(TAUS)
    assert lines[0].startswith("split,geometry,tau,seeds,leaf_ancestors,inner_leaves,lineage_score")


def test_a_tree_is_one_batch_or_leaves_are_drawn(
    lineage_params: PageParams, kept_packed: Path, packed: Any
) -> None:
    found = find_budget(packed, lineage_params, 3, pinned={"epochs": 7})
    assert found is not None
    assert (found["batch"], found["steps"]) == ("all", 7)
    rows = pd.concat([packed.samples] * (WHOLE // len(packed.rows("train")) + 1))
    larger = replace(packed, samples=rows)
    found = find_budget(larger, lineage_params, 3, pinned={"epochs": 7})
    assert found is not None
    batch = lineage_params.batch.classes * lineage_params.batch.images
    assert found["batch"] == "lineage"
    assert found["steps"] == 7 * (len(larger.rows("train")) // batch)


def test_one_seed_has_no_bars(find: Find) -> None:
    found = find()
    row = found.chosen["dot"] | {"leaf_ancestors_sd": math.nan}
    alone = replace(found.comparisons[0], rival=row)
    assert not alone.close
    assert not np.isnan(alone.rival["inner_leaves_sd"])
