"""What is to be said of rows besides their figures follows from these and their settings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.stages import PageParams
from geomix.report.remarks import (
    find_priors,
    find_untrained,
    is_unit_fed,
    list_corrections,
)
from tests.report.conftest import BALL, SPHERE, make_system

START = pd.DataFrame(
    {
        "geometry": ["raw pixels", "untrained network"],
        "recall_at_1": [0.9, 0.3],
        "spread_degrees": [9.0, 5.0],
    }
)


def means(**rows: tuple[float, float]) -> pd.DataFrame:
    """Return mean rows by test R@1 and spread in degrees."""
    columns = ["recall_at_1", "spread_degrees"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def test_rows_below_the_untrained_network_are_named_with_those_that_have_not_spread() -> None:
    rows = means(good=(0.7, 3.0), close=(0.7, 0.1), lost=(0.2, 40.0), stuck=(0.1, 0.2))
    found = find_untrained(rows, START, "recall_at_1")
    assert (found.score, found.degrees) == (0.3, 5.0)
    assert found.below == ["lost", "stuck"]
    assert found.still == {"stuck": 0.2}


def test_nothing_is_found_where_all_rows_have_trained() -> None:
    found = find_untrained(means(good=(0.7, 3.0), close=(0.8, 0.1)), START, "recall_at_1")
    assert (found.below, found.still) == ([], {})


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"rule": "hard", "beta": 1, "tau_plus": 0.1}, ["a"]),
        ({"rule": "hard", "beta": 1, "tau_plus": 0}, []),
        ({"rule": "cluster"}, ["a"]),
    ],
)
def test_rules_with_nothing_to_correct_are_named(rule: dict[str, Any], found: list[str]) -> None:
    assert list_corrections([make_system("a", negatives=rule), make_system("b")]) == found


def test_priors_are_compared_with_the_share_of_other_images_of_the_class() -> None:
    classes = np.repeat(np.arange(100), 3)
    share = np.mean([(classes == one).sum() - 1 for one in classes]) / 299
    rules = {
        "high": {"rule": "debiased", "tau_plus": 0.1},
        "also": {"rule": "positive_unlabelled", "prior": 0.2},
        "low": {"rule": "false_negative_elimination", "prior": 0.01},
        "none": {"rule": "uniform"},
    }
    systems = [make_system(name, negatives=rule) for name, rule in rules.items()]
    found = find_priors(systems, classes, ["also", "low"])
    assert found.share == pytest.approx(share)
    assert found.high == {"high": 0.1, "also": 0.2}
    assert found.lowered == ["also"]


@pytest.mark.parametrize(
    ("spaces", "fed"),
    [
        ({"cosine": SPHERE, "distance": BALL | {"normalize": True}}, True),
        ({"cosine": SPHERE, "distance": BALL}, False),
        ({"first": BALL | {"normalize": True}, "second": BALL}, False),
        ({"cosine": SPHERE}, False),
    ],
)
def test_balls_that_are_all_fed_with_unit_vectors_are_found(spaces: Any, fed: bool) -> None:
    own = make_system("a", geometry="mine")
    assert is_unit_fed(replace(own, settings={"geometry": {"mine": spaces}}), {}) is fed


def test_a_geometry_of_params_is_looked_up(params: PageParams) -> None:
    assert not is_unit_fed(make_system("a", geometry="hyperbolic"), params.geometry)
