"""The comparison page: every geometry, every search, every baseline; differences of the same queries."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomix.data.packed import Packed
from geomix.report import comparison
from geomix.report.comparison import (
    compare_geometries,
    comparison_page,
    level_rows,
    list_length,
    metric_rows,
    radius_rows,
)
from geomix.report.studies import Study, own, read_study

CELLS = {
    name: [f"{name}-0.1-0", f"{name}-0.1-1"]
    for name in ("euclidean", "flat", "hyperbolic", "hybrid")
}


def test_rows_name_the_vector_and_the_distance(results: Path) -> None:
    compare, baselines = read_study(results / "compare"), read_study(results / "baselines")
    rows = metric_rows([compare.metrics, baselines.metrics], "test")
    found = [(row["geometry"], row["searched"], row["seeds"]) for row in rows]
    assert ("hybrid", "head, own similarity", "2") in found
    assert ("hybrid", "head, cosine", "2") in found
    assert ("hybrid", "backbone, cosine", "2") in found
    assert ("raw pixels", "pixels, cosine", "1") in found
    assert ("untrained network", "backbone, cosine", "2") in found
    means = own(compare.metrics, "test").groupby("geometry")["recall_at_1"].mean()
    row = next(
        row
        for row in rows
        if row["geometry"] == "hybrid" and row["searched"] == "head, own similarity"
    )
    assert float(row["rank correlation with cosine"]) < 0.999
    assert row["R@1"].startswith(f"{100 * means['hybrid']:.1f} ± ")


def test_recall_stands_at_the_ranks_there_are_in_their_order(results: Path, packed: Packed) -> None:
    study = read_study(results / "compare")
    other = study.metrics.rename(
        columns={
            "recall_at_2": "recall_at_1000",
            "recall_at_4": "recall_at_100",
            "recall_at_8": "recall_at_10",
        }
    )
    other.loc[other["split"] == "val", "recall_at_1000"] = np.nan  # a gallery shorter than that
    names = ["R@1", "R@10", "R@100", "R@1000", "MRR", "MAP@R", "R-precision"]
    test, val = (metric_rows([other], split)[0] for split in ("test", "val"))
    assert [name for name in test if name in names] == names
    assert test["R@1000"] == metric_rows([study.metrics], "test")[0]["R@2"]
    assert val["R@1000"] == "-"
    assert list_length(Study(other, {}, []), packed) == "of 1000"
    assert (
        list_length(Study(other[["recall_at_1"]], {}, []), packed) == "as long as the largest class"
    )


def test_differences_are_of_every_two_geometries(results: Path, packed: Packed) -> None:
    study = read_study(results / "tau")
    classes = packed.samples["label"].to_numpy()[packed.rows("test")]
    differences = compare_geometries(study, CELLS, classes)
    assert len(differences) == 6
    means = own(study.metrics, "test").set_index("cell")["recall_at_1"]
    expected = means[CELLS["hyperbolic"]].mean() - means[CELLS["flat"]].mean()
    assert differences["hyperbolic", "flat"].mean == pytest.approx(expected)


def test_every_level_of_the_hierarchy_has_its_column(results: Path, packed: Packed) -> None:
    study = read_study(results / "tau")
    chosen = study.metrics[
        study.metrics["cell"].isin([cell for names in CELLS.values() for cell in names])
    ]
    rows = {
        row["geometry"]: row
        for row in level_rows(chosen, read_study(results / "baselines"), packed.card["levels"])
    }
    assert list(rows) == [*CELLS, "raw pixels", "untrained network"]
    means = (
        own(chosen, "test")
        .groupby("geometry")[["recall_at_1_kind", "recall_at_1_group", "recall_at_1"]]
        .mean()
    )
    for geometry, row in means.iterrows():
        assert [
            rows[geometry][f"R@1 by {level}"].split()[0] for level in ("kind", "group", "class")
        ] == [f"{100 * value:.1f}" for value in row]


def test_radii_and_rankings_are_described(results: Path) -> None:
    rows = {row["geometry"]: row for row in radius_rows(read_study(results / "compare"))}
    assert rows["euclidean"]["rankings"] == "cosine's, as it is cosine"
    assert rows["flat"]["rankings"].startswith("no curvature")
    assert rows["hyperbolic"]["at the clip radius, %"] == "100.0"
    assert rows["hyperbolic"]["rankings"].startswith("curvature did not act")
    assert rows["hybrid"]["rankings"].startswith("radii differ and rankings depart")


def test_the_page_has_its_picture_and_numbers(
    results: Path, packed: Packed, params: dict[str, Any]
) -> None:
    studies = [read_study(results / name) for name in ("compare", "tau", "baselines")]
    files, _ = comparison_page(studies[0], studies[1], CELLS, studies[2], packed, 3)
    assert sorted(files) == ["comparison.csv", "comparison.md", "neighbours.png"]
    page = files["comparison.md"].decode()
    assert "euclidean 0.1, flat 0.1, hyperbolic 0.1, hybrid 0.1" in page
    assert "nan" not in page


def test_the_picture_and_its_caption_are_of_one_seed(
    results: Path, packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(results / "compare")
    backwards = Study(study.metrics.iloc[::-1], study.per_query, study.machines)
    drawn: dict[str, list[list[tuple[np.ndarray, str]]]] = {}
    monkeypatch.setattr(
        comparison, "draw_neighbours", lambda *given: drawn.update(given[-1]) or b""
    )
    files, _ = comparison_page(
        backwards, read_study(results / "tau"), CELLS, read_study(results / "baselines"), packed, 3
    )
    assert "own similarity (seed\n0, tau 0.1)" in files["comparison.md"].decode()
    queries = np.sort(np.random.default_rng(0).choice(len(packed.rows("test")), 3, replace=False))
    found = study.per_query["flat-0/test/head/own/neighbours"][queries]
    labels = packed.samples["label"].to_numpy()[packed.rows("test")]
    assert [[label for _, label in line] for line in drawn["flat"]] == labels[found].tolist()
