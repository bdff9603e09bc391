"""The page of a search: the winner, the plateau, edges, failures; the figure repeats."""

import math
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from geomix.config.read import load
from geomix.config.stages import SearchPageParams
from geomix.config.tuning import Range, Ranges
from geomix.data.packed import open_packed
from geomix.report.search import Search, build_search
from geomix.tune.history import Trial
from geomix.tune.summary import place_winner, tabulate_trials
from tests.conftest import ROOT
from tests.report.made_winners import tuned_study

RANGES: Ranges = {
    "tau": Range(low=0.01, high=1, log=True),
    "optim.learning_rate": Range(low=0.0005, high=0.01, log=True),
}


def make_search(geometry: str, taus: list[float], scores: list[float]) -> Search:
    """Return a search of three rounds of two trials."""
    history = [
        Trial(
            at // 2 + 1,
            f"{at % 2:02d}",
            {"tau": tau, "optim.learning_rate": 0.002},
            score,
            0.01 if score > 0 else math.nan,
            "found loss nan" if math.isnan(score) else "",
        )
        for at, (tau, score) in enumerate(zip(taus, scores, strict=True))
    ]
    importance = {"tau": 0.9, "optim.learning_rate": 0.1}
    trials = tabulate_trials(RANGES, history)
    return Search(geometry, trials, place_winner(RANGES, history), importance)


SEARCHES = [
    make_search("euclidean", [0.1, 0.2, 0.15, 0.3, 0.12, 0.11], [0.3, 0.2, 0.35, 0.31, 0.345, 0.1]),
    make_search("power", [0.1, 0.2, 0.05, 0.02, 0.01, 0.03], [0.3, math.nan, 0.2, 0.32, 0.4, 0.1]),
]


STUDY = tuned_study(["euclidean", "power"], trials=2)


@pytest.fixture(scope="module")
def params() -> SearchPageParams:
    return load(SearchPageParams, path=ROOT / "params.yaml")


@pytest.fixture(scope="module")
def files(kept_packed: Path, params: SearchPageParams) -> dict[str, bytes]:
    return build_search(STUDY, SEARCHES, open_packed(kept_packed), params)


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table whose first line has a heading."""
    lines = page.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("|") and heading in line)
    table = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_the_first_sentence_names_the_best_and_counts_edges_in_at_most_30_words(
    files: dict[str, bytes],
) -> None:
    answer = files["README.md"].decode().splitlines()[2]
    assert answer.startswith(
        "**On patterns, power scores highest on val: 40.0 % MAP@R after 6 trials"
    )
    assert "no other within one standard error; 1 geometry's best setting lies at an edge" in answer
    assert len(answer.split()) <= 30


def test_the_tables_say_what_was_found_and_where(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    assert rows_of(page, "gained after round 1") == [
        ["euclidean (cosine)", "6", "0", "35.0 ± 1.0", "2", "+5.0", "2"],
        ["power", "6", "1", "40.0 ± 1.0", "3", "+10.0", "1"],
    ]
    first, _, third, _ = rows_of(page, "importance, %")
    assert first == ["euclidean", "tau", "0.01 to 1, log", "0.15", "0.12 to 0.15", "inside", "90.0"]
    assert third[3:6] == ["0.01", "0.01", "**at an edge**"]
    assert "At an edge of what was searched: power (tau 0.01)." in page
    assert "12 cells" in page


def test_folds_are_counted_and_told(kept_packed: Path, params: SearchPageParams) -> None:
    packed = open_packed(kept_packed)
    study = tuned_study(["euclidean", "power"], trials=2, folds=3)
    files = build_search(study, SEARCHES, packed, params)
    page = files["README.md"].decode()
    assert "36 cells" in page
    assert "in each of 3 divisions of train and val" in page


def test_the_page_is_about_one_data_set_and_says_how_to_adopt(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    assert "`make adopt GEOMETRY=power DATASET=patterns`" in page
    settings = YAML(typ="safe").load(page.partition("```yaml\n")[2].partition("```")[0])
    assert settings["tune"]["budget"]["trials"] == 2
    assert settings["tune"]["run"]["geometries"] == list(settings["geometry"])
    assert "omniglot" not in page


def test_the_table_of_trials_has_each_of_them(files: dict[str, bytes]) -> None:
    lines = files["trials.csv"].decode().splitlines()
    assert lines[0] == (
        "geometry,round,trial,tau,optim.learning_rate,"
        "score,standard_error,best_so_far,winner,plateau,failure"
    )
    assert len(lines) == 13
    assert lines[8] == "power,1,01,0.2,0.002,,,0.300000,False,False,found loss nan"


def test_the_files_are_the_same_on_every_run(
    files: dict[str, bytes], kept_packed: Path, params: SearchPageParams
) -> None:
    again = build_search(STUDY, SEARCHES, open_packed(kept_packed), params)
    assert again == files
    assert files["figure.png"].startswith(b"\x89PNG")
