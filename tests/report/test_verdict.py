"""Verdicts: made-up results of each kind read the right words, and equal evidence equal ones."""

import itertools
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.tuning import PACKED
from geomix.data.packed import Packed, open_packed
from geomix.errors import InputError
from geomix.report.contrasts import Need, contrast_controls
from geomix.report.gap import average_gaps, measure_gap
from geomix.report.lineage import DIRECTIONS, LINEAGE_SCORE
from geomix.report.questions import FLAT, QUESTIONS, Question
from geomix.report.results import read_results
from geomix.report.tasks import find_parents, list_tasks
from geomix.report.verdict import MEANINGS, Judgement, Verdict, find_guard, judge
from geomix.report.winners import find_free, read_winners
from tests.conftest import write_packed
from tests.report.made_winners import NAMES, SPACES, Made, write_tree

MARGIN = 0.01


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Return a packed data set of 20 test classes."""
    return open_packed(write_packed(tmp_path_factory.mktemp("classes") / "packed", classes=60))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Return a packed data set whose samples lie in a tree."""
    return write_tree(tmp_path_factory.mktemp("tree") / "packed")


Ask = Callable[..., list[Judgement]]


@pytest.fixture
def ask(tmp_path: Path, classes: Packed, tree: Packed) -> Ask:
    """Return what makes up winners and judges them, as the page does."""
    numbers = itertools.count()

    def ask(calibrated: bool = True, **made: Any) -> list[Judgement]:
        one, root = Made(**made), tmp_path / str(next(numbers))
        packed = tree if one.lineages else classes
        one.write(root, packed)
        metrics = [*one.metrics, LINEAGE_SCORE] if one.lineages else one.metrics
        names = list(one.names)
        winners = read_winners(
            root / "results" / "winners" / PACKED, root / "settings", names, metrics, SPACES
        )
        baselines = read_results(root / "results" / "baselines")
        tasks = list_tasks(packed, "lineage" if one.lineages else "class", metrics[0])
        return [judge(task, winners, baselines, MARGIN, calibrated) for task in tasks]

    return ask


def words_of(judgement: Judgement) -> dict[str, str]:
    """Return the word of each question by its name."""
    return {one.question.name: one.word for one in judgement.verdicts}


def find(judgement: Judgement, name: str) -> Verdict:
    """Return the verdict of a question."""
    return next(one for one in judgement.verdicts if one.question.name == name)


BALL = {"hyperbolic_free": 5, "hybrid_free": 10}


@pytest.mark.parametrize(
    ("made", "word"),
    [
        ({"gains": BALL}, "helps"),
        ({"gains": BALL | {"dot": 5}}, "equal within the margin"),
        ({"gains": BALL | {"dot": 9}}, "hurts"),
        # val chose chord, which the ball beats; another control is better than the ball
        ({"gains": BALL | {"dot": 9}, "val": {"chord": 99}}, "not decidable"),
        ({"gains": BALL | {"dot": 4.5}, "noise": 9}, "not decidable"),
        ({"gains": BALL, "seeds": 1}, "one seed, not tested"),
        ({"gains": BALL, "calibrated": False}, "not calibrated"),
        ({"gains": BALL, "baseline": 80}, "training failed"),
        ({"gains": BALL, "forced": ["hyperbolic_free"]}, "could not act"),
        ({"gains": BALL, "unused": ["hyperbolic_free"]}, "not used"),
        ({"gains": BALL, "names": NAMES[:4] + NAMES[5:]}, "not asked"),
    ],
)
def test_results_of_each_kind_read_the_right_word_on_curvature(
    ask: Ask, made: dict[str, Any], word: str
) -> None:
    (judgement,) = ask(**made)
    assert words_of(judgement)["curvature"] == word
    assert set(words_of(judgement).values()) <= set(MEANINGS)


def test_each_question_has_an_answer_of_its_own(ask: Ask) -> None:
    gains = {"chord": 3, "power": 3, "flat_free": -2, "dot": 4, "hyperbolic_free": -9}
    (judgement,) = ask(gains=gains | {"hybrid_flat": 9, "hybrid_free": 12})
    assert words_of(judgement) == {
        "curvature": "hurts",
        "kernel": "helps",
        "ball's kernel": "equal within the margin",
        "radius": "hurts",
        "norm": "helps",
        "hybrid": "helps",
    }


