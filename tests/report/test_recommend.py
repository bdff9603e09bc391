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


def make_summary(*tasks: dict[str, str], names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Return a summary in which questions have these words; the others are not decidable."""
    return {
        "dataset": "patterns",
        "margin": 1,
        "tasks": [
            {
                "name": f"task {number}",
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
    ("words", "geometry", "why", "question"),
    [
        ({}, "euclidean", "default", ""),
        ({"all": "equal within the margin"}, "euclidean", "default", ""),
        ({"all": "hurts"}, "euclidean", "default", ""),
        ({"curvature": "could not act", "hybrid": "not used"}, "euclidean", "default", ""),
        ({"curvature": "helps"}, "hyperbolic_free", "helps", "curvature"),
        ({"curvature": "not used", "norm": "helps"}, "dot", "helps", "norm"),
        # 55.0 on val is more than a point above 53.0
        ({"kernel": "helps", "radius": "helps"}, "flat_free", "helps", "radius"),
        ({"all": "not calibrated"}, None, "not calibrated", ""),
        ({"all": "training failed"}, None, "training failed", ""),
        ({"all": "one seed, not tested"}, None, "one seed, not tested", ""),
        ({"all": "not asked"}, None, "not asked", ""),
        ({"all": "training failed", "hybrid": "not asked"}, None, "training failed", ""),
    ],
)
def test_the_rule_holds(
    words: dict[str, str], geometry: str | None, why: str, question: str
) -> None:
    [found] = recommend(make_summary(words), {})
    assert (found.geometry, found.why, found.question) == (geometry, why, question)
    if geometry:
        assert found.settings == {"tau": VAL[geometry]}


def test_each_task_has_its_own() -> None:
    tasks = [{"norm": "helps"}, {"norm": "hurts", "kernel": "helps"}, {"all": "training failed"}]
    found = recommend(make_summary(*tasks), {})
    assert [(one.task, one.geometry) for one in found] == [
        ("task 0", "dot"),
        ("task 1", "chord"),
        ("task 2", None),
    ]


def test_of_those_within_the_margin_on_val_the_cheapest_is_taken() -> None:
    summary = make_summary({"kernel": "helps", "ball's kernel": "helps"})
    assert recommend(summary, {})[0].geometry == "power"
    assert recommend(summary, time_losses(chord=1, power=2))[0].geometry == "chord"
    assert recommend(summary, time_losses(chord=2, power=1))[0].geometry == "power"
    assert recommend(summary, time_losses(chord=1))[0].geometry == "chord"
    summary["winners"]["chord"]["val"] = 0.515
    assert recommend(summary, time_losses(chord=1, power=2))[0].geometry == "power"


def test_what_helps_but_is_below_the_cosine_on_val_is_not_taken() -> None:
    summary = make_summary({"norm": "helps"})
    summary["winners"]["dot"]["val"] = 0.49
    assert recommend(summary, {})[0].geometry == "euclidean"


def test_without_the_cosine_nothing_is_recommended() -> None:
    assert recommend(make_summary({"radius": "helps"}, names=NAMES[1:]), {})[0].geometry is None


def test_costs_are_those_of_the_loss() -> None:
    speeds = time_losses(euclidean=2, dot=3)
    assert recommend(make_summary({"norm": "helps"}), speeds)[0].time == pytest.approx(1.5)
    assert recommend(make_summary({}), speeds)[0].cheapest
    assert not recommend(make_summary({}), time_losses(euclidean=2, dot=1))[0].cheapest
    assert not recommend(make_summary({}), {})[0].cheapest
    assert math.isnan(recommend(make_summary({"norm": "helps"}), {})[0].time)


@pytest.mark.parametrize(
    ("tasks", "speeds", "sentence"),
    [
        ([{}], {}, "On patterns, use the cosine (`euclidean`) at tau 0.5: no other geometry is"
            " surely better."),
        ([{}, {}], {"euclidean": 1.0}, "On patterns, use the cosine (`euclidean`) at tau 0.5: no"
            " other geometry is surely better in either direction, and no other loss takes less"
            " time."),
        ([{}, {"norm": "helps"}], {"euclidean": 1.0, "dot": 1.25}, "On patterns, from task 0, use"
            " the cosine (`euclidean`) at tau 0.5: no other geometry is surely better, and no other"
            " loss takes less time. From task 1, use `dot` at tau 0.52: it beats euclidean (cosine)"
            " (question norm), and its loss takes 1.25 times as long as the cosine's."),
        ([{"norm": "helps"}] * 2, {}, "On patterns, use `dot` at tau 0.52: it beats euclidean"
            " (cosine) in both directions (question norm)."),
        ([{"curvature": "helps"}], {}, "On patterns, use `hyperbolic_free` at tau 0.56: it beats"
            " each of its 5 controls (question curvature)."),
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
