"""The first page: a sentence, a row for each data set and task, what it means and what it costs."""

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
from geomix.report.front import build_front, find_command
from geomix.report.lineage import DIRECTIONS
from geomix.report.verdict import MEANINGS
from geomix.report.verdict_page import Terms, build_verdict
from tests.conftest import ROOT, write_packed
from tests.report.made_winners import NAMES, SPACES, Made, tuned_study, write_tree
from tests.report.test_speeds import write_benchmarks

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
    "unused": Made(gains={"dot": 2}, unused=["hyperbolic_free"]),
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
        found[name] = build_verdict(terms, *folders, data, True, {}).summary
    return found


Build = Callable[..., str]


@pytest.fixture
def build(tmp_path: Path, summaries: dict[str, Any]) -> Build:
    """Return what builds the page from verdicts of these kinds, one for each data set."""
    params = load(FrontParams, path=ROOT / "params.yaml")
    tuned = params.tune.model_copy(update={"of": Sets.model_validate({"sets": SETS})})
    params = params.model_copy(update={"tune": tuned})

    def build(*kinds: str, outcome: str = "yes", bench: Path = tmp_path) -> str:
        control = tmp_path / "control.csv"
        pd.DataFrame({"outcome": ["yes", outcome]}).to_csv(control, index=False)
        for name, kind in zip(SETS, kinds, strict=False):
            write_json(tmp_path / f"{name}.json", summaries[kind] | {"dataset": name})
        return build_front(params, tmp_path, control, bench)["README.md"].decode()

    return build


def read_words(row: str) -> list[str]:
    """Return the verdicts of a row: on curvature, a free norm, the kernel and the hybrid."""
    cells = [cell.strip() for cell in row.split("|")]
    return [cells[2], *cells[5:8]]


def first_sentence(page: str) -> str:
    return page.splitlines()[2].strip("*")


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        ((), "No verdict yet: no geometry has been tuned here (make tune)."),
        (("helps", "hurts"), "Curved space helps on 1 of 2 data sets and is beaten by"
                " a flat geometry on 1."),
        (("undecided", "unused", "one seed"), "Curved space helps on none of 3 data sets, is"
            " not decided on 1, did not act on 1 and has no answer on 1."),
        (("equal", "hurts", "lineage"), "Curved space helps on 1 of 3 data sets, is beaten by a"
            " flat geometry on 1"
            " and changes nothing that matters on 1."),
        (("lineage", "equal", "not asked"), "Curved space helps on 1 of 3 data sets, changes"
            " nothing that matters on 1 and has no answer on 1."),
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
    links = [re.search(r"\[(.*)\]\((.*?)\)", row) for row in rows]
    assert [(link[1], link[2]) for link in links if link] == [
        ("glyphs, classes", "glyphs/tune/README.md"),
        ("omniglot, classes", "omniglot/tune/README.md"),
        ("wordnet, leaf to ancestors and back", "wordnet/tune/README.md"),
        ("wordnet, leaf to ancestors", "wordnet/tune/README.md"),
        ("wordnet, inner node to leaves", "wordnet/tune/README.md"),
    ]
    words = [read_words(row) for row in rows]
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
    assert find_command(load(FrontParams, path=ROOT / "params.yaml"), "features") == "trial"


def test_a_failed_calibration_takes_all_answers_back(build: Build) -> None:
    page = build("helps", "hurts", "lineage", outcome="no")
    answer = "Curved space helps on none of 3 data sets and has no answer on 3."
    assert first_sentence(page) == answer
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    for row in rows:
        assert read_words(row) == ["not calibrated"] * 4
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


def test_a_difference_of_a_curvature_that_did_not_act_is_not_shown(build: Build) -> None:
    rows = [line for line in build("unused", "helps").splitlines() if line.startswith("| [")]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert cells[0][1:4] == ["not used", "-", "-"]
    assert re.fullmatch(r"\+\d\.\d \[.*\] \(\w+\)", cells[1][2])


def test_each_data_set_has_a_sentence_on_what_to_use(build: Build) -> None:
    page = build("helps", "unused", "one seed")
    assert "\n- On glyphs, use `hybrid_free` at tau 0.1" in page
    assert "\n- On omniglot, use `dot` at tau 0.1" in page
    assert "\n- On wordnet, nothing says which geometry to use: one seed" in page
    assert "What to use for a task: the cosine, unless" in page


def test_costs_are_those_of_the_benchmarks(build: Build, tmp_path: Path) -> None:
    assert re.search(r"\| dot +\| - +\| - +\| - +\| - +\| - +\| - ", build("helps"))
    write_benchmarks(tmp_path / "bench")
    page = build("helps", bench=tmp_path / "bench")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    assert ["euclidean (cosine)", "10", "1", "0.5", "1", "512", "lifted"] in rows
    assert ["hyperbolic_free", "15", "1.5", "0.75", "1.5", "516", "lifted"] in rows
    assert ["hybrid_free", "20", "2", "-", "-", "512", "as stored"] in rows


def test_the_same_verdicts_give_the_same_bytes(build: Build) -> None:
    assert build("helps", "lineage") == build("helps", "lineage")
