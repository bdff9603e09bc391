"""The page of a verdict: it answers first, in at most 30 words, and its summary says the same."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from geomix.data.packed import open_packed
from geomix.files import read_json, write_json
from geomix.report import gap
from geomix.report.lineage import DIRECTIONS
from geomix.report.questions import FLAT
from geomix.report.render import _environment
from geomix.report.verdict import MEANINGS
from geomix.report.verdict_page import Terms, VerdictPage, build_verdict
from tests.conftest import write_packed
from tests.report.made_winners import NAMES, SPACES, Made, tuned_study, write_tree

SPLITS = (1, 2)
BALL = {"hyperbolic_free": 5, "hybrid_free": 10}
LINEAGES: dict[str, Any] = {"metrics": tuple(DIRECTIONS)}
KINDS: dict[str, dict[str, Any]] = {
    "helps": {"gains": BALL},
    "hurts": {"gains": {"dot": 9}},
    "equal within the margin": {},
    "not decidable": {"noise": 9},
    "could not act": {"forced": ["hyperbolic_free"]},
    "not used": {"unused": ["hyperbolic_free"]},
    "training failed": {"baseline": 80},
    "not calibrated": {"calibrated": False},
    "one seed, not tested": {"seeds": 1},
    "not asked": {"names": NAMES[:4] + NAMES[5:]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Return packed data sets: of classes, and of lineages."""
    root = tmp_path_factory.mktemp("packed")
    write_packed(root / "classes", classes=60)
    write_tree(root / "tree")
    return {False: root / "classes", True: root / "tree"}


Build = Callable[..., VerdictPage]


@pytest.fixture
def build(tmp_path: Path, folders: dict[bool, Path]) -> Build:
    """Return what builds the page of made-up winners."""

    def build(calibrated: bool = True, **made: Any) -> VerdictPage:
        one = Made(**made)
        root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        data = folders[one.lineages]
        one.write(root, open_packed(data), SPLITS)
        terms = Terms(
            study=tuned_study(one.names, splits=list(SPLITS)),
            geometries=SPACES,
            trained="lineage" if one.lineages else "class",
            metric=one.metrics[0],
            margin=1,
        )
        return build_verdict(terms, root / "results", root / "settings", data, calibrated, {})

    return build


def text_of(page: VerdictPage) -> str:
    return page.files["README.md"].decode()


def first_sentence(page: VerdictPage) -> str:
    return text_of(page).splitlines()[2].strip("*")


@pytest.mark.parametrize("word", KINDS)
def test_the_first_sentence_answers_whatever_was_found(build: Build, word: str) -> None:
    page = build(**KINDS[word])
    assert page.summary["tasks"][0]["verdicts"]["curvature"]["word"] == word
    sentence = first_sentence(page)
    assert sentence.startswith("On patterns, ")
    assert len(sentence.split()) <= 30
    text = text_of(page).partition("<details>")[0]
    assert "nan" not in text
    assert "None" not in text
    widths = [line.count("|") - 1 for line in text.splitlines() if line.startswith("|")]
    assert max(widths) <= 7


@pytest.mark.parametrize("of", [{}, LINEAGES])
def test_a_page_of_one_seed_has_no_interval_and_no_spread(build: Build, of: dict[str, Any]) -> None:
    several, one = (text_of(build(**of, seeds=seeds)) for seeds in (3, 1))
    explained = ("95 %", "±", "standard deviation", "p-values", "with intervals and the margin")
    for words in explained:
        assert words in several
        assert words not in one
    assert "One seed does not tell how far another would differ" in " ".join(one.split())


def test_a_val_that_is_too_small_is_warned_of_where_it_chose(build: Build) -> None:
    said = "**Warning:** Val has 20 classes, too few to choose settings by"
    assert said in text_of(build())
    assert "**Warning:**" not in text_of(build(**LINEAGES))


