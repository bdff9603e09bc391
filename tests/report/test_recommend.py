"""What to use: the rule of the recommendation, one case for each of its lines."""

import math
from typing import Any

import pytest

from geomix.report.questions import QUESTIONS
from geomix.report.recommend import recommend
from geomix.report.render import _environment
from geomix.report.speeds import Speed
from tests.report.made_winners import NAMES

VAL = dict(zip(NAMES, (0.50, 0.53, 0.532, 0.55, 0.52, 0.56, 0.54, 0.57), strict=True))


GAIN = {"mean": 0.05, "low": 0.02, "high": 0.08}


def make_summary(*tasks: dict[str, str], names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Return a summary in which questions have these words, and geometries are surely better.

    A task has `all`, a word for every question, or names of geometries with `better`. Questions are
    else not decidable, and geometries not better.
    """
    return {
        "dataset": "patterns",
        "margin": 1,
        "tasks": [
            {
                "name": f"task {number}",
                "over_cosine": {
                    name: GAIN | {"sure": words.get(name) == "better"} for name in names[1:]
                },
                "verdicts": {
                    one.name: {
                        "word": words.get(one.name, words.get("all", "not decidable")),
                        "setting": one.setting,
                        "controls": list(one.controls),
                    }
                    for one in QUESTIONS
                },
            }
            for number, words in enumerate(tasks)
        ],
        "winners": {name: {"val": VAL[name], "settings": {"tau": VAL[name]}} for name in names},
    }


def time_losses(**seconds: float) -> dict[str, Speed]:
    return {name: Speed(loss=one) for name, one in seconds.items()}


@pytest.mark.parametrize(
    ("words", "geometry", "why"),
    [
        ({}, "euclidean", "default"),
        ({"all": "equal within the margin"}, "euclidean", "default"),
        ({"curvature": "could not act", "hybrid": "not used"}, "euclidean", "default"),
        ({"curvature": "helps"}, "euclidean", "default"),  # not surely better than the cosine
        ({"hyperbolic_free": "better"}, "hyperbolic_free", "better"),
        ({"curvature": "not used", "dot": "better"}, "dot", "better"),
        # 55.0 on val is more than a point above 53.0
        ({"chord": "better", "flat_free": "better"}, "flat_free", "better"),
        ({"all": "not calibrated", "dot": "better"}, None, "not calibrated"),
        ({"all": "training failed"}, None, "training failed"),
        ({"all": "one seed, not tested"}, None, "one seed, not tested"),
        ({"all": "not asked"}, None, "not asked"),
        ({"all": "training failed", "hybrid": "not asked"}, None, "training failed"),
    ],
)
def test_the_rule_holds(words: dict[str, str], geometry: str | None, why: str) -> None:
    [found] = recommend(make_summary(words), {})
    assert (found.geometry, found.why) == (geometry, why)
    if geometry:
        assert found.settings == {"tau": VAL[geometry]}
    assert (found.gain is not None) == (why == "better")


def test_each_task_has_its_own() -> None:
    tasks = [{"dot": "better"}, {"chord": "better"}, {"all": "training failed"}]
    found = recommend(make_summary(*tasks), {})
    assert [(one.task, one.geometry) for one in found] == [
        ("task 0", "dot"),
        ("task 1", "chord"),
        ("task 2", None),
    ]


def test_of_those_within_the_margin_on_val_the_cheapest_is_taken() -> None:
    summary = make_summary({"chord": "better", "power": "better"})
    assert recommend(summary, {})[0].geometry == "power"
    assert recommend(summary, time_losses(chord=1, power=2))[0].geometry == "chord"
    assert recommend(summary, time_losses(chord=2, power=1))[0].geometry == "power"
    assert recommend(summary, time_losses(chord=1))[0].geometry == "chord"
    summary["winners"]["chord"]["val"] = 0.515
    assert recommend(summary, time_losses(chord=1, power=2))[0].geometry == "power"


def test_what_is_better_but_below_the_cosine_on_val_is_not_taken() -> None:
    summary = make_summary({"dot": "better"})
    summary["winners"]["dot"]["val"] = 0.49
    assert recommend(summary, {})[0].geometry == "euclidean"


def test_without_the_cosine_nothing_is_recommended() -> None:
    assert recommend(make_summary({"dot": "better"}, names=NAMES[1:]), {})[0].geometry is None


def test_costs_are_those_of_the_loss() -> None:
    speeds = time_losses(euclidean=2, dot=3)
    assert recommend(make_summary({"dot": "better"}), speeds)[0].time == pytest.approx(1.5)
    assert recommend(make_summary({}), speeds)[0].cheapest
    assert not recommend(make_summary({}), time_losses(euclidean=2, dot=1))[0].cheapest
    assert not recommend(make_summary({}), {})[0].cheapest
    assert math.isnan(recommend(make_summary({"dot": "better"}), {})[0].time)


@pytest.mark.parametrize(
    ("tasks", "speeds", "sentence"),
    [
        ([{}], {}, "On patterns, use the cosine (`euclidean`) at tau 0.5: no other geometry is"
            " surely better."),
        ([{}, {}], {"euclidean": 1.0}, "On patterns, use the cosine (`euclidean`) at tau 0.5: no"
            " other geometry is surely better in any task, and no other loss takes less time."),
        ([{}, {"dot": "better"}], {"euclidean": 1.0, "dot": 1.25}, "On patterns, from task 0, use"
            " the cosine (`euclidean`) at tau 0.5: no other geometry is surely better, and no other"
            " loss takes less time. From task 1, use `dot` at tau 0.52: it gains +5.0 [+2.0, +8.0]"
            " points over the cosine, and its loss takes 1.25 times as long as the cosine's."),
        ([{"dot": "better"}] * 2, {}, "On patterns, use `dot` at tau 0.52: it is surely better than"
            " the cosine in each task."),
        ([{"all": "one seed, not tested"}], {}, "On patterns, nothing says which geometry to use:"
            " one seed of each geometry gives no interval."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_rule_found(
    tasks: list[dict[str, str]], speeds: dict[str, float], sentence: str
) -> None:
    summary = make_summary(*tasks)
    words: Any = _environment().get_template("verdict_words.md.j2").module
    assert words.use(summary, recommend(summary, time_losses(**speeds))).strip() == sentence
