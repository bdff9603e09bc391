"""Findings: what a study found follows from its shape and its results, not from its name."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.data.packed import open_packed
from geomix.report.difference import Difference, paired_difference
from geomix.report.findings import Findings, _answer, find, find_difference
from geomix.report.results import Results, own, read_results, stack_queries
from tests.report.conftest import STUDIES, make_study

HIGHER = Difference(0.05, 0.02, 0.08, (0.04, 0.06))
SAME = Difference(0.001, -0.01, 0.01, (0.0, 0.002))


def test_a_geometry_is_what_its_points_show(found: dict[str, Findings]) -> None:
    kinds = {name: row["kind"] for name, row in found["compare"].chosen.items()}
    assert kinds == {
        "euclidean": "cosine",
        "flat": "chord",  # all points are clipped
        "hyperbolic": "curved",
        "hybrid": "curved",
    }
    assert found["compare"].list_use("forced") == ["hyperbolic"]  # all points are clipped
    assert found["compare"].list_use("used") == ["hybrid"]


def test_training_failed_where_no_geometry_beats_both_baselines(
    found: dict[str, Findings],
) -> None:
    one = found["compare"]
    best = max(row["recall_at_1"] for row in one.chosen.values())
    baselines = one.baselines["test"].assign(recall_at_1=[best, best - 0.1])
    assert replace(one, baselines={"test": baselines}).failed
    baselines = baselines.assign(recall_at_1=best - 0.01)
    assert not replace(one, baselines={"test": baselines}).failed


def test_each_geometry_stands_at_the_values_that_val_chose(found: dict[str, Findings]) -> None:
    tau = found["tau"]
    assert {name: row["tau"] for name, row in tau.chosen.items()} == dict.fromkeys(tau.chosen, 0.1)
    assert tau.cells["flat"] == ["flat-0.1-0-1/0", "flat-0.1-0-1/1"]
    rows = own(tau.results.metrics, "test").set_index("cell").loc[tau.cells["flat"]]
    assert tau.chosen["flat"]["recall_at_1"] == pytest.approx(rows["recall_at_1"].mean())
    grid = found["grid"].chosen["hyperbolic"]
    assert (grid["tau"], grid["curvature"]) == (0.1, 0.5)
    assert found["grid"].cells["hyperbolic"][0] == "hyperbolic-0.1-0.5-0-1/0"


def test_differences_are_paired_over_queries_and_seeds(
    found: dict[str, Findings], kept_packed: Path
) -> None:
    tau, packed = found["tau"], open_packed(kept_packed)
    assert len(tau.differences) == 6
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    ball, flat = (stack_queries(tau.results, tau.cells[name]) for name in ("hyperbolic", "flat"))
    assert tau.differences["hyperbolic", "flat"] == paired_difference(ball, flat, classes)


def test_the_control_is_the_one_nearest_to_the_ball_of_those_that_val_finds_equal(
    found: dict[str, Findings], kept_results: Path, kept_packed: Path, baselines: Results
) -> None:
    answer = found["tau"].answer
    assert (answer.kind, answer.first, answer.second) == ("control", "hybrid", "flat")
    assert answer.controls == ("flat", "euclidean")
    assert answer.difference == found["tau"].differences["hybrid", "flat"]
    results = read_results(kept_results / "compare")
    without = results.metrics[results.metrics["geometry"] != "flat"]
    less = find(
        "less",
        make_study(["euclidean", "hyperbolic", "hybrid"], "0-1"),
        replace(results, metrics=without),
        baselines,
        open_packed(kept_packed),
    )
    assert (less.answer.kind, less.answer.second) == ("control", "euclidean")
    assert less.answer.controls == ("euclidean",)


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_chooses_the_control_and_test_does_not(
    kept_results: Path, kept_packed: Path, baselines: Results, split: str
) -> None:
    results = read_results(kept_results / "compare")
    better = (results.metrics["split"] == split) & (results.metrics["geometry"] == "euclidean")
    results.metrics.loc[better, "recall_at_1"] = 1.1
    args = (results, baselines, open_packed(kept_packed))
    answer = find("compare", STUDIES["compare"], *args).answer
    assert answer.second == {"val": "euclidean", "test": "flat"}[split]


def test_the_answer_is_about_curvature_that_acted_if_some_did(found: dict[str, Findings]) -> None:
    one = found["compare"]
    assert {name: one.chosen[name]["use"] for name in ("hyperbolic", "hybrid")} == {
        "hyperbolic": "forced",
        "hybrid": "used",
    }
    val = one.summaries["val"].set_index("geometry")["recall_at_1"]
    assert _answer(one.chosen, val, one.differences, {}).first == "hybrid"
    none = {name: row | {"use": "forced"} for name, row in one.chosen.items()}
    assert _answer(none, val, one.differences, {}).first == "hyperbolic"


def test_without_a_control_the_flat_limit_is_one(found: dict[str, Findings]) -> None:
    curvature = found["curvature"]
    assert (curvature.answer.kind, curvature.answer.first) == ("limit", "hyperbolic")
    difference = curvature.limits["hyperbolic"]
    assert difference is not None
    rows = own(curvature.results.metrics, "test").set_index("curvature")["recall_at_1"]
    assert difference.mean == pytest.approx(rows[0.5] - rows[0])
    assert difference.verdict == "one seed, not tested"
    assert curvature.limit_rows["hyperbolic"]["recall_at_1"] == rows[0]


def test_a_flat_limit_that_val_chose_is_no_difference(
    kept_results: Path, kept_packed: Path, baselines: Results
) -> None:
    results = read_results(kept_results / "curvature")
    best = (results.metrics["split"] == "val") & (results.metrics["curvature"] == 0)
    results.metrics.loc[best, "recall_at_1"] = 1.1
    args = (results, baselines, open_packed(kept_packed))
    chosen = find("curvature", STUDIES["curvature"], *args)
    assert chosen.limits == {"hyperbolic": None}
    assert chosen.answer.difference is None
    assert chosen.places[0].kind == "limit"


def test_a_geometry_whose_points_coincide_has_a_curvature_and_no_correlation(
    kept_results: Path, kept_packed: Path, baselines: Results
) -> None:
    results = read_results(kept_results / "tau")
    one = results.metrics["geometry"] == "hybrid"
    results.metrics.loc[one, "rank_correlation"] = math.nan
    args = (results, baselines, open_packed(kept_packed))
    (bend,) = (
        bend for bend in find("tau", STUDIES["tau"], *args).bends if bend.geometry == "hybrid"
    )
    assert bend.curved
    assert math.isnan(bend.correlation)
    assert not bend.acted
    assert bend.highest > bend.lowest


def test_only_several_seeds_have_standard_deviations_and_intervals(
    found: dict[str, Findings],
) -> None:
    assert (found["tau"].tested, found["tau"].repeated, found["tau"].seeds) == (True, True, 2)
    one = found["curvature"]  # of one seed, beside two of the untrained network
    assert (one.tested, one.repeated, one.seeds) == (False, True, 1)
    alone = {split: rows.assign(recall_at_1_sd=math.nan) for split, rows in one.baselines.items()}
    assert not replace(one, baselines=alone).repeated


def test_where_nothing_bends_the_best_two_are_compared(found: dict[str, Findings]) -> None:
    rate = found["rate"]
    scores = {name: row["recall_at_1"] for name, row in rate.chosen.items()}
    best = max(scores, key=lambda name: scores[name])
    assert (rate.answer.kind, rate.answer.first) == ("best", best)
    assert not rate.limits
    assert [bend.curved for bend in rate.bends] == [False, False]


def test_bends_are_over_all_values_with_the_limit_apart(found: dict[str, Findings]) -> None:
    (bend,) = found["curvature"].bends
    assert bend.curved
    assert not bend.acted
    assert bend.at == {"curvature": 0.5}
    assert bend.limit is not None
    by_geometry = {one.geometry: one for one in found["tau"].bends}
    rows = own(found["tau"].results.metrics, "test")
    hybrid = rows[rows["geometry"] == "hybrid"].groupby("tau")
    assert by_geometry["hybrid"].acted
    assert by_geometry["hybrid"].highest == pytest.approx(hybrid["recall_at_1"].mean().max())
    assert by_geometry["hybrid"].correlation == pytest.approx(
        hybrid["rank_correlation"].mean().min()
    )
    assert by_geometry["flat"].limit is None


def test_steps_compare_with_the_control_at_the_same_value(found: dict[str, Findings]) -> None:
    steps = found["tau"].steps.set_index(["geometry", "tau"])
    assert list(steps.index.get_level_values(0).unique()) == ["hyperbolic", "hybrid"]
    assert set(steps["control"]) == {"flat"}
    at_chosen, ends = steps.loc["hyperbolic", 0.1], ["mean", "low", "high"]
    difference = found["tau"].differences["hyperbolic", "flat"]
    assert list(at_chosen[ends]) == [difference.mean, difference.low, difference.high]
    limit = found["curvature"].limits["hyperbolic"]
    assert limit is not None
    assert list(found["curvature"].steps["mean"]) == [limit.mean]
    assert set(found["rate"].steps["control"]) == {"euclidean"}
    assert found["grid"].steps.empty


def test_gains_are_over_the_raw_input(found: dict[str, Findings]) -> None:
    compare = found["compare"]
    raw = compare.baselines["test"].set_index("geometry").loc["raw pixels", "recall_at_1"]
    assert compare.raw == "raw pixels"
    assert compare.gains["flat"] == pytest.approx(compare.chosen["flat"]["recall_at_1"] - raw)
    lower = {name: row | {"recall_at_1": 0.0} for name, row in compare.chosen.items()}
    assert replace(compare, chosen=lower).lost == list(lower)


@pytest.mark.parametrize(
    ("between", "over_cosine", "shared"),
    [(SAME, HIGHER, True), (HIGHER, HIGHER, False), (SAME, SAME, False)],
)
def test_a_gain_that_flat_shares_needs_no_curvature(
    found: dict[str, Findings], between: Difference, over_cosine: Difference, shared: bool
) -> None:
    differences: Any = {
        ("hybrid", "flat"): between,
        ("hybrid", "euclidean"): over_cosine,
        ("flat", "euclidean"): over_cosine,
    }
    assert replace(found["tau"], differences=differences).shared_gain is shared


def test_a_difference_can_be_turned_round() -> None:
    turned = find_difference({("a", "b"): HIGHER}, "b", "a")
    assert turned == Difference(-0.05, -0.08, -0.02, (-0.04, -0.06))
    assert turned.verdict == "lower"


def test_settings_that_all_cells_share_are_told(found: dict[str, Findings]) -> None:
    assert found["tau"].fixed == {"curvature": 0.5, "lam": 1.0}
    assert found["grid"].fixed == {"lam": 1.0}


def test_a_geometry_without_a_radius_has_none(found: dict[str, Findings]) -> None:
    assert math.isnan(found["compare"].chosen["euclidean"]["radius_mean"])
    clipped = found["compare"].chosen["hyperbolic"]
    assert (clipped["clipped_share"], clipped["radius_mean"]) == (1, pytest.approx(2.3))


def test_the_answer_does_not_depend_on_the_order_of_rows(
    kept_results: Path, kept_packed: Path, baselines: Results, found: dict[str, Findings]
) -> None:
    results = read_results(kept_results / "tau")
    order = np.random.default_rng(0).permutation(len(results.metrics))
    shuffled = results.metrics.iloc[order].sort_values("geometry", kind="stable")
    names = pd.CategoricalIndex(shuffled["geometry"], list(STUDIES["tau"].geometries))
    shuffled = shuffled.iloc[names.codes.argsort(kind="stable")].reset_index(drop=True)
    args = (replace(results, metrics=shuffled), baselines, open_packed(kept_packed))
    again = find("tau", STUDIES["tau"], *args)
    assert again.cells == found["tau"].cells
    assert again.chosen["hybrid"]["recall_at_1"] == found["tau"].chosen["hybrid"]["recall_at_1"]
    assert again.differences == found["tau"].differences