def test_guards_come_in_their_order_before_the_evidence(ask: Ask) -> None:
    worst = {"gains": BALL, "baseline": 80, "forced": ["hyperbolic_free"], "seeds": 1}
    assert words_of(ask(**worst, calibrated=False)[0])["curvature"] == "not calibrated"
    assert words_of(ask(**worst)[0])["curvature"] == "training failed"
    assert words_of(ask(**worst | {"baseline": 20})[0])["curvature"] == "could not act"
    unused = {"gains": BALL, "unused": ["hyperbolic_free"], "seeds": 1}
    assert words_of(ask(**unused)[0])["curvature"] == "not used"


@pytest.mark.parametrize(
    ("needs", "use", "bend", "word"),
    [
        ("curvature", "forced", 0.5, "could not act"),
        ("curvature", "unused", 0.04, "not used"),
        ("curvature", "used", 0.5, None),
        ("radii", "forced", 0.5, "could not act"),
        ("radii", "unused", 0.04, None),
        ("kernel", "forced", 0.5, None),
        ("kernel", "forced", 0.04, "not used"),
        ("nothing", "forced", math.nan, None),
    ],
)
def test_a_guard_is_about_what_the_question_needs(
    needs: Any, use: str, bend: float, word: str | None
) -> None:
    question, row = Question("", "a", ("b",), needs), {"use": use, "bend": bend}
    assert find_guard(question, row, failed=False, calibrated=True) == word


def test_a_norm_that_takes_the_radii_answers_no_question_about_them(ask: Ask) -> None:
    words = words_of(ask(gains=BALL | {"dot": 3}, forced=["dot", "flat_free"])[0])
    assert (words["norm"], words["radius"]) == ("could not act", "could not act")
    assert words["curvature"] == "helps"


def test_val_names_the_control_of_the_upper_limit(ask: Ask) -> None:
    gains = BALL | {"dot": 4, "power": 4.2}
    first = find(ask(gains=gains)[0], "curvature")
    assert first.controls == ("power", "euclidean", "chord", "flat_free", "dot")
    other = find(ask(gains=gains, val={"chord": 90})[0], "curvature")
    assert other.controls == ("chord", "euclidean", "power", "flat_free", "dot")
    assert first.contrast
    assert other.contrast
    assert other.contrast.low == pytest.approx(first.contrast.low)
    assert other.contrast.high > first.contrast.high + 0.03
    assert (first.decisive, other.decisive) == ("power", "power")


def test_a_missing_geometry_is_named_and_other_questions_are_asked(ask: Ask) -> None:
    (judgement,) = ask(gains=BALL, names=("euclidean", "chord", "flat_free", "hyperbolic_free"))
    missing = {one.question.name: one.missing for one in judgement.verdicts if one.missing}
    assert missing == {
        "curvature": ("power", "dot"),
        "ball's kernel": ("power",),
        "norm": ("dot",),
        "hybrid": ("hybrid_free", "hybrid_flat", "power", "dot"),
    }
    assert find(judgement, "curvature").remedy == "training of power and dot"
    assert words_of(judgement)["kernel"] == "equal within the margin"


def test_equal_evidence_gets_equal_verdicts(ask: Ask, tmp_path: Path, classes: Packed) -> None:
    made = Made(gains={"dot": 0.9, "power": 0.9, "chord": 0, "euclidean": 0}, noise=1.5)
    made.write(tmp_path, classes)
    folder = tmp_path / "results" / "winners" / PACKED
    copied = {"flat_free": "dot", "power": "dot", "chord": "euclidean"}  # cell by cell
    with np.load(folder / "per_query.npz") as arrays:
        content = dict(arrays)
    for name in [key for key in content if key.split("/")[0] in copied]:
        geometry = name.split("/")[0]
        content[name] = content[name.replace(geometry, copied[geometry], 1)]
    np.savez(folder / "per_query.npz", allow_pickle=False, **content)
    winners = read_winners(folder, tmp_path / "settings", NAMES, ["map_at_r"], SPACES)
    baselines = read_results(tmp_path / "results" / "baselines")
    (task,) = list_tasks(classes, "class", "map_at_r")
    found = judge(task, winners, baselines, MARGIN, True)
    same = [find(found, name) for name in ("norm", "radius", "ball's kernel")]
    assert len({one.word for one in same}) == 1
    ps = [(one.contrast.p_helps, one.contrast.p_equal) for one in same if one.contrast]
    assert len(set(ps)) == 1


def test_contrasts_are_those_of_the_queries_and_corrected_by_holm(ask: Ask) -> None:
    (judgement,) = ask(gains=BALL | {"dot": 1}, noise=1)
    raw = []
    for verdict in judgement.verdicts:
        assert verdict.contrast
        raw.append(contrast_controls(verdict.contrast.gaps, MARGIN).p_helps)
        assert verdict.contrast.p_helps >= raw[-1]
    smallest = int(np.argmin(raw))
    contrast = judgement.verdicts[smallest].contrast
    assert contrast
    assert contrast.p_helps == pytest.approx(len(QUESTIONS) * raw[smallest])