@pytest.mark.parametrize("decisive", ["euclidean", "dot"])
def test_sentences_of_lineages_are_short_whatever_was_found(build: Build, decisive: str) -> None:
    summary = build(**LINEAGES, gains=BALL).summary
    one = summary["tasks"][0]["verdicts"]["curvature"]
    words: Any = _environment().get_template("verdict_words.md.j2").module
    for word in MEANINGS:
        one |= {"word": word, "missing": ["hyperbolic_free", *FLAT], "decisive": decisive}
        sentence = words.answer(summary).strip()
        assert sentence.startswith("On patterns, ")
        assert sentence.endswith(".")
        assert len(sentence.split()) <= 30, sentence
        read = "helps", "hurts", "equal within the margin", "not decidable", "not credited"
        assert (" from leaf to ancestors and back: " in sentence) == (word in read)


def test_a_gain_of_the_mean_that_no_direction_has_is_said_to_be_one(build: Build) -> None:
    said = "In neither alone does the verdict say that curvature helps."
    assert said not in text_of(build(**LINEAGES, gains=BALL))
    summary = build(**LINEAGES, gains=BALL).summary
    for task in summary["tasks"][1:]:
        task["verdicts"]["curvature"]["word"] = "not decidable"
    words: Any = _environment().get_template("verdict_words.md.j2").module
    assert said in words.divided(summary)
    summary["tasks"][0]["verdicts"]["curvature"]["word"] = "not decidable"
    assert not words.divided(summary).strip()


def test_other_splits_compare_with_the_control_that_decides(build: Build) -> None:
    page = build(gains=BALL | {"dot": 4})
    one = page.summary["tasks"][0]["verdicts"]["curvature"]
    row = re.search(r"^\| the tuned one +\| ([^ ]+)", text_of(page), flags=re.MULTILINE)
    assert row
    assert row.group(1) == f"{100 * one['gain']['mean']:+.1f}"
    guarded = text_of(build(**KINDS["not used"]))
    assert re.search(r"^\| the tuned one +\| \([+-]", guarded, flags=re.MULTILINE)


@pytest.mark.parametrize("fold", [1e9, 0])  # that alone forbids or allows nothing
def test_the_page_says_how_often_the_variance_over_seeds_is_pooled(
    monkeypatch: pytest.MonkeyPatch, build: Build, fold: float
) -> None:
    monkeypatch.setattr(gap, "FOLD", fold)
    page = build(gains=BALL)
    said = re.search(r"it is in (\d+) of the (\d+) diff", " ".join(text_of(page).split()))
    assert said
    assert int(said.group(2)) == page.files["contrasts.csv"].count(b"\n") - 1
    assert (int(said.group(1)) > 0) == (fold > 0)


def test_the_sentence_has_the_figures_of_the_table(build: Build) -> None:
    page = build(gains=BALL)
    one = page.summary["tasks"][0]["verdicts"]["curvature"]
    gain = {key: f"{100 * value:+.1f}" for key, value in one["gain"].items()}
    figures = f"{gain['mean']} [{gain['low']}, {gain['high']}]"
    assert first_sentence(page) == (
        f"On patterns, curvature helps: hyperbolic_free gains {figures} points of test MAP@R over"
        f" {one['decisive'].replace('euclidean', 'euclidean (cosine)')}, the hardest to beat of 5"
        " controls."
    )
    assert re.search(rf"\| curvature .*\| helps .*{re.escape(figures)}", text_of(page))


def test_a_loss_is_one_to_the_control_that_val_chose(build: Build) -> None:
    page = build(gains={"dot": 9, "chord": 3}, val={"chord": 80})
    one = page.summary["tasks"][0]["verdicts"]["curvature"]
    assert (one["word"], one["controls"][0], one["decisive"]) == ("hurts", "chord", "chord")
    assert f"{100 * one['gain']['mean']:+.1f} [" in first_sentence(page)
    assert "from chord, val's choice of 5 controls." in first_sentence(page)


