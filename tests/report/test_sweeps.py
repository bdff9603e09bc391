"""Pages of the sweeps: validation chooses, edges are told, the effect of curvature is put in words."""

import math
from pathlib import Path

import pandas as pd
import pytest

from geomix.report.studies import read_study
from geomix.report.sweeps import (
    chosen_cells,
    curvature_page,
    edge_sentences,
    effect_of_curvature,
    effect_on_rankings,
    temperature_page,
)


def test_the_temperature_that_val_chose_is_told_and_bold(results: Path) -> None:
    files, chosen = temperature_page(read_study(results / "tau"), read_study(results / "baselines"))
    assert sorted(files) == ["temperature.csv", "temperature.md", "temperature.png"]
    page = files["temperature.md"].decode()
    assert dict(zip(chosen["geometry"], chosen["tau"], strict=True)) == dict.fromkeys(
        ["euclidean", "flat", "hyperbolic", "hybrid"], 0.1
    )
    assert "Inside the grid: euclidean 0.1, flat 0.1, hyperbolic 0.1 and hybrid 0.1." in page
    assert "| raw pixels" in page
    assert page.count("| **hybrid**") == 1
    assert "edge" not in page


def test_the_csv_holds_both_splits_of_every_value(results: Path) -> None:
    files, _ = temperature_page(read_study(results / "tau"), read_study(results / "baselines"))
    (results / "t.csv").write_bytes(files["temperature.csv"])
    table = pd.read_csv(results / "t.csv")
    assert len(table) == 2 * 4 * 3
    assert (table["seeds"] == 2).all()


def test_cells_of_the_choice_are_in_the_order_of_their_seeds(results: Path) -> None:
    study = read_study(results / "tau")
    cells = chosen_cells(study, pd.DataFrame({"geometry": ["flat", "hybrid"], "tau": [0.1, 0.2]}))
    assert cells == {
        "flat": ["flat-0.1-0", "flat-0.1-1"],
        "hybrid": ["hybrid-0.2-0", "hybrid-0.2-1"],
    }


def test_the_curvature_page_says_what_curvature_did_and_that_one_seed_proves_nothing(
    results: Path,
) -> None:
    files, effects, choice = curvature_page(
        read_study(results / "curvature"), read_study(results / "baselines")
    )
    page = files["curvature.md"].decode()
    assert effects[0] in page
    assert effects[0].startswith(
        "**hyperbolic**: curvature did not act on any ranking"
    )  # all points are clipped
    assert "in the flat limit (rank correlation 1.0000)" in effects[0]
    assert choice in page
    assert "One seed: differences between curvatures are not tested here." in page
    assert "**At an edge of the grid" in page


@pytest.mark.parametrize(
    ("correlation", "curved", "words"),
    [
        (0.9991, True, "curvature did not act on any ranking"),
        (0.999, True, "radii differ and rankings depart from cosine's"),
        (1.0, False, "no curvature"),
    ],
)
def test_above_the_limit_curvature_did_not_act(
    correlation: float, curved: bool, words: str
) -> None:
    assert effect_on_rankings(correlation, curved).startswith(words)


def test_edges_are_told_by_geometry_with_the_value_next_to_them() -> None:
    rows = [
        ("a", 0.1, False, 0.1, 0.5),
        ("b", 3, True, 1, 0.6),
        ("c", 0, False, 0, 0.5),
        ("d", 1, True, 1, 0.5),
    ]
    chosen = pd.DataFrame(
        rows, columns=["geometry", "curvature", "at_edge", "inner", "inner_score"]
    )
    chosen = chosen.assign(score=0.75, score_sd=0.01, inner_score_sd=math.nan)
    assert edge_sentences(chosen, "curvature") == (
        "Inside the grid: a 0.1. The flat limit itself: c. **At an edge of the grid, so that the best value may lie beyond "
        "it**: b 3 (val R@1 75.0 ± 1.0, 60.0 at 1) and d 1."
    )


def test_a_geometry_without_curvature_is_not_said_to_be_curved() -> None:
    rows = pd.DataFrame(
        {
            "geometry": ["flat"],
            "curvature": [0.1],
            "curved": [0.0],
            "rank_correlation": [1.0],
            "recall_at_1": [0.5],
        }
    )
    assert effect_of_curvature(rows) == "**flat**: no curvature at any value of the sweep."