def test_seeds_are_pooled_over_all_winners(tmp_path: Path, classes: Packed) -> None:
    made = Made(gains=BALL, seeds=10)
    made.write(tmp_path, classes)
    folder = tmp_path / "results" / "winners" / PACKED
    winners = read_winners(folder, tmp_path / "settings", NAMES, ["map_at_r"], SPACES)
    (task,) = list_tasks(classes, "class", "map_at_r")
    found = judge(task, winners, read_results(folder.parents[1] / "baselines"), MARGIN, True)
    values = {name: winners.stack(name, "map_at_r") for name in NAMES}
    means = np.stack([one.mean(axis=1) for one in values.values()])
    freedom = set()
    for verdict in found.verdicts:
        assert verdict.contrast
        for control, gap in zip(verdict.controls, verdict.contrast.gaps, strict=True):
            setting = values[verdict.question.setting]
            assert gap == measure_gap(setting, values[control], task.parts[0].groups, means)
            freedom.add(gap.seed_freedom)
    assert freedom == {9, 7 * 9}  # some gaps vary by chance more than the settings do


LINEAGES: dict[str, Any] = {"metrics": tuple(DIRECTIONS)}


def test_directions_of_lineages_are_judged_apart(ask: Ask) -> None:
    both, up, down = ask(**LINEAGES, gains=BALL)
    assert (up.task.metric, down.task.metric) == tuple(DIRECTIONS)
    assert words_of(up)["curvature"] == words_of(down)["curvature"] == "helps"
    assert words_of(both)["curvature"] == "helps"
    assert up.groups == 20
    assert both.groups == 25
    assert down.groups == 5  # four branches, and what is above them
    assert list(up.below) == [
        "raw vectors",
        "untrained network",
        "ranking by depth",
        "ranking by descendants",
    ]


def test_val_names_the_control_of_a_direction_by_its_own_scores(ask: Ask) -> None:
    directions = {
        "leaf_ancestors": {"power": 1, "chord": 90},
        "inner_leaves": {"power": 1, "dot": 90},
    }
    both, up, down = ask(
        **LINEAGES, gains=BALL | {"dot": 9}, val={"power": 99}, directions=directions
    )
    controls = [find(one, "curvature").controls[0] for one in (both, up, down)]
    assert controls == ["power", "chord", "dot"]
    assert words_of(up)["curvature"] == "not decidable"  # the ball beats chord, and dot the ball
    assert words_of(down)["curvature"] == "hurts"


def test_the_mean_of_both_directions_is_that_of_their_gaps(ask: Ask) -> None:
    both, up, down = ask(**LINEAGES, gains={"dot": 9})
    assert both.task.metric == LINEAGE_SCORE
    for joint, *parts in zip(both.verdicts, up.verdicts, down.verdicts, strict=True):
        assert joint.contrast
        gaps = [one.contrast.gaps for one in parts if one.contrast]
        for gap, *each in zip(joint.contrast.gaps, *gaps, strict=True):
            assert gap == average_gaps(each)


def test_a_gain_is_credited_beyond_rankings_that_ignore_the_query_alone(ask: Ask) -> None:
    gains = BALL | {"dot": 3, "chord": 3, "flat_free": 6}
    _, up, _ = ask(**LINEAGES, gains=gains, constants=(10, 70))
    words = words_of(up)
    assert words["curvature"] == "hurts"  # flat_free, which val chose, is better than the ball
    gained = ("norm", "radius", "kernel")
    assert {words[name] for name in gained} == {"not credited"}
    _, above, _ = ask(**LINEAGES, gains=gains, constants=(10, 45))
    assert {words_of(above)[name] for name in gained} == {"helps"}
    _, near, _ = ask(**LINEAGES, gains=gains | {"dot": 30}, constants=(10, 79), noise=3)
    assert words_of(near)["norm"] == "not credited"  # by a mean that is higher, and not surely so


def test_training_of_lineages_fails_against_what_was_not_taught_alone(ask: Ask) -> None:
    _, up, _ = ask(**LINEAGES, gains=BALL, constants=(10, 90), baseline=20)
    assert words_of(up)["curvature"] == "not credited"
    _, up, _ = ask(**LINEAGES, gains=BALL, baseline=90)
    assert words_of(up)["curvature"] == "training failed"


