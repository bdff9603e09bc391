"""Pages of studies: their shape says what is on them; numbers are those of the findings."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.stages import PageParams
from geomix.data.packed import open_packed
from geomix.errors import InputError
from geomix.report import page as module
from geomix.report.findings import Findings
from geomix.report.page import build_page, describe_lists, measure, sweep_rows
from geomix.report.render import write_folder
from geomix.report.results import Results, own, read_results
from geomix.report.text import figures, percent
from tests.report.conftest import ONE_SEED, SPACES, STUDIES, write_one_seed
from tests.report.made_winners import tuned_study

Build = Callable[[str], dict[str, bytes]]


@pytest.fixture(scope="module")
def build(kept_results: Path, kept_packed: Path, params: PageParams) -> Build:
    """Return what builds the page of a study."""

    def build(name: str) -> dict[str, bytes]:
        folders = kept_results / name, kept_results / "baselines", kept_packed
        return build_page(name, STUDIES[name], *folders, params)

    return build


@pytest.fixture(scope="module")
def pages(build: Build) -> dict[str, dict[str, bytes]]:
    """Return the files of each study."""
    return {name: build(name) for name in STUDIES}


def first_sentence(page: bytes) -> str:
    """Return the first sentence of a page."""
    line = next(line for line in page.decode().splitlines() if line and line[0] not in "#|!<")
    return re.split(r"(?<=[.!?])\s", line.replace("*", ""))[0]


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_page_is_whole_whatever_its_study_varies(
    pages: dict[str, dict[str, bytes]], name: str
) -> None:
    files = pages[name]
    drawn = {"figure.png"} if STUDIES[name].axes else set()
    assert set(files) == {"README.md", "summary.csv", "cells.csv", "neighbours.png"} | drawn
    page = files["README.md"].decode()
    targets = {part.split(")")[0] for part in page.split("](")[1:]}
    assert targets <= set(files)
    assert "nan" not in page.partition("<details>")[0]
    assert len(first_sentence(files["README.md"]).split()) <= 30
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7
    assert "- trained with: python 3, torch 2, timm 1 and device CPU" in page
    assert "images.npy, sha256" in page


def test_the_same_results_give_the_same_bytes(
    build: Build, pages: dict[str, dict[str, bytes]]
) -> None:
    assert build("tau") == pages["tau"]


def test_the_summary_has_both_splits_of_every_value(pages: dict[str, dict[str, bytes]]) -> None:
    table = pd.read_csv(io.BytesIO(pages["grid"]["summary.csv"]))
    assert len(table) == 2 * 2 * 3 * 2
    assert list(table.columns[:5]) == ["split", "geometry", "tau", "curvature", "seeds"]
    assert (table["seeds"] == 2).all()


def test_the_cells_are_all_those_of_the_study_and_the_baselines(
    pages: dict[str, dict[str, bytes]], kept_results: Path
) -> None:
    table = pd.read_csv(io.BytesIO(pages["compare"]["cells.csv"]))
    studies = {name: read_results(kept_results / name).metrics for name in ("compare", "baselines")}
    assert table["study"].value_counts().to_dict() == {
        name: len(metrics) for name, metrics in studies.items()
    }
    written = table[table["study"] == "compare"]["map_at_r"]
    assert written.to_numpy() == pytest.approx(studies["compare"]["map_at_r"], abs=1e-6)


def test_every_search_of_every_chosen_cell_is_measured(
    found: dict[str, Findings], baselines: Results
) -> None:
    rows = measure(found["tau"], baselines, "test")
    keys = [(row["geometry"], row["vector"], row["similarity"], row["seeds"]) for row in rows]
    assert ("hybrid", "head", "own", 2) in keys
    assert ("hybrid", "head", "cosine", 2) in keys
    assert ("hybrid", "backbone", "cosine", 2) in keys
    assert ("raw pixels", "pixels", "cosine", 1) in keys
    assert ("untrained network", "backbone", "cosine", 2) in keys
    row = rows[keys.index(("hybrid", "head", "own", 2))]
    assert row["recall_at_1"] == found["tau"].chosen["hybrid"]["recall_at_1"]
    assert row["rank_correlation"] < 0.999


def test_a_sweep_has_val_beside_test_and_marks_the_choice(found: dict[str, Findings]) -> None:
    rows = sweep_rows(found["tau"])
    assert len(rows) == 4 * 3 + 2
    metrics = found["tau"].results.metrics
    for row in rows[:12]:
        assert row["chosen"] == (row["tau"] == 0.1)
        for split, column in (("val", "recall_at_1_val"), ("test", "recall_at_1")):
            cells = own(metrics, split)
            cells = cells[(cells["geometry"] == row["geometry"]) & (cells["tau"] == row["tau"])]
            assert row[column] == pytest.approx(cells["recall_at_1"].mean())
    assert not rows[-1]["chosen"]


def test_what_acted_stands_on_the_page(
    pages: dict[str, dict[str, bytes]], found: dict[str, Findings]
) -> None:
    page = pages["compare"]["README.md"].decode()
    section = page.partition("## Did curvature act?")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines()]
    acted, kept = ([line for line in lines if len(line) == width] for width in (7, 6))
    for name, row in found["compare"].chosen.items():
        values = next(line for line in acted if line[0] == name)
        assert values[3] == figures(row["bend"])
        assert values[5:] == [figures(row["effective_negatives"]), "15"]
        assert (values[3] == "-") == (name in ("euclidean", "flat"))
        values = next(line for line in kept if line[0] == name)
        assert values[3] == percent(row["recall_at_1_int8"])
        assert (values[5] == "-") == (name == "hybrid")


def test_lists_are_as_long_as_the_deeper_of_class_and_recall(
    kept_results: Path, kept_packed: Path
) -> None:
    results, packed = read_results(kept_results / "tau"), open_packed(kept_packed)
    metrics, per_query = results.metrics, results.per_query
    deep = metrics.rename(columns={"recall_at_8": "recall_at_1000"})
    assert describe_lists(deep, packed, per_query) == "of 1000"
    shallow = metrics[["recall_at_1"]]
    assert describe_lists(shallow, packed, per_query) == "as long as the largest class"
    few = {
        name: np.r_[values[:2], np.full(len(values) - 2, np.nan)] if "map_at" in name else values
        for name, values in per_query.items()
    }
    said = describe_lists(shallow, packed, few)
    assert said.startswith("as long as the largest class for 2 of ")
    assert said.endswith("MRR, MAP@R and R-precision are of these")


@pytest.mark.parametrize("name", ["tau", "compare"])
def test_the_picture_is_drawn_at_the_settings_of_the_first_table(
    build: Build,
    found: dict[str, Findings],
    kept_packed: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(module, "draw_neighbours", lambda *given: drawn.update(given[-1]) or b"")
    page = build(name)["README.md"].decode()
    assert "and seed 0" in page
    packed, results = open_packed(kept_packed), found[name].results
    asked = np.sort(np.random.default_rng(0).choice(len(packed.rows("test")), 2, replace=False))
    cell = found[name].cells["flat"][0]
    nearest = results.per_query[f"{cell}/test/head/own/neighbours"][asked]
    labels = packed.samples["label"].to_numpy()[packed.rows("test")]
    assert [[label for _, label in line] for line in drawn["flat"]] == labels[nearest].tolist()


def test_a_page_that_cannot_be_built_leaves_the_old_one(
    pages: dict[str, dict[str, bytes]],
    results: Path,
    kept_packed: Path,
    params: PageParams,
    tmp_path: Path,
) -> None:
    out = tmp_path / "page"
    write_folder(pages["tau"] | {"old.png": b""}, out)
    write_folder(pages["tau"], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == pages["tau"]
    (results / "tau" / "metrics.csv").unlink()
    folders = results / "tau", results / "baselines", kept_packed
    with pytest.raises(InputError, match="metrics.csv: not found"):
        write_folder(build_page("tau", STUDIES["tau"], *folders, params), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == pages["tau"]


def test_a_page_of_winners_says_that_each_was_tuned(
    kept_results: Path, kept_packed: Path, params: PageParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = kept_results / "compare", kept_results / "baselines", kept_packed
    monkeypatch.setattr("geomix.report.findings.FAR_APART", 0)
    untuned = build_page("compare", STUDIES["compare"], *folders, params)["README.md"].decode()
    assert "one temperature" in untuned
    page = build_page("tune", tuned_study(list(SPACES)), *folders, params)["README.md"].decode()
    assert page.startswith("# patterns, tuned: euclidean, flat, hyperbolic and hybrid\n")
    assert "see [the search](../tune_search/README.md)" in page
    assert "One set of settings" not in page
    assert "one temperature" not in page
    # tau is the same in all cells here, but it was tuned
    assert "Held fixed" not in page


@pytest.mark.parametrize("name", ["tau", "curvature", "compare", "grid"])
def test_a_page_of_one_seed_has_no_interval_and_no_spread_over_seeds(
    results: Path, kept_packed: Path, params: PageParams, name: str
) -> None:
    write_one_seed(results)
    folders = results / name, results / "baselines", kept_packed
    page = build_page(name, ONE_SEED[name], *folders, params)["README.md"].decode()
    text = page.partition("<details>")[0]
    radii = re.compile(r"mean ± s\.d\. of points|\d\.\d{3} ± \d\.\d{3}")  # of one network
    for words in ("95 %", "interval", "±", "standard deviation", "Bars", "s.d.", "nan"):
        assert words not in radii.sub("", text), words
    assert ("One seed, so there are no error bars, and markers are hollow." in text) == (
        len(STUDIES[name].axes) == 1
    )
    assert "One seed does not tell how far another would differ, so nothing is tested." in text
    assert "one seed, not tested" in text
    several = len(STUDIES[name].geometries) > 1
    assert ("test R@1, points " in text) == several
    assert ("There is one geometry, so there is no difference." in text) != several


def test_a_page_of_several_seeds_explains_its_bars_brackets_and_spreads(
    pages: dict[str, dict[str, bytes]],
) -> None:
    text = pages["tau"]["README.md"].decode()
    assert (
        "Bars are one standard deviation over seeds on the left and in the middle, and 95 %" in text
    )
    assert "Brackets hold 95 % intervals; ± is one standard deviation over seeds." in text
    assert "test R@1, points [95 % interval]" in text
    assert "Percent, mean ± standard deviation over seeds, at the values above." in text
    assert "One seed" not in text
    # one seed of the geometry, and two of the untrained network
    mixed = pages["curvature"]["README.md"].decode()
    assert "One seed, so there are no error bars" in mixed
    assert "± is one standard deviation over seeds." in mixed
    assert "95 %" not in mixed
