"""The first page: its first sentence is the answer, in words that the intervals allow."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from geomix.report.index import answer, at_chosen_tau, explanation, index_page
from geomix.report.intervals import Difference
from geomix.report.studies import read_study

HIGHER, SAME = (
    Difference(0.05, 0.02, 0.08, (0.04, 0.06)),
    Difference(0.001, -0.01, 0.01, (0.0, 0.002)),
)
LOWER, ONE_SEED = (
    Difference(-0.05, -0.08, -0.02, (-0.05, -0.05)),
    Difference(0.05, math.nan, math.nan, (0.05,)),
)


def chosen(correlation: float = 0.9999) -> pd.DataFrame:
    columns = [
        "geometry",
        "tau",
        "curvature",
        "recall_at_1",
        "recall_at_1_sd",
        "seeds",
        "curved",
        "rank_correlation",
    ]
    rows = [
        ("euclidean", 0.025, 0.3, 0.58, 0.02, 2, 0.0, 1.0),
        ("flat", 0.1, 0.3, 0.62, 0.01, 2, 0.0, 1.0),
        ("hyperbolic", 0.2, 0.3, 0.621, 0.01, 2, 1.0, correlation),
        ("hybrid", 0.2, 0.3, 0.61, 0.01, 2, 1.0, 0.9951),
    ]
    return pd.DataFrame(rows, columns=columns)


def differences(flat: Difference, cosine: Difference = HIGHER) -> dict[tuple[str, str], Difference]:
    return {
        ("hyperbolic", "flat"): flat,
        ("hyperbolic", "euclidean"): cosine,
        ("flat", "euclidean"): cosine,
    }


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (HIGHER, "hyperbolic space did better than flat"),
        (LOWER, "hyperbolic space did worse than flat"),
        (SAME, "no effect of hyperbolic space was found"),
        (ONE_SEED, "nothing can be said of hyperbolic space yet (one seed)"),
    ],
)
def test_the_answer_says_what_the_interval_allows(difference: Difference, words: str) -> None:
    assert answer("glyphs", chosen(), differences(difference)).startswith(
        f"**On glyphs at curvature 0.3, {words}: "
    )


def test_the_answer_has_every_figure() -> None:
    sentence = answer("glyphs", chosen(), differences(SAME))
    for part in (
        "62.1 ± 1.0 (tau 0.2) for hyperbolic and",
        "62.0 ± 1.0 (tau 0.1) for flat",
        "a difference of +0.1 [-1.0, +1.0]",
        "beside euclidean 58.0 ± 2.0 (tau 0.025) and hybrid 61.0 ± 1.0 (tau 0.2)",
        "in hyperbolic curvature did not act on any ranking, only on the loss (rank correlation with cosine above 0.999)",
        "rankings depart from cosine's in hybrid (0.9951)",
        "(2 seeds; mean ± s.d.",
    ):
        assert part in sentence


def test_curvature_that_acts_is_not_said_to_be_without_effect() -> None:
    assert "did not act" not in answer("glyphs", chosen(0.98), differences(SAME))


def test_a_gain_that_flat_shares_needs_no_curvature() -> None:
    assert explanation(differences(SAME)).endswith(
        "so no curved space is needed to explain the gain."
    )
    assert "hyperbolic minus euclidean +5.0 [+2.0, +8.0] (higher)" in explanation(differences(SAME))
    assert "explain" not in explanation(differences(HIGHER))
    assert "explain" not in explanation(differences(SAME, SAME))


def test_the_page_and_the_metrics_agree_with_the_results(results: Path) -> None:
    compare, sweep, baselines = (
        read_study(results / name) for name in ("compare", "tau", "baselines")
    )
    cells = {
        name: [f"{name}-0.1-0", f"{name}-0.1-1"]
        for name in ("euclidean", "flat", "hyperbolic", "hybrid")
    }
    files = index_page(
        "patterns",
        compare,
        sweep,
        cells,
        baselines,
        differences(SAME),
        ["**hyperbolic**: effect."],
        "Inside the grid: all.",
        "One seed.",
    )
    metrics = json.loads(files["metrics.json"])
    rows = at_chosen_tau(sweep, cells, "test").set_index("geometry")
    assert metrics["hybrid"]["val_chosen_tau"] == 0.1
    assert metrics["hybrid"]["test_recall_at_1_at_chosen_tau"] == pytest.approx(
        rows.loc["hybrid", "recall_at_1"], abs=1e-6
    )
    page = files["README.md"].decode()
    assert page.splitlines()[2].startswith(
        "**On patterns at curvature 0.5, no effect of hyperbolic space was found"
    )
    assert "| raw pixels" in page
    assert "- **hyperbolic**: effect." in page
    assert "Inside the grid: all." in page
    assert "Curvatures that validation chose. One seed." in page