def test_queries_are_grouped_by_the_parent_of_their_node(tree: Packed) -> None:
    found = find_parents(tree, "train")
    paths = tree.samples["lineage"].to_numpy()[tree.rows("train")]
    parents = [path.rpartition("/")[0] for path in paths]
    for a, b in itertools.combinations(range(0, len(paths), 7), 2):
        assert (found[a] == found[b]) == (parents[a] == parents[b])


@pytest.mark.parametrize(
    ("need", "remedy"),
    [
        (Need(4, 0), "about 4 more seeds"),
        (Need(0, 9), "about 9 more test classes; no number of seeds is enough"),
        (Need(0, 0), "more seeds than would show the margin"),
    ],
)
def test_what_is_undecided_says_what_would_decide(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, need: Need, remedy: str
) -> None:
    verdict = find(ask(gains=BALL | {"dot": 4.5}, noise=9)[0], "curvature")
    monkeypatch.setattr("geomix.report.contrasts.find_need", lambda *_: need)
    assert verdict.remedy == remedy


def test_of_lineages_more_parents_are_wanted(ask: Ask) -> None:
    _, _, down = ask(**LINEAGES, gains=BALL | {"dot": 4.5}, noise=5)
    remedy = find(down, "curvature").remedy
    assert remedy
    assert re.search(r"about \d+ more parent nodes", remedy)


def test_what_cannot_be_judged_is_refused_in_one_line(
    ask: Ask, tmp_path: Path, classes: Packed
) -> None:
    made = Made()
    made.write(tmp_path, classes)
    folder, settings = tmp_path / "results" / "winners" / PACKED, tmp_path / "settings"
    with pytest.raises(InputError, match="found distances, expected classes or lineages"):
        list_tasks(classes, "distances", "map_at_r")
    names = [*NAMES, "hybrid"]
    with pytest.raises(InputError, match=r"found seeds \[\] of hybrid, expected \[10, 11, 12"):
        read_winners(folder, settings, names, ["map_at_r"], SPACES)
    table = pd.read_csv(folder / "metrics.csv")
    table[table["seed"] != 14].to_csv(folder / "metrics.csv", index=False)
    read_winners(folder, settings, NAMES, ["map_at_r"], SPACES)
    table[(table["seed"] != 14) | (table["geometry"] != "dot")].to_csv(
        folder / "metrics.csv", index=False
    )
    with pytest.raises(InputError, match=r"found seeds \[10, 11, 12, 13\] of dot, expected \[10"):
        read_winners(folder, settings, NAMES, ["map_at_r"], SPACES)
    shutil.rmtree(settings / "chord")
    table.to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(InputError, match=r"chord/winner/history.csv: not found"):
        read_winners(folder, settings, NAMES, ["map_at_r"], SPACES)


def test_one_test_class_is_refused(tmp_path: Path) -> None:
    packed = open_packed(write_packed(tmp_path / "packed", classes=3))
    made = Made()
    made.write(tmp_path, packed)
    folder = tmp_path / "results" / "winners" / PACKED
    winners = read_winners(folder, tmp_path / "settings", NAMES, ["map_at_r"], SPACES)
    (task,) = list_tasks(packed, "class", "map_at_r")
    with pytest.raises(InputError, match="MAP@R in 1 of the test classes, expected 2 or more"):
        judge(task, winners, read_results(folder.parents[1] / "baselines"), MARGIN, True)


def test_questions_name_geometries_that_there_are() -> None:
    for question in QUESTIONS:
        assert not question.list_missing(SPACES)
        assert question.setting not in question.controls
    curvature, *_, hybrid = QUESTIONS
    assert curvature.controls == FLAT
    assert set(hybrid.controls) == {*FLAT, "hyperbolic_free", "hybrid_flat"}


@pytest.mark.parametrize(
    ("norms", "clips", "scores", "free"),
    [
        (["layer", "none", "batch"], [None, None, None], [0.5, 0.3, 0.4], (0.4, 0.1)),
        (["none", "batch", "none"], [2.3, None, 2.3], [0.5, 0.3, 0.4], (0.3, 0.1)),
        (["none", "layer", "none"], [2.3, None, None], [0.5, 0.3, math.nan], None),
    ],
)
def test_the_best_trial_that_could_act_has_free_radii(
    norms: list[str],
    clips: list[float | None],
    scores: list[float],
    free: tuple[float, float] | None,
) -> None:
    search = pd.DataFrame({"head.norm": norms, "score": scores, "standard_error": [0.1, 0.2, 0.3]})
    clipped = search.assign(**{"geometry.ball.distance.clip_radius": clips})
    assert find_free(clipped) == free
    assert find_free(search.drop(columns="head.norm")) == (0.5, 0.1)
