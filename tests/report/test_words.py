"""Sentences: the first says what the interval allows, in at most 30 words; edges are named."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jinja2.environment import TemplateModule

from geomix.report.choices import Place
from geomix.report.difference import Difference
from geomix.report.findings import Findings
from geomix.report.render import _environment

HIGHER = Difference(0.05, 0.02, 0.08, (0.04, 0.06))
LOWER = Difference(-0.05, -0.08, -0.02, (-0.05, -0.05))
SAME = Difference(0.001, -0.01, 0.01, (0.0, 0.002))
ONE_SEED = Difference(0.05, math.nan, math.nan, (0.05,))
ONE_CLASS = Difference(0.05, math.nan, math.nan, (0.04, 0.06))


@pytest.fixture
def words() -> TemplateModule:
    """Return the sentences that pages share."""
    return _environment().get_template("words.md.j2").module


def answer(words: Any, found: Findings, difference: Difference | None, **changes: Any) -> str:
    """Return the first sentence with another difference."""
    changed = replace(found.answer, difference=difference, **changes)
    sentence = str(words.answer("glyphs", replace(found, answer=changed)))
    assert len(sentence.split()) <= 30
    assert "  " not in sentence
    return sentence


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (HIGHER, "On glyphs, hybrid scores higher than flat, "),
        (LOWER, "On glyphs, hybrid scores lower than flat, "),
        (SAME, "On glyphs, hybrid is not told apart from flat, "),
        (ONE_SEED, "On glyphs, hybrid has one seed, not tested against flat, "),
        (ONE_CLASS, "On glyphs, hybrid has one query class, not tested against flat, "),
    ],
)
def test_the_answer_says_what_the_interval_allows(
    words: Any, found: dict[str, Findings], difference: Difference, said: str
) -> None:
    sentence = answer(words, found["tau"], difference)
    assert sentence.startswith(said)
    scores = [100 * found["tau"].chosen[name]["recall_at_1"] for name in ("hybrid", "flat")]
    assert f"flat, val's choice of 2 controls: {scores[0]:.1f} % against " in sentence
    assert f"{scores[1]:.1f} % test R@1 ({100 * difference.mean:+.1f}" in sentence


@pytest.mark.parametrize("difference", [HIGHER, LOWER, SAME, ONE_SEED, ONE_CLASS])
def test_an_answer_with_all_that_it_may_say_is_short_enough(
    words: Any, found: dict[str, Findings], difference: Difference
) -> None:
    for name, axes in (("tau", ["tau"]), ("curvature", ["curvature", "tau"])):
        rows, first = found[name].chosen, found[name].answer.first
        idle = rows[first] | {"use": "forced", "tau": 0.16}
        study = replace(found[name], axes=axes, chosen=rows | {first: idle})
        cosine: Any = {"second": "euclidean"} if name == "tau" else {}
        sentence = answer(words, study, difference, **cosine)
        assert (" (cosine), val's" in sentence) == (name == "tau")


def test_a_gain_over_cosine_alone_is_not_called_one_of_curved_space(
    words: Any, found: dict[str, Findings]
) -> None:
    alone: Any = {"second": "euclidean", "controls": ("euclidean",)}
    sentence = answer(words, found["tau"], HIGHER, **alone)
    assert sentence.startswith("On glyphs, hybrid scores higher than euclidean, plain cosine: ")
    assert "curved space" not in sentence


@pytest.mark.parametrize("difference", [HIGHER, LOWER, SAME, ONE_SEED])
def test_one_control_needs_no_choice(
    words: Any, found: dict[str, Findings], difference: Difference
) -> None:
    sentence = answer(words, found["tau"], difference, controls=("flat",))
    assert " flat, its control without curvature: " in sentence
    one = replace(found["tau"], answer=replace(found["tau"].answer, controls=("flat",)))
    assert "The controls are" not in str(words.explain(one))
    assert "The controls are flat and euclidean: none has" in str(words.explain(found["tau"]))


@pytest.mark.parametrize("difference", [HIGHER, LOWER, SAME, ONE_SEED, ONE_CLASS, None])
def test_a_flat_limit_is_told_from_a_control(
    words: Any, found: dict[str, Findings], difference: Difference | None
) -> None:
    sentence = answer(words, found["curvature"], difference)
    assert "flat limit" in sentence
    assert ("one seed decides nothing" in sentence) == (difference is ONE_SEED)
    assert ("one class decides nothing" in sentence) == (difference is ONE_CLASS)


@pytest.mark.parametrize("kind", ["best", "alone"])
def test_a_study_without_curvature_has_an_answer_too(
    words: Any, found: dict[str, Findings], kind: Any
) -> None:
    assert "curv" not in answer(words, found["rate"], SAME, kind=kind)


def test_edges_are_named_with_their_values(words: Any, found: dict[str, Findings]) -> None:
    places = [Place("a", "tau", 0.1, "inside", 0.5, 0.1), Place("b", "tau", 3, "edge", 0.5, 0.1)]
    said = str(words.edges(replace(found["tau"], places=places)))
    assert said.startswith("**Validation chose the edge of the grid for b (tau 3), so ")
    assert "No choice lies at an edge" in str(words.edges(replace(found["tau"], places=places[:1])))


def test_a_curvature_that_was_not_used_is_said_beside_its_rankings(
    words: Any, found: dict[str, Findings]
) -> None:
    said = "**at the chosen value curvature was not used**"
    assert said not in "".join(bends(words, found["tau"]))
    hybrid = found["tau"].chosen["hybrid"] | {"use": "unused"}
    idle = replace(found["tau"], chosen=found["tau"].chosen | {"hybrid": hybrid})
    assert [said in one for one in bends(words, idle)] == [False, False, False, False, True]


def test_the_lowest_value_of_a_grid_is_named(words: Any, found: dict[str, Findings]) -> None:
    places = [Place("a", "curvature", 0, "limit", 0.5, 0.1)]
    assert "; a chose curvature 0, the lowest" in str(
        words.edges(replace(found["tau"], places=places))
    )


def bends(words: Any, found: Findings) -> Iterator[str]:
    """Yield what is said of each geometry."""
    yield from filter(None, str(words.bends(found)).splitlines())


def test_curvature_that_acts_is_not_said_to_be_without_effect(
    words: Any, found: dict[str, Findings]
) -> None:
    free, euclidean, flat, hyperbolic, hybrid = bends(words, found["tau"])
    assert free == "Rankings can differ from cosine's by free radii alone, without curvature."
    assert euclidean == "- **euclidean**: no curvature at any value."
    assert flat == "- **flat**: no curvature at any value."
    assert hyperbolic.startswith("- **hyperbolic**: neighbours are ranked almost as cosine ")
    assert hybrid.startswith("- **hybrid**: rankings differ from cosine's, most at ")
    (limit,) = bends(words, found["curvature"])
    assert "% in the flat limit (rank correlation 1.0000)." in limit
    said = str(words.explain(found["tau"]))
    assert "In hyperbolic, **curvature could not act** on a ranking" in said
    bend = found["tau"].chosen["hybrid"]["bend"]
    assert (
        f"In hybrid, curvature acted: its logits differ from those of flat space by {bend:.2f} nats"
        in said
    )


def test_a_range_whose_ends_are_written_alike_is_one_number(
    words: Any, found: dict[str, Findings]
) -> None:
    for highest, said in ((0.33334, "test R@1 is 33.3 %"), (0.34, "test R@1 is 33.3 to 34.0 %")):
        changed = [replace(one, lowest=0.33331, highest=highest) for one in found["tau"].bends]
        *_, line = bends(words, replace(found["tau"], bends=changed))
        assert said in line


def test_a_bend_and_a_correlation_that_are_not_known_are_said_to_be(
    words: Any, found: dict[str, Findings]
) -> None:
    chosen = found["tau"].chosen
    unknown = {"bend": math.nan, "bend_beyond_kernel": math.nan, "rank_correlation": math.nan}
    row = chosen["hybrid"] | unknown
    said = str(words.explain(replace(found["tau"], chosen=chosen | {"hybrid": row})))
    assert "In hybrid, how far curvature bends the loss could not be computed: no query" in said
    assert "nan" not in said
    assert str(words.rankings(row)) == "not known, as points coincide"
    changed = [replace(one, correlation=math.nan) for one in found["tau"].bends]
    *_, line = bends(words, replace(found["tau"], bends=changed))
    assert "**hybrid**: how its rankings differ from cosine's could not be computed, as" in line


def test_signs_are_explained_where_a_study_has_them(words: Any, found: dict[str, Findings]) -> None:
    brackets, spread = "rackets hold 95 % intervals", "± is one standard deviation over seeds."
    tau, one = found["tau"], found["curvature"]
    alone = {split: rows.assign(recall_at_1_sd=math.nan) for split, rows in one.baselines.items()}
    assert str(words.explain(tau)).endswith(f"B{brackets}; {spread}")
    assert str(words.explain(one)).endswith(f" {spread}")
    assert brackets not in str(words.explain(one))
    none = replace(one, baselines=alone)
    assert brackets not in str(words.explain(none)) + str(words.limits(none))
    assert "±" not in str(words.explain(none))
    assert brackets in str(words.explain(none, [tau]))


def test_curvature_that_was_not_used_is_not_said_to_bend(
    words: Any, found: dict[str, Findings]
) -> None:
    chosen = found["tau"].chosen
    unused = {"hybrid": chosen["hybrid"] | {"use": "unused"}}
    said = str(words.explain(replace(found["tau"], chosen=chosen | unused)))
    assert "In hybrid, **curvature was not used**: radii are free" in said
    assert "In hybrid, curvature bends" not in said


def test_training_that_failed_is_said_first(words: Any, found: dict[str, Findings]) -> None:
    lower = {name: row | {"recall_at_1": 0.0} for name, row in found["compare"].chosen.items()}
    said = str(words.guard("letters", replace(found["compare"], chosen=lower))).split()
    assert said[:4] == ["**Training", "failed", "on", "letters:"]
    assert len(said) <= 30
    assert not str(words.guard("letters", found["compare"])).strip()


def test_training_that_did_not_help_is_named(words: Any, found: dict[str, Findings]) -> None:
    lower = {name: row | {"recall_at_1": 0.0} for name, row in found["compare"].chosen.items()}
    said = str(words.explain(replace(found["compare"], chosen=lower)))
    listed = "euclidean, flat, hyperbolic and hybrid"
    assert f"**Training did not help in {listed}**" in said
    assert "did not help" not in str(words.explain(found["compare"]))


def test_values_at_which_the_curved_geometry_is_lower_or_higher_are_counted(
    words: Any, found: dict[str, Findings]
) -> None:
    one = found["tau"]
    rows = one.steps.assign(
        low=lambda table: table["mean"].where(table["tau"] > 0.05, -1.0) - 0.1,
        high=lambda table: table["mean"].where(table["tau"] > 0.05, -1.0) + 0.1,
    )
    rows["mean"] = 0.0
    rows.loc[rows["tau"] == 0.2, ["low", "high"]] = 0.1, 0.3
    rows.loc[rows["tau"] == 0.1, ["low", "high"]] = -0.1, 0.3
    changed = replace(one, steps=rows)
    assert changed.count_steps() == {"lower": 1, "higher": 1, "all": 3}
    said = "At the same tau, hybrid scores lower than flat at 1 of 3 values, and higher at 1."
    assert said in " ".join(words.explain(changed).split())
    unknown = replace(one, steps=rows.assign(low=float("nan")))
    assert "At the same tau" not in words.explain(unknown)


def test_one_temperature_that_is_not_the_same_for_all_is_said(
    words: Any, found: dict[str, Findings]
) -> None:
    one = found["compare"]
    counts = {"euclidean": 100.0, "flat": 3.0, "hyperbolic": 4.0, "hybrid": float("nan")}
    chosen = {n: row | {"effective_negatives": counts[n]} for n, row in one.chosen.items()}
    said = "effective negatives go from 3 in flat to 100 in euclidean"
    apart = replace(one, chosen=chosen)
    assert said in " ".join(words.explain(apart).split())
    chosen = {n: row | {"effective_negatives": 5.0} for n, row in one.chosen.items()}
    assert "one temperature" not in words.explain(replace(one, chosen=chosen))
