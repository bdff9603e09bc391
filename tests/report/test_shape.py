"""The page of shape: its first sentence counts what its tables hold."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.analyze.shape import analyze_shape
from geomix.analyze.trained import Trained
from geomix.data.packed import open_packed
from geomix.errors import InputError
from geomix.files import write_json
from geomix.report.disks import choose_apart
from geomix.report.results import own, read_metrics
from geomix.report.shape import average_acted, build_shape, imply_curvature, read_shape
from tests.report.conftest import GEOMETRIES, STUDIES

CHOSEN = {name: {"tau": 0.2} for name in GEOMETRIES}
FILES = ["README.md", "delta.png", "disk.png", "radii.png", "shape.csv", "umap.png"]


@pytest.fixture(scope="module")
def kept_analysis(
    tmp_path_factory: pytest.TempPathFactory, kept_results: Path, kept_packed: Path
) -> Path:
    """Return the folder of the analysis of two studies, which all tests share."""
    runs = {name: kept_results.parent / "runs" / name for name in ("compare", "tau")}
    folder = tmp_path_factory.mktemp("analysis")
    packed = open_packed(kept_packed)
    analyze_shape(Trained(packed, STUDIES, runs, "tau", "compare", CHOSEN), folder)
    return folder


@pytest.fixture
def folders(kept_analysis: Path, results: Path) -> tuple[Path, dict[str, Path]]:
    """Return a copy of the analysis, and the folders of the results of both studies."""
    write_json(results / "tau" / "chosen.json", CHOSEN)
    analysis = shutil.copytree(kept_analysis, results / "analysis")
    return Path(analysis), {name: results / name for name in ("compare", "tau")}


def test_the_page_says_what_its_table_holds(
    folders: tuple[Path, dict[str, Path]], kept_packed: Path
) -> None:
    analysis, studies = folders
    files = build_shape(analysis, studies, kept_packed, GEOMETRIES)
    assert sorted(files) == FILES
    page = files["README.md"].decode()
    first = page.split("\n")[2]
    assert first.startswith("**On patterns, ")
    assert len(first.split()) <= 30
    table = pd.read_csv(analysis / "shape.csv")
    table = table[table["geometry"].isin(["hyperbolic", "hybrid"])]
    lower = table["relative_delta"] < table["relative_delta_gaussian"]
    count = lower.groupby([table["study"], table["geometry"]]).all().sum()
    words = {0: "no ball is", 1: "1 of 4 balls is"}.get(count, f"{count} of 4 balls are")
    assert f"{words} more tree-like than Gaussian points" in first
    assert "hybrid (tau 0.2)" in page
    assert max(line.count("|") for line in page.split("\n")) <= 8
    assert not re.search(r"\bnan\b|None|\{", page)
    assert build_shape(analysis, studies, kept_packed, GEOMETRIES) == files


def test_a_page_of_one_seed_has_no_spread_over_seeds(
    folders: tuple[Path, dict[str, Path]], kept_packed: Path
) -> None:
    analysis, studies = folders
    several = build_shape(analysis, studies, kept_packed, GEOMETRIES)["README.md"].decode()
    assert "means over 2 seeds; ± is one standard deviation over seeds." in several
    assert "they leave the seeds as they are." in several
    for name in ("shape.csv", "radii.csv"):
        table = pd.read_csv(analysis / name)
        table[table["seed"] == 0].to_csv(analysis / name, index=False)
    page = build_shape(analysis, studies, kept_packed, GEOMETRIES)["README.md"].decode()
    assert "means over 1 seed. " in " ".join(page.split())
    assert not any(words in page for words in ("±", "standard deviation", "mean over seeds"))
    assert not re.search(r"\bnan\b", page)


def test_points_at_the_clip_radius_are_not_free(
    folders: tuple[Path, dict[str, Path]], kept_packed: Path
) -> None:
    analysis, studies = folders
    acted = pd.concat(
        average_acted(read_metrics(folder), CHOSEN if name == "tau" else None, GEOMETRIES).assign(
            study=name
        )
        for name, folder in studies.items()
    )
    shape = read_shape(analysis, acted)
    assert [row["label"] for row in shape.free] == ["hybrid", "hybrid (tau 0.2)"]
    assert len(shape.forced) == 6
    assert shape.widest in shape.free
    assert [row["label"] for row in shape.correlated] == ["hybrid", "hybrid (tau 0.2)"]


def test_what_acted_is_that_of_the_chosen_values(results: Path) -> None:
    metrics = read_metrics(results / "tau")
    found = average_acted(metrics, CHOSEN, GEOMETRIES).set_index("geometry")
    rows = own(metrics, "test")
    rows = rows[(rows["geometry"] == "hybrid") & (rows["tau"] == 0.2)]
    assert len(rows) == 2
    assert found.loc["hybrid", "bend"] == pytest.approx(rows["bend"].mean())
    assert found.loc["hybrid", "values"] == "tau 0.2"


def test_a_missing_table_is_named(folders: tuple[Path, dict[str, Path]], kept_packed: Path) -> None:
    analysis, studies = folders
    (analysis / "radii.csv").unlink()
    with pytest.raises(InputError, match=r"radii\.csv: not found; expected it from an earlier"):
        build_shape(analysis, studies, kept_packed, GEOMETRIES)


def test_a_tree_implies_no_curvature() -> None:
    assert imply_curvature(0.288) == pytest.approx(0.25)
    assert np.isnan(imply_curvature(0))


def test_thumbnails_are_apart() -> None:
    places = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    chosen = choose_apart(places, 0.2)
    gaps = np.abs(places[chosen][:, None] - places[chosen]).max(2) + np.eye(len(chosen))
    assert gaps.min() >= 0.2
    assert (np.abs(places[:, None] - places[chosen]).max(2).min(1) < 0.2).all()
