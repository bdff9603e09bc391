"""The page of a trial: it advises first, in at most 30 words; and the rule behind it."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geomix.data.packed import open_packed
from geomix.report.advice import Advice, advise
from geomix.report.lineage import DIRECTIONS
from geomix.report.speeds import Speed
from geomix.report.trial import GALLERY_ITEMS, build_trial, count_copies, judge_val, list_costs
from geomix.report.verdict import MEANINGS
from geomix.report.verdict_page import Terms, build_verdict
from tests.conftest import write_packed
from tests.report.made_winners import NAMES, SPACES, Made, tuned_study, write_tree
from tests.report.test_speeds import write_benchmarks

LINEAGES = tuple(DIRECTIONS)
BALL = {"hyperbolic_free": 5, "hybrid_free": 10}
MADE: dict[str, tuple[Made, str, str, tuple[str, ...]]] = {
    "all alike": (Made(), "cosine", "settled", ("euclidean",)),
    "curvature hurts": (Made(gains={"hyperbolic_free": -9}), "cosine", "settled", ("euclidean",)),
    "curvature not used": (Made(unused=["hyperbolic_free"]), "cosine", "settled", ("euclidean",)),
    "no better than raw": (Made(baseline=80), "cosine", "failed", ("euclidean",)),
    "the hybrid helps": (Made(gains=BALL), "curvature", "helps", ("hybrid_free",)),
    "the ball helps": (
        Made(gains={"hyperbolic_free": 5}), "curvature", "helps", ("hyperbolic_free",)
    ),
    "a free norm in classes": (Made(gains={"dot": 9}), "two", "flat", ("dot", "euclidean")),
    "a free norm in lineages": (
        Made(gains={"dot": 9}, metrics=LINEAGES), "inner", "helps", ("dot",)
    ),
    "the ball in lineages": (
        Made(gains={"hyperbolic_free": 5}, metrics=LINEAGES), "curvature", "helps",
        ("hyperbolic_free",),
    ),
    "too few classes": (Made(noise=9), "undecided", "open", ("hyperbolic_free",)),
    "one seed": (Made(seeds=1), "undecided", "unread", ()),
    "not trained": (Made(names=NAMES[:4] + NAMES[5:]), "undecided", "unread", ()),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Return packed data sets: of classes, and of lineages."""
    root = tmp_path_factory.mktemp("packed")
    write_packed(root / "classes", classes=60)
    write_tree(root / "tree")
    return {False: root / "classes", True: root / "tree"}


@pytest.fixture(scope="module")
def summaries(
    tmp_path_factory: pytest.TempPathFactory, folders: dict[bool, Path]
) -> dict[str, Any]:
    """Return the summary of a verdict of each kind."""
    root, found = tmp_path_factory.mktemp("verdicts"), {}
    for name, (made, *_) in MADE.items():
        data, place = folders[made.lineages], root / name
        made.write(place, open_packed(data))
        trained: Any = "lineage" if made.lineages else "class"
        terms = Terms(tuned_study(made.names), SPACES, trained, made.metrics[0], 1)
        page = build_verdict(terms, place / "results", place / "settings", data, True, {})
        found[name] = page.summary
    return found


Build = Callable[..., str]
FACTS = {
    "of": "patterns",
    "backbone": "vit",
    "weights": {"source": "checkpoint", "file": "best.pth"},
    "side": 64,
    "centre": 1,
    "vectors": 300,
    "dimensions": 16,
}


@pytest.fixture
def build(tmp_path: Path, folders: dict[bool, Path]) -> Build:
    """Return what builds the page of a summary."""
    write_benchmarks(tmp_path / "bench")

    def build(summary: Any, calibrated: bool = True, **facts: Any) -> str:
        data = folders[len(summary["tasks"]) > 1]
        given = FACTS | facts, data, tmp_path / "source", tmp_path / "bench", calibrated
        return build_trial(summary, *given)["README.md"].decode()

    return build


def first_sentence(page: str) -> str:
    return page.splitlines()[2].strip("*")


