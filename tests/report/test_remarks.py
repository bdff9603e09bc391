"""What is said of rows besides their figures, from their figures."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.report.remarks import (
    say_best,
    say_budget_of_ensembles,
    say_corrections,
    say_edges,
    say_ensembles,
    say_priors,
    say_untrained,
)
from geomix.report.studies import Study


def study(**cells: tuple[float, float]) -> Study:
    """Give a study of systems or baselines by test R@1 and spread in degrees."""
    rows = [
        {
            "cell": name,
            "system": name,
            "geometry": name,
            "recall_at_1": score,
            "map_at_r": 0.1,
            "spread_degrees": degrees,
        }
        for name, (score, degrees) in cells.items()
    ]
    metrics = pd.DataFrame(rows).assign(
        split="test", vector="head", similarity="own", reciprocal_rank=0.1, r_precision=0.1
    )
    return Study(metrics, {}, [])


START = study(untrained=(0.3, 5.0))


def test_the_highest_row_of_each_table_is_named_beside_its_references() -> None:
    scores = {
        "plain": "46.2 ± 6.5",
        "better": "73.6 ± 1.2",
        "flat_tuned": "72.5 ± 1.4",
        "worse": "9.1 ± 0.2",
    }
    verdicts = {"plain": "reference", "better": "higher", "flat_tuned": "higher", "worse": "lower"}
    rows = [
        {"system": name, "test R@1, %": score, "verdict": verdicts[name]}
        for name, score in scores.items()
    ]
    said = say_best({"given": rows, "hidden": [rows[0], rows[3]]})
    assert said.startswith(
        "**With labels given `better` is highest in test R@1 (percent), 73.6 ± 1.2, beside 46.2 ± 6.5 of `plain` and 72.5 ± 1.4 "
        "of `flat_tuned`; of the other 3 rows, higher than `plain` beyond the noise: 2, lower: 1."
    )
    assert (
        "With labels hidden `plain` is highest in test R@1 (percent), 46.2 ± 6.5, beside 46.2 ± 6.5 of `plain`"
        in said
    )


def test_rows_below_the_untrained_network_are_named_with_those_that_have_not_spread() -> None:
    said = say_untrained(
        study(good=(0.7, 3.0), close=(0.7, 0.1), lost=(0.2, 40.0), stuck=(0.1, 0.2)), START
    )
    assert said.startswith(
        "Test R@1 is below that of the untrained network (30.0 %) in `lost` and `stuck`. In `stuck` the"
    )
    assert (
        "they point 0.2° from their mean direction, where those of the untrained network point 5.0° from theirs"
        in said
    )
    assert said.endswith(
        "What these rows show is what equal budgets leave to a method, not what the method can reach."
    )


def test_nothing_is_said_where_all_rows_have_trained() -> None:
    assert say_untrained(study(good=(0.7, 3.0), best=(0.8, 0.6), close=(0.8, 0.1)), START) == ""


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"rule": "hard", "beta": 1, "tau_plus": 0.1}, "that is a."),
        ({"rule": "hard", "beta": 1, "tau_plus": 0}, "No row here is one of them."),
        ({"rule": "cluster"}, "that is a."),
    ],
)
def test_rules_with_nothing_to_correct_are_named(rule: dict[str, Any], named: str) -> None:
    assert say_corrections({"a": {"negatives": rule}, "b": {}}).endswith(named)


def test_priors_are_compared_with_the_share_of_other_images_of_the_class() -> None:
    classes = np.repeat(np.arange(100), 3)
    share = np.mean([(classes == one).sum() - 1 for one in classes]) / 299
    rules = {
        "high": {"rule": "debiased", "tau_plus": 0.1},
        "also": {"rule": "positive_unlabelled", "prior": 0.2},
        "low": {"rule": "false_negative_elimination", "prior": 0.01},
        "none": {"rule": "uniform"},
    }
    settings = {name: {"negatives": rule} for name, rule in rules.items()}
    said = say_priors(settings, classes, ["also", "low"])
    assert f"a share of about {share:.2g} is" in said
    assert "The priors of `high` (0.1) and `also` (0.2) are" in said
    assert said.endswith("It may be why `also` is lower.")
    assert say_priors({"low": settings["low"], "none": settings["none"]}, classes, ["low"]) == ""


def test_a_tau_at_an_edge_of_its_grid_is_named() -> None:
    assert say_edges({"a": 0.1, "b": 0.2, "c": 0.4}, [0.4, 0.2, 0.1]).startswith(
        "The tau of `a` (0.1) and `c` (0.4) is **at an"
    )
    assert say_edges({"b": 0.2}, [0.1, 0.2, 0.4]) == ""


@pytest.mark.parametrize(
    ("weight", "alone"), [(0, ": euclidean alone"), (0.4, ""), (1, ": hypvit alone")]
)
def test_an_ensemble_of_one_is_called_that(weight: float, alone: str) -> None:
    name = "ensemble: features"
    said = say_ensembles({name: weight}, ["euclidean", "hypvit"])
    assert said == {name: f"features of euclidean and hypvit, weight {weight} of the second{alone}"}
    assert ("twice the budget" in say_budget_of_ensembles({name: weight})) == (not alone)
    assert ("no ensemble" in say_budget_of_ensembles({name: weight})) == bool(alone)
