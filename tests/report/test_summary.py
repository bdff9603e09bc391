"""The page of the default flow: the study that answers, then the others."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from geomix.config.studies import Study
from geomix.report.findings import Findings
from geomix.report.results import Results
from geomix.report.summary import build_summary
from tests.report.conftest import GEOMETRIES, ONE_SEED, STUDIES, make_study, write_one_seed
from tests.report.made_lineages import BEST, REACHED, TAUS, make_baselines, make_results
from tests.report.made_winners import SPACES, write_study


@pytest.fixture
def files(kept_results: Path, kept_packed: Path) -> dict[str, bytes]:
    """Return the files of the page."""
    return build_summary(kept_results, kept_packed, STUDIES, "tau", GEOMETRIES)


def test_numbers_are_those_that_each_study_found(
    files: dict[str, bytes], found: dict[str, Findings]
) -> None:
    numbers = json.loads(files["metrics.json"])
    assert list(numbers) == ["tau", "compare", "curvature", "rate", "grid"]
    for name, one in found.items():
        for geometry, row in one.chosen.items():
            said = numbers[name][geometry]
            assert said["test_recall_at_1"] == pytest.approx(row["recall_at_1"], abs=1e-6)
            assert {axis: said[axis] for axis in one.axes} == {axis: row[axis] for axis in one.axes}


def test_the_page_answers_and_leads_to_all_others(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    assert page.splitlines()[2].startswith("**On patterns, ")
    for name in STUDIES:
        assert f"({name}/README.md)" in page
    assert "(dataset/README.md)" in page
    assert "nan" not in page.partition("<details>")[0]


def test_intervals_and_spreads_are_explained_where_there_are_any(
    files: dict[str, bytes], results: Path, kept_packed: Path
) -> None:
    explained = (
        "Bars are one standard",
        "95 % interval",
        "± is one standard",
        "No difference found",
    )
    page = files["README.md"].decode()
    assert all(words in page for words in explained)
    write_one_seed(results)
    one = build_summary(results, kept_packed, ONE_SEED, "tau", GEOMETRIES)["README.md"].decode()
    assert not any(words in one for words in (*explained, "±", "interval", "standard deviation"))
    assert "One seed, so there are no error bars, and markers are hollow." in one


def test_a_score_that_is_missing_is_none_and_no_nan(results: Path, kept_packed: Path) -> None:
    path = results / "tau" / "metrics.csv"
    metrics = pd.read_csv(path)
    metrics.loc[metrics["geometry"] == "flat", "recall_at_1"] = math.nan
    metrics.to_csv(path, index=False)
    files = build_summary(results, kept_packed, STUDIES, "tau", GEOMETRIES)
    numbers = json.loads(files["metrics.json"], parse_constant=pytest.fail)
    assert numbers["tau"]["flat"] == {"tau": 0.05, "test_recall_at_1": None}
    page = files["README.md"].decode().partition("<details>")[0]
    assert "nan" not in page
    assert "- R@1 of test: no number in 2 of 8 cells." in page


LINEAGES: dict[str, Study] = {
    "compare": make_study(list(REACHED), "0-2"),
    "tau": make_study(list(REACHED), "0-2", tau=TAUS),
    "aa": make_study(["flat_free"], "0-2"),
}


@pytest.fixture
def lineages(tmp_path: Path, kept_packed: Path) -> dict[str, bytes]:
    """Return the files of the page of lineages."""

    def write(name: str, results: Results) -> None:
        write_study(tmp_path / name, results.metrics.to_dict("records"), {})

    write("tau", make_results())
    write("compare", make_results(taus=[BEST]))
    write("aa", make_results({"flat_free": REACHED["flat_free"]}, taus=[BEST]))
    write("baselines", make_baselines())
    return build_summary(tmp_path, kept_packed, LINEAGES, "tau", SPACES)


def test_the_page_of_lineages_answers_in_both_directions(lineages: dict[str, bytes]) -> None:
    page = lineages["README.md"].decode()
    assert page.splitlines()[2] == (
        "**On patterns, curved hyperbolic_free leads in neither direction: 81.2 % against 87.2 of"
        " dot (leaf to ancestors), 61.0 % against 73.9 of euclidean (inner node to leaves).**"
    )
    for words in ("R@1", "MAP@R", "nan"):
        assert words not in page.partition("<details>")[0]
    for name in ("tau", "compare"):
        assert f"({name}/README.md)" in page
    assert "(tau/figure.png)" in page
    assert "(aa/README.md)" not in page  # one geometry answers nothing
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7


def test_numbers_of_lineages_are_both_directions_and_their_mean(
    lineages: dict[str, bytes],
) -> None:
    numbers = json.loads(lineages["metrics.json"])
    assert list(numbers) == ["tau", "compare", "aa"]
    found = numbers["tau"]["dot"]
    assert found["tau"] == BEST
    up, down = REACHED["dot"]
    assert found["test_leaf_ancestors"] == pytest.approx(up)
    assert found["test_inner_leaves"] == pytest.approx(down)
    assert found["test_lineage_score"] == pytest.approx((up + down) / 2)
    assert "tau" not in numbers["compare"]["dot"]
