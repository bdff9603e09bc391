"""What is tuned: ranges and values, for each geometry those of the keys that it has."""

from typing import Any

import pytest

from geomix.config.read import validate
from geomix.config.stages import find_dataset
from geomix.config.tuning import ROUNDS, Among, Range
from geomix.errors import InputError
from tests.conftest import set_key

SEARCH = {
    "tau": {"low": 0.01, "high": 1, "log": True},
    "curvature": {"low": 0.1, "high": 10},
    "lam": {"low": 0.1, "high": 10},
    "head": {"norm": {"among": ["none", "batch"]}},
    "optim": {"learning_rate": {"low": 0.001, "high": 0.01}},
    "geometry": {"hyperbolic_free": {"distance": {"clip_radius": {"among": [None, 2.3]}}}},
}
SHARED = ["tau", "head.norm", "optim.learning_rate"]
CLIP = "geometry.hyperbolic_free.distance.clip_radius"


@pytest.mark.parametrize(
    ("geometry", "keys"),
    [
        ("euclidean", SHARED),
        ("chord", SHARED),
        ("dot", SHARED),
        ("flat_free", SHARED),
        ("power", ["tau", "curvature", "head.norm", "optim.learning_rate"]),
        ("hyperbolic_free", ["tau", "curvature", "head.norm", "optim.learning_rate", CLIP]),
        ("hybrid_flat", ["tau", "lam", "head.norm", "optim.learning_rate"]),
        ("hybrid_free", ["tau", "curvature", "lam", "head.norm", "optim.learning_rate"]),
    ],
)
def test_a_geometry_tunes_the_keys_that_it_has(
    raw: dict[str, Any], geometry: str, keys: list[str]
) -> None:
    set_key(raw, "tune.search", SEARCH)
    params = validate(raw)
    assert list(params.tune.ranges(geometry, params.geometry[geometry])) == keys


def test_a_ball_of_its_own_curvature_does_not_tune_it(raw: dict[str, Any]) -> None:
    set_key(raw, "geometry.hyperbolic_free.distance.curvature", 0.5)
    params = validate(raw)
    assert "curvature" not in params.tune.ranges(
        "hyperbolic_free", params.geometry["hyperbolic_free"]
    )


def test_what_is_searched_is_typed_and_keeps_its_order_and_its_numbers(raw: dict[str, Any]) -> None:
    set_key(raw, "tune.search", SEARCH)
    searched = validate(raw).tune.searched
    assert searched["tau"] == Range(low=0.01, high=1, log=True)
    assert isinstance(searched["tau"], Range)
    assert type(searched["tau"].high) is int
    assert searched[CLIP] == Among(among=[None, 2.3])
    assert list(searched) == ["tau", "curvature", "lam", "head.norm", "optim.learning_rate", CLIP]


def test_the_winners_of_each_data_set_are_a_study_with_a_budget_of_its_own(
    raw: dict[str, Any],
) -> None:
    set_key(raw, "tune.budget.omniglot", {"trials": 4, "folds": 2, "seeds": ["7-8"], "splits": []})
    tuned = validate(raw).tune
    for name in tuned.of.sets:
        study = tuned.winners(name)
        assert study.geometries == tuned.geometries
        assert study.axes == study.fixed == {}
        assert study.search == tuned.search
        assert study.trials == ROUNDS * tuned.budget[name].trials
    found = tuned.winners("omniglot")
    assert found.seeds == [7, 8]
    assert found.own == raw["tune"]["own"]["omniglot"]


def test_only_data_sets_that_are_tuned_are_found(raw: dict[str, Any]) -> None:
    tuned = validate(raw).tune
    assert find_dataset(tuned, "omniglot") == "omniglot"
    with pytest.raises(InputError, match="found cub200, expected one of tune.of.sets: glyphs, om"):
        find_dataset(tuned, "cub200")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "search.tau",
            {"low": 1, "high": 0.1},
            "search.tau: .* expected low below high, not 1 and",
        ),
        ("search.tau", {"low": 1, "high": 1}, "search.tau: found .*, expected low below high"),
        ("search.lam", {"low": 0, "high": 1, "log": True}, "search.lam: .* low above 0 as log is"),
        ("search.tau", {"low": 0.1}, "search.tau.high: found nothing, expected a value"),
        (
            "search.tau",
            {"low": 0.1, "high": "x"},
            "search.tau.high: found 'x', expected a valid nu",
        ),
        ("search.tau", {"low": 0.1, "high": 1, "step": 1}, "search.tau.step: found an unknown key"),
        ("search.tau", {"low": -1, "high": 1}, "search.tau: found -1, expected greater than 0"),
        ("search.tau", 0.1, "search.tau: found 0.1, expected a valid dictionary"),
        ("search.head.norm", {"among": ["none"]}, "search.head.norm.among: found .*at least 2"),
        ("search.head.norm", {"among": ["a", "b"]}, "search.head.norm: found 'a', expected 'none'"),
        (
            "search.head.norm",
            {"among": ["none", "none"]},
            "search.head.norm.among: .* each value once",
        ),
        (
            "search.optim",
            {"rate": {"low": 1, "high": 2}},
            "search.optim.rate: found an unknown key",
        ),
        ("over", {"tau": [1]}, "over: found an unknown key"),
        ("budget.glyphs.trials", 1, "budget.glyphs.trials: found 1, expected greater than or equ"),
        ("budget.glyphs.trials", 101, "budget.glyphs.trials: found 101, expected less than or eq"),
        ("budget.glyphs.folds", 0, "budget.glyphs.folds: found 0, expected greater than"),
        ("budget.glyphs.folds", [0], "budget.glyphs.folds: found .*, expected a valid integer"),
        ("budget.glyphs.seeds", [], "budget.glyphs.seeds: found .*, expected .*at least 1 item"),
        ("budget.glyphs.splits", [1, 1], "budget.glyphs.splits: found .*, expected each seed once"),
    ],
)
def test_a_bad_search_is_told_with_key_value_and_expectation(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    raw["tune"]["starts"] = {}  # of another search
    set_key(raw, f"tune.{key}", value)
    with pytest.raises(InputError, match=f"params.yaml: tune.{message}") as caught:
        validate(raw)
    assert len(str(caught.value).splitlines()) == 1


def test_a_search_of_an_unknown_geometry_is_refused(raw: dict[str, Any]) -> None:
    raw["tune"]["search"] = {
        **SEARCH,
        "geometry": {"round": {"distance": {"scale": {"low": 1, "high": 2}}}},
    }
    with pytest.raises(InputError, match="tune.search.geometry: found round, expected names under"):
        validate(raw)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("verdict.metric", "stress", "verdict.metric: found 'stress', expected 'map_at_r' or 'rec"),
        ("verdict.margin", 0, "verdict.margin: found 0, expected greater than 0"),
    ],
)
def test_a_bad_verdict_is_refused(raw: dict[str, Any], key: str, value: Any, message: str) -> None:
    set_key(raw, key, value)
    with pytest.raises(InputError, match=message):
        validate(raw)