@pytest.mark.parametrize("name", MADE)
def test_each_kind_of_verdict_has_its_advice(summaries: dict[str, Any], name: str) -> None:
    _, kind, why, geometries = MADE[name]
    found = advise(summaries[name])
    assert (found.kind, found.why) == (kind, why)
    assert found.geometries[: len(geometries)] == geometries


def test_only_several_seeds_have_intervals(build: Build, summaries: dict[str, Any]) -> None:
    pages = {name: build(summaries[name]) for name in ("one seed", "too few classes")}
    assert "95 %" not in pages["one seed"]
    assert "with intervals" not in pages["one seed"]
    assert "difference, points [95 % interval]" in pages["too few classes"]


@pytest.mark.parametrize("name", MADE)
def test_the_first_sentence_advises(build: Build, summaries: dict[str, Any], name: str) -> None:
    sentence = first_sentence(build(summaries[name]))
    beginnings = {
        "cosine": "Stay with cosine",
        "two": "Fine-tune these two, `",
        "inner": "Your hierarchy wants an inner product: `dot` gains +",
        "curvature": "Curvature helps: fine-tune `h",
        "undecided": "Not decidable",
    }
    assert sentence.startswith(beginnings[MADE[name][1]])
    assert len(sentence.split()) <= 30
    assert "None" not in sentence


