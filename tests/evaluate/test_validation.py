"""Scores of trials: those of evaluate on val, over folds, with a standard error."""

import math
from pathlib import Path

import numpy as np
import pytest

from geomix.config.tuning import FAILED
from geomix.data.packed import Packed, open_packed
from geomix.errors import InputError
from geomix.evaluate.cells import read_cell
from geomix.evaluate.classes import score_classes
from geomix.evaluate.lineage import any_ancestor, score_lineages
from geomix.evaluate.validation import (
    Score,
    average_folds,
    cluster_error,
    score_trial,
    score_trials,
)
from geomix.files import write_json
from tests.conftest import write_packed
from tests.evaluate.conftest import GEOMETRIES, build_tree, draw_vectors, write_trained


def error_by_definition(values: list[float], clusters: list[str]) -> float:
    """Return the standard error of a mean over clusters, a cluster at a time."""
    mean = sum(values) / len(values)
    names = sorted(set(clusters))
    total = 0.0
    for name in names:
        deviation = sum(
            value - mean for value, own in zip(values, clusters, strict=True) if own == name
        )
        total += deviation**2
    return math.sqrt(len(names) / (len(names) - 1) * total) / len(values)


@pytest.mark.parametrize("seed", range(4))
def test_the_standard_error_is_that_of_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    clusters = [f"class {one}" for one in random.integers(0, 5, 23)]
    values = random.random(23)
    expected = error_by_definition(values.tolist(), clusters)
    assert cluster_error(values, np.array(clusters)) == pytest.approx(expected, rel=1e-12)


def test_clusters_of_one_value_give_the_usual_standard_error() -> None:
    values = np.array([0.1, 0.7, 0.2, 0.9, 0.4])
    usual = values.std(ddof=1) / math.sqrt(5)
    assert cluster_error(values, np.arange(5)) == pytest.approx(usual, rel=1e-12)


def test_values_that_a_cluster_shares_count_once() -> None:
    once = cluster_error(np.array([0.1, 0.7, 0.4]), np.arange(3))
    many = cluster_error(np.repeat([0.1, 0.7, 0.4], 50), np.repeat(np.arange(3), 50))
    assert many == pytest.approx(once, rel=1e-12)


def test_one_cluster_has_no_standard_error() -> None:
    assert math.isnan(cluster_error(np.array([0.1, 0.2]), np.array([3, 3])))
    assert math.isnan(cluster_error(np.empty(0), np.empty(0)))


def write_class_cells(runs: Path, packed: Packed, names: list[str]) -> None:
    for at, name in enumerate(names):
        vectors = draw_vectors(packed, ("head",), seed=at)
        write_trained(runs / name / "0", vectors, "class")


@pytest.mark.parametrize("metric", ["map_at_r", "recall_at_1"])
def test_a_cell_of_classes_scores_as_evaluate_scores_it_on_val(
    tmp_path: Path, kept_packed: Path, metric: str
) -> None:
    packed = open_packed(kept_packed)
    write_class_cells(tmp_path, packed, ["00"])
    rows = score_classes(read_cell(tmp_path / "00", "0"), packed)
    expected = next(row for row, _ in rows if (row["split"], row["similarity"]) == ("val", "own"))
    found = score_trial(tmp_path / "00", packed, metric)
    assert found.mean == pytest.approx(expected[metric], rel=1e-12)
    assert 0 < found.standard_error < 1
    assert found.failure == ""


@pytest.mark.parametrize("most", [4, 512])  # of 11 held-out samples
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_cell_of_lineages_scores_as_evaluate_scores_it_on_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: str, most: int
) -> None:
    monkeypatch.setattr("geomix.evaluate.lineage.QUERIES", most)
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "00" / "0", vectors, "lineage", geometry)
    rows = score_lineages(read_cell(tmp_path / "00", "0"), packed)
    expected = next(row for row, _ in rows if (row["split"], row["similarity"]) == ("val", "own"))
    found = score_trial(tmp_path / "00", packed, "map_at_r")
    assert found.mean == pytest.approx(expected["lineage_score"], rel=1e-12)
    assert found.standard_error > 0


def test_directions_of_lineages_err_together(tmp_path: Path) -> None:
    """Two directions of one score each have the error of one, not of two that are drawn apart."""
    packed, vectors = build_tree(), draw_vectors(build_tree(), ("head",))
    write_trained(tmp_path / "00" / "0", vectors, "lineage")
    cell = read_cell(tmp_path / "00", "0")
    kept = {
        key.rpartition("/")[2]: values
        for _, arrays in score_lineages(cell, packed)
        for key, values in arrays.items()
        if key.startswith("val/")
    }
    nodes = {split: packed.lineages.node[packed.rows(split)] for split in ("train", "val")}
    errors = []
    for name, split in (("leaf_ancestors", "val"), ("inner_leaves", "train")):
        known = ~np.isnan(kept[name])
        errors.append(cluster_error(kept[name][known].astype(float), nodes[split][known]))
    found = score_trial(tmp_path / "00", packed, "lineage_score")
    assert found.standard_error == pytest.approx(sum(errors) / 2, rel=1e-6)


def test_lineages_without_ancestors_score_as_classes(tmp_path: Path, kept_packed: Path) -> None:
    packed = open_packed(kept_packed)
    assert not any_ancestor(packed)
    vectors = draw_vectors(packed, ("head",))
    for task in ("class", "lineage"):
        write_trained(tmp_path / task / "0", vectors, task)
    scores = [score_trial(tmp_path / task, packed, "map_at_r") for task in ("class", "lineage")]
    assert scores[0] == scores[1]
    assert 0 < scores[0].mean < 1


def test_a_trial_scores_by_its_mean_over_folds(tmp_path: Path) -> None:
    names = ["00", "01"]
    data, runs = tmp_path / "data", tmp_path / "runs"
    packed = [open_packed(write_packed(data / fold)) for fold in "01"]
    for fold, order in enumerate((names[::-1], names)):
        write_class_cells(runs / str(fold), packed[fold], order)
    both = score_trials(runs, data, 2, names, "map_at_r")
    assert score_trials(runs, data, 1, names, "map_at_r") != both
    for name in names:
        scores = [score_trial(runs / str(at) / name, packed[at], "map_at_r") for at in (0, 1)]
        assert scores[0].mean != scores[1].mean
        assert both[name].mean == pytest.approx(sum(one.mean for one in scores) / 2)
        squares = sum(one.standard_error**2 for one in scores)
        assert both[name].standard_error == pytest.approx(math.sqrt(squares) / 2)


def test_a_trial_that_failed_in_a_fold_has_no_score(tmp_path: Path, kept_packed: Path) -> None:
    (tmp_path / "00").mkdir()
    write_json(tmp_path / "00" / FAILED, {"failure": "found loss nan"})
    found = score_trial(tmp_path / "00", open_packed(kept_packed), "map_at_r")
    assert (math.isnan(found.mean), found.failure) == (True, "found loss nan")
    both = average_folds([Score(0.5, 0.1), found])
    assert (math.isnan(both.mean), both.failure) == (True, "found loss nan")


def test_known_distances_are_not_tuned(tmp_path: Path, kept_packed: Path) -> None:
    packed = open_packed(kept_packed)
    write_trained(tmp_path / "00" / "0", draw_vectors(packed, ("head",)), "distances")
    with pytest.raises(InputError, match="task: found distances, expected one of class, lineage"):
        score_trial(tmp_path / "00", packed, "map_at_r")