def test_a_ball_that_could_not_act_stands_beside_its_best_trial_that_could(build: Build) -> None:
    page = " ".join(text_of(build(**KINDS["could not act"])).split())
    said = "without a clip radius or layer norm is 10.0 points lower on val than the winner"
    assert f"The best trial of hyperbolic_free {said}, whose standard error is 3.0." in page
    assert "without a clip radius" not in text_of(build(**KINDS["not used"]))


def test_a_ball_stands_beside_its_flat_limit_where_another_control_decides(build: Build) -> None:
    page = build(gains={"dot": 9, "hyperbolic_free": 4}, val={"dot": 80})
    one = page.summary["tasks"][0]["verdicts"]["curvature"]
    assert (one["word"], one["decisive"], one["limit"]["control"]) == ("hurts", "dot", "flat_free")
    gain = [f"{100 * one['limit']['gain'][key]:+.1f}" for key in ("mean", "low", "high")]
    said = "from its flat limit flat_free, tuned by itself, is {} [{}, {}] points."
    assert said.format(*gain) in " ".join(text_of(page).split())
    assert float(gain[1]) > 0
    assert first_sentence(page).startswith(
        "On patterns, flat geometry wins: hyperbolic_free differs"
    )


@pytest.mark.parametrize("word", KINDS)
def test_a_difference_that_a_guard_forbids_to_read_stands_in_round_brackets(
    build: Build, word: str
) -> None:
    page = text_of(build(**KINDS[word]))
    row = next(line for line in page.splitlines() if line.startswith("| curvature "))
    difference = row.split("|")[4].strip()
    read = word in ("helps", "hurts", "equal within the margin", "not decidable")
    assert difference == "-" if word == "not asked" else difference.startswith("(") != read
    bracketed = re.search(r"\| \([+-]", page)
    assert ("In round brackets are differences" in page) == bool(bracketed)


def test_what_to_use_stands_below_the_answer_with_the_rule(build: Build) -> None:
    page = text_of(build(gains=BALL))
    assert page.splitlines()[4].startswith("On patterns, use `hybrid_free` at tau 0.1, norm batch")
    assert "- What to use for a task: the cosine, unless a geometry is surely better" in page
    default = text_of(build()).splitlines()[4]
    assert default.startswith(
        "On patterns, use the cosine (`euclidean`) at tau 0.1, norm batch: no"
    )


def test_the_cosine_is_not_called_euclidean_alone(build: Build) -> None:
    page = text_of(build())
    assert re.search(r"\| chord against euclidean \(cosine\) ", page)
    assert re.search(r"^\| euclidean \(cosine\) +\| cosine ", page, flags=re.MULTILINE)


def test_lineages_have_both_directions_apart_and_rankings_that_ignore_the_query(
    build: Build,
) -> None:
    page = build(**LINEAGES, gains=BALL)
    text = text_of(page)
    assert re.match(
        r"On patterns, curvature helps from leaf to ancestors and back: hyperbolic_free gains \+\d",
        first_sentence(page),
    )
    metrics = [task["metric"] for task in page.summary["tasks"]]
    assert metrics == ["lineage_score", *DIRECTIONS]
    directions = ("From leaf to ancestors", "From inner node to leaves")
    for words in ("From leaf to ancestors and back", *directions):
        assert f"\n## {words}\n" in text
    assert re.search(r"\| ranking by descendants .*\| 30\.0 .*\| 30\.0 .*\| 30\.0 ", text)
    assert re.search(r"\| raw vectors .*\| 20\.0 .*\| 20\.0 .*\| 20\.0 ", text)


def test_other_splits_have_the_gain_over_the_best_control_there(
    build: Build, tmp_path: Path
) -> None:
    text = text_of(build(gains=BALL))
    rows = [line for line in text.splitlines() if re.match(r"\| (the tuned one|1|2) ", line)]
    assert len(rows) == 3
    table = pd.read_csv(tmp_path / "0/results/winners/2/metrics.csv")
    means = table[table["similarity"] == "own"].groupby("geometry")["map_at_r"].mean()
    best = means[["euclidean", "chord", "power", "flat_free", "dot"]].max()
    assert f"| {100 * (means['hyperbolic_free'] - best):+.1f} " in rows[2]
    assert rows[0] != rows[1] != rows[2]


