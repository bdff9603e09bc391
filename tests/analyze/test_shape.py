"""What stage analyze writes of shape: a row for each cell, from the measures of the other files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from geomix.analyze.delta import four_point_delta
from geomix.analyze.metric import own_distances
from geomix.analyze.shape import analyze_shape, choose_samples, correlate, list_splits
from geomix.analyze.trained import Trained
from geomix.analyze.trees import cophenetic_correlation
from geomix.data.packed import Packed, open_packed
from geomix.files import read_json
from tests.report.conftest import STUDIES, choose_spaces, list_cells, write_cell

CHOSEN = {name: {"tau": 0.2} for name in ("euclidean", "flat", "hyperbolic", "hybrid")}
FILES = ["correlations.csv", "disk.csv", "layout.csv", "radii.csv", "shape.csv", "shape.json"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Trained:
    """Return cells whose classes stand apart, in four geometries and two seeds."""
    root, packed = tmp_path_factory.mktemp("trained"), open_packed(kept_packed)
    studies = {name: STUDIES[name] for name in ("compare", "tau")}
    for name, study in studies.items():
        for place, cell in list_cells(study):
            write_cell(root / name / place, packed, cell, choose_spaces(cell), 20 * cell["tau"])
    runs = {name: root / name for name in studies}
    return Trained(packed, studies, runs, "tau", "compare", CHOSEN)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """Return the folder of what was written."""
    folder = tmp_path_factory.mktemp("analysis")
    analyze_shape(trained, folder)
    return folder


def test_each_cell_has_a_row(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == FILES
    cells = pd.read_csv(out / "shape.csv")
    assert len(cells) == 2 * 4 * 2
    assert cells["study"].tolist() == ["compare"] * 8 + ["tau"] * 8
    radii = cells.groupby("geometry", sort=False)["radius_mean"].mean()
    assert radii.isna().tolist() == [True, False, False, False]
    assert cells["relative_delta"].between(0, 1).all()
    assert cells["relative_delta_gaussian"].between(0, 1).all()


def test_numbers_are_those_of_the_chosen_cell(out: Path, trained: Trained) -> None:
    cells = pd.read_csv(out / "shape.csv").set_index(["study", "geometry", "seed"])
    setting = next(one for one in trained.chosen_settings() if one.geometry == "hybrid")
    geometry, outputs = trained.read_head(setting, 1, "test")
    assert setting.values == {"tau": 0.2}
    samples = choose_samples(trained.packed)
    distances = own_distances(geometry, outputs[samples.paired])
    assert distances is not None
    assert samples.tree is not None
    row = cells.loc[("tau", "hybrid", 1)]
    expected = cophenetic_correlation(distances, samples.tree)
    assert row["cophenetic"] == pytest.approx(expected, rel=1e-5)
    radii = torch.linalg.vector_norm(outputs * 0.2, dim=1).clamp_max(2.3)
    assert row["radius_mean"] == pytest.approx(float(radii.mean()), rel=1e-5)


def test_histograms_count_every_sample(out: Path) -> None:
    bins = pd.read_csv(out / "radii.csv")
    sums = bins.groupby(["study", "geometry", "seed"])["count"].sum()
    assert sums.tolist() == [20] * 12
    assert "euclidean" not in bins["geometry"].tolist()


def test_clipped_radii_correlate_with_nothing(out: Path) -> None:
    table = pd.read_csv(out / "correlations.csv", dtype={"per_seed": str})
    assert table["against"].unique().tolist() == ["ambiguity"]
    found = table.set_index(["study", "geometry"])
    assert np.isnan(found.loc[("compare", "hyperbolic"), "mean"])
    hybrid = found.loc[("compare", "hybrid")]
    assert hybrid["low"] <= hybrid["mean"] <= hybrid["high"]
    per_seed = [float(one) for one in hybrid["per_seed"].split()]
    assert np.mean(per_seed) == pytest.approx(hybrid["mean"], rel=1e-4)


def test_the_disk_shows_the_ball_that_is_the_most_curved(out: Path, packed: Packed) -> None:
    cells = pd.read_csv(out / "shape.csv")
    mean = cells.groupby(["study", "geometry"])["radius_relative"].mean()
    shown = read_json(out / "shape.json")["disk"]
    assert (shown["study"], shown["geometry"], shown["seed"]) == (*mean.idxmax(), 0)
    disk = pd.read_csv(out / "disk.csv")
    assert sorted(disk["row"]) == packed.rows("test").tolist()
    assert (np.hypot(disk["x"], disk["y"]) < 1).all()


def test_the_tree_itself_has_no_delta(out: Path, trained: Trained) -> None:
    described = read_json(out / "shape.json")
    assert list(described["tree"]) == ["star", "distortion_of_equal", "same"]
    tree = choose_samples(trained.packed).tree
    assert tree is not None
    assert four_point_delta(tree).relative == 0
    assert 0 < described["tree"]["distortion_of_equal"] < 1
    assert not described["tree"]["star"]
    assert described["clusters"] == 4


def test_the_same_cells_give_the_same_bytes(out: Path, trained: Trained, tmp_path: Path) -> None:
    analyze_shape(trained, tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_radii_of_lineages_stand_against_levels(packed: Packed) -> None:
    paths = np.array(["a", "a/x", "a/x/p", "b", "b/y/z"])[np.arange(60) % 5]
    rooted = replace(packed, samples=packed.samples.assign(lineage=paths))
    assert list_splits(rooted) == ["train", "test"]
    samples = choose_samples(rooted)
    assert samples.depth is not None
    assert samples.depth.tolist() == [1, 2, 3, 1, 3] * 8
    radii = samples.depth + np.random.default_rng(0).uniform(0, 0.5, 40)
    found = correlate([radii, 9 - radii], [np.zeros((40, 2))] * 2, samples)
    assert found["against"] == "level"
    assert found["mean"] == pytest.approx(0)
    assert float(found["per_seed"].split()[0]) > 0.9
