"""The first page: a sentence, a row for each data set and task, what it means and what it costs."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import FrontParams
from geomix.config.studies import Sets
from geomix.data.packed import open_packed
from geomix.files import write_json
from geomix.report.front import build_front
from geomix.report.lineage import DIRECTIONS
from geomix.report.speeds import read_speeds
from geomix.report.verdict import MEANINGS
from geomix.report.verdict_page import Terms, build_verdict
from tests.conftest import ROOT, write_packed
from tests.report.made_winners import NAMES, SPACES, Made, tuned_study, write_tree

BENCH = ROOT / "bench" / "results"
SETS = ["glyphs", "omniglot", "wordnet"]
BALL = {"hyperbolic_free": 5, "hybrid_free": 10}
KINDS: dict[str, Made] = {
    "helps": Made(gains=BALL),
    "hurts": Made(gains={"dot": 9}),
    "equal": Made(),
    "undecided": Made(noise=9),
    "not asked": Made(names=NAMES[:4] + NAMES[5:]),
    "one seed": Made(seeds=1),
    "lineage": Made(gains=BALL, metrics=tuple(DIRECTIONS)),
}


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the summary of a verdict of each kind."""
    root = tmp_path_factory.mktemp("verdicts")
    classes, tree = write_packed(root / "classes", classes=60), root / "tree"
    write_tree(tree)
    found = {}
    for number, (name, made) in enumerate(KINDS.items()):
        data = tree if made.lineages else classes
        made.write(root / f"{number}", open_packed(data))
        trained: Any = "lineage" if made.lineages else "class"
        terms = Terms(tuned_study(made.names), SPACES, trained, "map_at_r", 1)
        folders = root / f"{number}" / "results", root / f"{number}" / "settings"
        found[name] = build_verdict(terms, *folders, data, True).summary
    return found


Build = Callable[..., str]


@pytest.fixture
def build(tmp_path: Path, summaries: dict[str, Any]) -> Build:
    """Return what builds the page from verdicts of these kinds, one for each data set."""
    params = load(FrontParams, path=ROOT / "params.yaml")
    tuned = params.tune.model_copy(update={"of": Sets.model_validate({"sets": SETS})})
    params = params.model_copy(update={"tune": tuned})

    def build(*kinds: str, outcome: str = "yes") -> str:
        control = tmp_path / "control.csv"
        pd.DataFrame({"outcome": ["yes", outcome]}).to_csv(control, index=False)
        for name, kind in zip(SETS, kinds, strict=False):
            write_json(tmp_path / f"{name}.json", summaries[kind] | {"dataset": name})
        return build_front(params, tmp_path, control, BENCH)["README.md"].decode()

    return build


def first_sentence(page: str) -> str:
    return page.splitlines()[2].strip("*")


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        ((), "No verdict yet: no geometry has been tuned here (make tune)."),
        (("helps", "hurts"), "Curvature helps in 1 of 2 tasks and hurts in 1."),
        (("undecided", "one seed"), "Curvature helps in none of 2 tasks and has no answer in 2."),
        (
            ("equal", "hurts", "lineage"),
            "Curvature helps in 2 of 4 tasks, hurts in 1 and changes nothing that matters in 1.",
        ),
        (("lineage", "equal", "not asked"), "Curvature helps in 2 of 4 tasks, changes nothing that"
            " matters in 1 and has no answer in 1."),
    ],
)  # fmt: skip
def test_the_first_sentence_counts_the_answers(
    build: Build, kinds: tuple[str, ...], sentence: str
) -> None:
    found = first_sentence(build(*kinds))
    assert found == sentence
    assert len(found.split()) <= 30


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_data_set_the_sentence_is_that_of_its_page(build: Build, kind: str) -> None:
    sentence = first_sentence(build(kind))
    assert sentence.startswith("On glyphs, ")
    assert len(sentence.split()) <= 30