def ask(word: str, mean: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    """Return the verdict of a question."""
    ends = {"mean": mean, "low": low, "high": high}
    plain = {"word": word, "missing": [], "remedy": "about 7 more test classes", "smallest": 0.02}
    return plain | {"decisive": "euclidean", "gain": ends} | more


def summarise(metric: str = "map_at_r", **words: str) -> dict[str, Any]:
    """Return a summary in which every question is equal but those given."""
    settings = {
        "curvature": "hyperbolic_free",
        "kernel": "chord",
        "ball's kernel": "power",
        "radius": "flat_free",
        "norm": "dot",
        "hybrid": "hybrid_free",
    }
    gains = {"helps": (0.03, 0.02, 0.04), "hurts": (-0.03, -0.04, -0.02)}
    gains["not decidable"] = (0.01, -0.02, 0.04)
    verdicts = {}
    for name, setting in settings.items():
        word = words.get(name, "equal within the margin")
        ends = gains.get(word, (0, -0.002, 0.002))
        verdicts[name] = ask(word, *ends, setting=setting, controls=["euclidean"])
    task = {"name": "classes", "metric": metric, "score": "MAP", "groups": 20}
    winners = {name: {"val": 0.5 + 0.01 * at} for at, name in enumerate(NAMES)}
    return {"margin": 1, "tasks": [task | {"verdicts": verdicts}], "winners": winners}


def test_a_flat_gain_and_open_curvature_are_tried_side_by_side() -> None:
    summary = summarise(kernel="helps", curvature="not decidable")
    found = advise(summary)
    assert (found.kind, found.geometries) == ("two", ("chord", "hyperbolic_free"))
    assert found.question["setting"] == "chord"


def test_the_flat_geometry_of_the_highest_val_score_is_advised() -> None:
    found = advise(summarise(kernel="helps", norm="helps", radius="helps"))
    assert found.geometries == ("dot", "euclidean")


def test_a_flat_gain_below_the_cosine_advises_nothing() -> None:
    summary = summarise(radius="helps")
    summary["winners"]["flat_free"]["val"] = 0.4
    assert advise(summary).kind == "cosine"


def test_curvature_that_cannot_gain_what_matters_is_settled() -> None:
    summary = summarise(curvature="not decidable")
    assert advise(summary).kind == "undecided"
    summary["margin"] = 5
    assert advise(summary).kind == "cosine"


def test_curvature_that_helps_in_one_direction_and_hurts_in_the_other_is_two(build: Build) -> None:
    summary = summarise("leaf_ancestors", curvature="helps", norm="helps")
    harm = summarise("inner_leaves", curvature="hurts")["tasks"]
    harm[0]["verdicts"]["curvature"]["controls"] = ["dot"]
    summary["tasks"] += harm
    found = advise(summary)
    assert (found.kind, found.why) == ("two", "torn")
    assert found.geometries == ("hyperbolic_free", "dot")


def test_a_free_norm_wins_a_hierarchy_alone() -> None:
    summary = summarise("leaf_ancestors", norm="helps")
    assert advise(summary).kind == "inner"
    summary["tasks"] += summarise("inner_leaves", norm="hurts")["tasks"]
    found = advise(summary)
    assert (found.kind, found.why, found.geometries) == ("two", "torn", ("dot", "euclidean"))
    undecided = summarise("leaf_ancestors", norm="helps", curvature="not decidable")
    assert advise(undecided).geometries == ("dot", "hyperbolic_free")
    assert advise(summarise("leaf_ancestors", norm="not credited")).kind == "cosine"


def test_every_word_of_a_verdict_has_an_advice() -> None:
    for word in MEANINGS:
        for metric in ("map_at_r", "leaf_ancestors"):
            assert isinstance(advise(summarise(metric, curvature=word)), Advice)


def test_a_calibration_that_failed_decides_nothing(build: Build, summaries: dict[str, Any]) -> None:
    page = build(summaries["the ball helps"], calibrated=False)
    assert "a calibration that comes out" in first_sentence(page)
    assert "Curvature helps" not in page


@pytest.mark.parametrize("name", MADE)
def test_tables_are_narrow_and_say_nothing_of_python(
    build: Build, summaries: dict[str, Any], name: str
) -> None:
    text = build(summaries[name]).partition("<details>")[0]
    assert not re.search(r"\bnan\b|None|\{", text)
    widths = [line.count("|") - 1 for line in text.splitlines() if line.startswith("|")]
    assert max(widths) <= 7


def test_an_untrained_backbone_is_said_to_prove_nothing(
    build: Build, summaries: dict[str, Any]
) -> None:
    page = build(summaries["all alike"], weights={"source": "scratch"})
    assert "say nothing of a trained one" in page
    assert "with the weights of best.pth" in build(summaries["all alike"])


def test_pairs_of_copies_are_counted_by_what_they_contradict(tmp_path: Path) -> None:
    path = tmp_path / "duplicates.csv"
    none = {"pairs": 0, "conflicts": 0, "leaks": 0}
    assert count_copies(path) == none
    columns = ["first_label", "second_label", "first_split", "second_split"]
    rows = [("a", "a", "val", "val"), ("a", "b", "val", "test"), ("c", "d", "test", "test")]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    assert count_copies(path) == {"pairs": 3, "conflicts": 2, "leaks": 1}


def test_what_val_decides_follows_from_its_classes(folders: dict[bool, Path]) -> None:
    packed = open_packed(folders[False])  # 20 classes of 5 in val
    summary = summarise()
    assert judge_val(packed, summary) == {"classes": 20, "queries": 100, "least": 0.02}
    summary["tasks"][0]["groups"] = 80
    assert judge_val(packed, summary)["least"] == pytest.approx(0.04)
    assert math.isnan(judge_val(packed, summarise("leaf_ancestors"))["least"])


def test_costs_are_in_proportion_to_the_collection() -> None:
    speeds = {
        "euclidean": Speed(loss=0.01, search=0.5, item=512, form="lifted"),
        "dot": Speed(loss=0.02, search=1.0, item=512, form="lifted"),
    }
    cosine, dot, power = list_costs(["euclidean", "dot", "power"], speeds, 2 * GALLERY_ITEMS)
    assert (cosine["loss"], dot["loss_ratio"], dot["search_ratio"]) == (10, 2, 2)
    assert cosine["search"] == pytest.approx(2 * 1000 * 0.5 / GALLERY_ITEMS)
    assert cosine["index"] == pytest.approx(512 * 2 * GALLERY_ITEMS / 1e6)
    assert math.isnan(power["loss"])