def test_settings_and_use_stand_beside_the_scores(build: Build) -> None:
    page = build(gains=BALL, forced=["hybrid_free"])
    text = text_of(page)
    row = next(line for line in text.splitlines() if line.startswith("| hybrid_free "))
    assert "tau 0.1, norm batch, curvature 0.7" in row
    assert "could not act" in row
    winner = page.summary["winners"]["hybrid_free"]
    assert winner["settings"] == {"tau": 0.1, "head.norm": "batch", "curvature": 0.7}
    assert winner["val"] == pytest.approx(0.6)
    assert winner["test"]["map_at_r"] == pytest.approx([0.6, 0], abs=0.01)


def test_the_table_of_contrasts_has_every_control(build: Build) -> None:
    page = build(gains=BALL)
    lines = page.files["contrasts.csv"].decode().splitlines()
    assert len(lines) == 1 + 5 + 1 + 1 + 1 + 1 + 7
    assert lines[0].startswith("task,metric,question,verdict,setting,control,named,mean,low,high")


def test_the_summary_survives_as_json(build: Build, tmp_path: Path) -> None:
    for word in ("helps", "one seed, not tested", "not asked"):
        summary = build(**KINDS[word]).summary
        path = tmp_path / "summary.json"
        write_json(path, summary)
        assert read_json(path) == summary
        path.unlink()


@pytest.mark.parametrize("made", [{"gains": BALL}, {**LINEAGES, "seeds": 1}])
def test_the_same_results_give_the_same_bytes(build: Build, made: dict[str, Any]) -> None:
    first, second = build(**made), build(**made)
    assert first == second


def test_a_search_without_further_splits_has_no_table_of_them(
    tmp_path: Path, folders: dict[bool, Path]
) -> None:
    Made().write(tmp_path, open_packed(folders[False]))
    terms = Terms(tuned_study(NAMES), SPACES, "class", "map_at_r", 0.5)
    page = build_verdict(
        terms, tmp_path / "results", tmp_path / "settings", folders[False], True, {}
    )
    assert "Other class splits" not in text_of(page)
    assert "0.5 points do not matter" in text_of(page)


def test_lineages_without_ancestors_are_judged_as_the_classes_they_were_scored_as(
    tmp_path: Path, folders: dict[bool, Path]
) -> None:
    Made(gains=BALL).write(tmp_path, open_packed(folders[False]))
    terms = Terms(tuned_study(NAMES), SPACES, "lineage", "map_at_r", 1)
    page = build_verdict(
        terms, tmp_path / "results", tmp_path / "settings", folders[False], True, {}
    )
    assert [task["name"] for task in page.summary["tasks"]] == ["classes"]


def test_the_provenance_is_that_of_the_data_set_alone(build: Build) -> None:
    settings = text_of(build()).partition("```yaml\n")[2].partition("```")[0]
    found = YAML(typ="safe").load(settings)
    assert found["tune"]["run"]["geometries"] == list(NAMES)
    assert found["tune"]["budget"] == {
        "trials": 8,
        "folds": 1,
        "seeds": ["10-14"],
        "splits": list(SPLITS),
    }
    assert found["tune"]["search"]["tau"] == {"low": 0.01, "high": 3, "log": True}
    assert found["tune"]["own"] == {}
    assert found["verdict"] == {"metric": "map_at_r", "margin": 1}
    assert "omniglot" not in settings


def test_a_verdict_leads_to_the_winners_and_the_search(build: Build) -> None:
    text = text_of(build())
    assert "](../tune_winners/README.md), and [the search](../tune_search/README.md), which" in text


def test_where_nothing_can_be_asked_there_is_a_page_without_a_figure(build: Build) -> None:
    page = build(names=("euclidean", "hyperbolic_free"))
    assert set(page.files) == {"README.md"}
    assert "whether curvature helps was not asked, as chord, power," in first_sentence(page)
    assert "figure.png" not in text_of(page)
