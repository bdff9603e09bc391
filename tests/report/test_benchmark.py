"""The pages of a data set of the study over data sets."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from geomix.report.benchmark import build_benchmark


@pytest.fixture
def params() -> dict[str, Any]:
    """Give what trained the cells, as far as the pages read it."""
    backbone = {"name": "vit", "pretrained": False, "checkpoint": None, "side": None, "patch": 8}
    batch = {"classes": 2, "images": 2}
    return {"epochs": 3, "backbone": backbone, "batch": batch, "report": {"queries": 3}}


@pytest.fixture
def scored(results: Path) -> Path:
    """Give results of cells over the temperature, and of baselines."""
    shutil.move(results / "tau", results / "cells")
    return results


@pytest.fixture
def files(scored: Path, packed_folder: Path, params: dict[str, Any]) -> dict[str, bytes]:
    return build_benchmark(scored, packed_folder, params)


def test_links_of_the_pages_lead_somewhere(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if name.endswith(".md"):
            targets = [part.split(")")[0] for part in content.decode().split("](")[1:]]
            assert not set(targets) - set(files), name


def test_the_page_answers_at_the_temperatures_that_validation_chose(
    files: dict[str, bytes],
) -> None:
    page = files["README.md"].decode()
    assert page.startswith(
        "# patterns: does curved space help?\n\n**On patterns at curvature 0.5, "
    )
    assert "for hyperbolic and" in page.splitlines()[2]
    assert "Inside the grid: euclidean 0.1, flat 0.1, hyperbolic 0.1 and hybrid 0.1." in page
    rows = [
        line.split("|")[1].strip()
        for line in page.split("## Budget")[0].splitlines()
        if line.startswith("| ")
    ]
    assert rows[1:] == [
        "euclidean",
        "flat",
        "hyperbolic",
        "hybrid",
        "raw pixels",
        "untrained network",
    ]


def test_the_gain_over_raw_pixels_is_that_of_the_table(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    lines = [line for line in page.split("## Budget")[0].splitlines() if line.startswith("| ")]
    table = {line.split("|")[1].strip(): line.split("|")[4].strip() for line in lines}
    flat, pixels = (float(table[name].split(" ")[0]) for name in ("flat", "raw pixels"))
    (said,) = [part for part in page.split("raw pixels in")[1].split(",") if "flat by" in part]
    assert float(said.split("by ")[1].split(" ")[0]) == pytest.approx(flat - pixels, abs=0.11)


def test_a_geometry_below_raw_pixels_is_said_to_have_failed(
    scored: Path, packed_folder: Path, params: dict[str, Any]
) -> None:
    path = scored / "baselines" / "metrics.csv"
    lines = path.read_text().splitlines()
    column = lines[0].split(",").index("recall_at_1")
    worst = [
        ",".join("1.0" if place == column else value for place, value in enumerate(line.split(",")))
        for line in lines[1:]
    ]
    path.write_text("\n".join([lines[0], *worst]) + "\n")
    page = build_benchmark(scored, packed_folder, params)["README.md"].decode()
    assert "**Training did not help in euclidean, flat, hyperbolic and hybrid.**" in page


def test_the_budget_is_said(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    assert "24 cells, each trained from scratch for 3 passes over " in page
    assert "steps of 2 classes x 2 images, vit (patch 8)." in page