def test_each_task_has_a_row_that_leads_to_its_page(build: Build) -> None:
    page = build("helps", "not asked", "lineage")
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    links = [re.search(r"\[(.*)\]\((.*)\)", row) for row in rows]
    assert [(link[1], link[2]) for link in links if link] == [
        ("glyphs, classes", "glyphs/tune/README.md"),
        ("omniglot, classes", "omniglot/tune/README.md"),
        ("wordnet, leaf to ancestors", "wordnet/tune/README.md"),
        ("wordnet, inner node to leaves", "wordnet/tune/README.md"),
    ]
    words = [[cell.strip() for cell in row.split("|")[2:6]] for row in rows]
    same = "equal within the margin"
    assert words[0] == ["helps", same, same, "helps"]
    assert words[1] == ["not asked", "not asked", same, "not asked"]
    assert re.search(r"\+\d\.\d \[\+\d\.\d, \+\d\.\d\]", rows[0])


def test_tables_are_narrow_and_say_nothing_of_python(build: Build) -> None:
    for kinds in (("helps", "not asked", "lineage"), ("one seed",), ()):
        page = build(*kinds)
        assert "nan" not in page
        assert "None" not in page
        widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
        assert max(widths, default=0) <= 7


def test_what_was_not_run_is_named_with_its_command(build: Build) -> None:
    page = build("helps")
    assert "Not judged yet: omniglot (`make datasets`), wordnet (`make lineage`)." in page
    assert "Not judged yet" not in build("helps", "hurts", "lineage")


def test_a_failed_calibration_takes_all_answers_back(build: Build) -> None:
    page = build("helps", "hurts", "lineage", outcome="no")
    assert first_sentence(page) == "Curvature helps in none of 4 tasks and has no answer in 4."
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    for row in rows:
        assert [cell.strip() for cell in row.split("|")[2:6]] == ["not calibrated"] * 4
    assert "a calibration that comes out" in page


def test_every_verdict_is_explained_and_settings_stand_beside_what_would_decide(
    build: Build,
) -> None:
    page = build("undecided", "helps")
    for word in MEANINGS:
        assert re.search(rf"^\| {word} +\|", page, flags=re.MULTILINE)
    row = next(line for line in page.splitlines() if line.startswith("| glyphs, classes"))
    assert "tau 0.1, norm batch, curvature 0.7" in row
    assert re.search(r"about \d+ more (seeds|test classes)", row)


def test_costs_are_those_of_the_benchmarks(build: Build) -> None:
    speeds = read_speeds(BENCH)
    losses = pd.read_csv(BENCH / "loss.csv")
    flat = losses[losses["case"] == "flat, 9 views x 100 classes"].iloc[0]
    assert speeds["flat_free"].loss == flat["baseline_seconds"]
    assert math.isnan(speeds["flat_free"].search)
    searches = pd.read_csv(BENCH / "search.csv")
    cosine = searches[searches["baseline"] == "geomix cosine"].iloc[0]
    assert speeds["euclidean"].search == cosine["baseline_seconds"]
    hybrid = searches[searches["implementation"] == "geomix hybrid"].iloc[0]
    assert speeds["hybrid_free"].search == hybrid["seconds"]
    steps = pd.read_csv(BENCH / "negatives.csv")
    steps = steps[steps["table"] == "steps"]
    step = steps[steps["case"] == "hyperbolic, 4 views x 32 classes"].iloc[0]
    assert speeds["hyperbolic_free"].step == step["baseline_seconds"]
    page = build("helps")
    assert f"| flat_free       | {1000 * flat['baseline_seconds']:.3g} " in page
    assert re.search(r"\| dot +\| - +\| - ", page)


def test_costs_without_benchmarks_are_not_measured(tmp_path: Path) -> None:
    speeds = read_speeds(tmp_path)
    assert all(math.isnan(one.loss) and math.isnan(one.search) for one in speeds.values())


def test_the_same_verdicts_give_the_same_bytes(build: Build) -> None:
    assert build("helps", "lineage") == build("helps", "lineage")
