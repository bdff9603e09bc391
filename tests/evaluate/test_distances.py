"""Scores of distances: stress is its definition over pairs, counted once, and 0 where it should."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate import cells
from geomix.evaluate.acted import describe_points, radius_in_curvature, spread_degrees
from geomix.evaluate.score import score_study
from geomix.files import read_json, write_json
from geomix.geometry.geometry import geometry_from
from geomix.report.results import read_results
from tests.evaluate.conftest import (
    FLAT,
    GEOMETRIES,
    MACHINE,
    build_plane,
    build_tree,
    draw_vectors,
    write_raw,
    write_trained,
)

AFFINE = {"offset": 2.5, "factor": 0.7}
SETS = {"tree": build_tree, "plane": build_plane}


def distance(packed: Packed, i: int, j: int) -> float:
    """Return the target of two rows of the table, by a walk in the tree or by Pythagoras."""
    if "coordinates" in packed.card:
        a, b = (packed.samples.iloc[row] for row in (i, j))
        return math.sqrt((a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2)
    one, other = (packed.samples["lineage"].iloc[row].split("/") for row in (i, j))
    steps = 0
    while one != other:
        one, other = (one[:-1], other) if len(one) >= len(other) else (one, other[:-1])
        steps += 1
    return float(steps)


def errors_by_definition(
    packed: Packed, geometry: str, vectors: dict[str, np.ndarray], split: str
) -> dict[tuple[int, int], float]:
    """Return the error of each pair that counts for a split, by rows of the table i < j."""
    heads = {
        row: vectors[f"{part}_head"][place]
        for part in ("train", "val", "test")
        for place, row in enumerate(packed.rows(part))
    }
    space = geometry_from({"tau": 1.0, "spaces": GEOMETRIES[geometry]})
    points = {row: space.place(torch.tensor(head[None]).double()) for row, head in heads.items()}
    splits, errors = packed.samples["split"], {}
    for i in heads:
        for j in heads:
            one, other = splits.iloc[i], splits.iloc[j]
            counted = split in (one, other) and {one, other} <= {"train", split}
            target = distance(packed, i, j)
            if i < j and counted and target > 0:
                similarity = float(space.paired_similarity(points[i], points[j]))
                predicted = AFFINE["offset"] - AFFINE["factor"] * similarity
                errors[i, j] = (predicted - target) ** 2 / target**2
    return errors


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", SETS)
def test_stress_is_its_definition(tmp_path: Path, geometry: str, name: str) -> None:
    packed = SETS[name]()
    vectors = draw_vectors(packed, ("head", "backbone"))
    write_trained(tmp_path / "cell", vectors, "distances", geometry, affine=AFFINE)
    score_study(tmp_path, ["cell"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index("split")
    kept = np.load(tmp_path / "out" / "per_query.npz")
    assert list(metrics.index) == ["train", "val", "test"]
    assert set(zip(metrics["vector"], metrics["similarity"], strict=True)) == {("head", "own")}
    for split in ("train", "val", "test"):
        errors = errors_by_definition(packed, geometry, vectors, split)
        assert metrics.loc[split, "stress"] == pytest.approx(np.mean([*errors.values()]), rel=1e-8)
        by_sample = [
            np.mean([error for pair, error in errors.items() if row in pair])
            for row in packed.rows(split)
        ]
        assert kept[f"cell/{split}/head/own/stress"] == pytest.approx(by_sample, rel=1e-6)


def test_distances_of_a_plane_are_those_of_its_coordinates(tmp_path: Path) -> None:
    packed = build_plane()
    assert packed.coordinates is not None
    vectors = {
        f"{split}_head": packed.coordinates[packed.rows(split)].astype(np.float32)
        for split in ("train", "val", "test")
    }
    # the similarity is minus weight * 2 * |scale * (x - y)|
    affine = {"offset": 0.0, "factor": 1 / (0.9 * 2 * 0.6)}
    assert (FLAT["weight"], FLAT["scale"]) == (0.9, 0.6)
    write_trained(tmp_path / "cell", vectors, "distances", "flat", affine=affine)
    score_study(tmp_path, ["cell"], packed, tmp_path / "out", "study")
    assert pd.read_csv(tmp_path / "out" / "metrics.csv")["stress"].max() < 1e-12


def test_nothing_depends_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "cell", vectors, "distances", "hybrid", affine=AFFINE)
    for name, pairs in (("one", 1), ("some", 60), ("all", 10**6)):
        monkeypatch.setattr(cells, "PAIRS", pairs)
        score_study(tmp_path, ["cell"], packed, tmp_path / name, "study")
    for path in (tmp_path / "all").iterdir():
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
        assert path.read_bytes() == (tmp_path / "some" / path.name).read_bytes()


def test_the_points_that_are_compared_are_described(tmp_path: Path) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "cell", vectors, "distances", "hyperbolic", affine=AFFINE)
    score_study(tmp_path, ["cell"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index("split")
    geometry = geometry_from({"tau": 0.3, "spaces": GEOMETRIES["hyperbolic"]})
    for split, parts in {"train": ["train"], "val": ["train", "val"]}.items():
        points = np.concatenate([vectors[f"{part}_head"] for part in parts])
        head = torch.from_numpy(points).double()
        expected = {
            "spread_degrees": spread_degrees(head),
            **describe_points(geometry, head),
            "radius_relative": radius_in_curvature(geometry, geometry.place(head)),
        }
        assert metrics.loc[split][list(expected)].to_dict() == pytest.approx(expected, rel=1e-6)


def test_baselines_predict_no_distance_and_the_table_is_still_one(tmp_path: Path) -> None:
    packed = build_plane()
    write_raw(tmp_path / "pixels", draw_vectors(packed, ("vectors",)), "distances")
    out = tmp_path / "out"
    score_study(tmp_path, ["pixels"], packed, out, "baselines", baselines=True)
    results = read_results(out)
    assert not len(results.metrics)
    assert {"cell", "geometry", "split", "stress"} <= set(results.metrics)
    assert results.per_query == {}
    assert results.machines == [MACHINE]


def test_val_chooses_the_lowest_stress(tmp_path: Path) -> None:
    packed = build_plane()
    assert packed.coordinates is not None
    for tau, noise in ((0.1, 0.5), (0.2, 0.0), (0.3, 0.2)):
        random = np.random.default_rng(0)
        vectors = {
            f"{split}_head": (
                packed.coordinates[packed.rows(split)]
                + noise * random.normal(size=(len(packed.rows(split)), 2))
            ).astype(np.float32)
            for split in ("train", "val", "test")
        }
        cell = {"geometry": "flat", "seed": 0, "tau": tau}
        affine = {"offset": 0.0, "factor": 1 / 1.08}
        folder = tmp_path / str(tau)
        write_trained(folder, vectors, "distances", "flat", affine=affine, cell=cell)
    out = tmp_path / "out"
    score_study(tmp_path, ["0.1", "0.2", "0.3"], packed, out, "study", axes=["tau"])
    assert read_json(out / "chosen.json") == {"flat": {"tau": 0.2}}


def test_cells_that_cannot_be_scored_are_refused(tmp_path: Path) -> None:
    packed = build_plane()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "cell", vectors, "distances")
    with pytest.raises(InputError, match="cell: found no affine in geometry.json, expected it"):
        score_study(tmp_path, ["cell"], packed, tmp_path / "out", "study")
    write_trained(tmp_path / "one place", vectors, "distances", affine=AFFINE)
    still = Packed(packed.samples.assign(x=0, y=0), packed.images, packed.card)
    with pytest.raises(InputError, match=r"^relevance: found distances, .* train .*; expected one"):
        score_study(tmp_path, ["one place"], still, tmp_path / "out", "study")
    del vectors["train_head"]
    write_trained(tmp_path / "absent", vectors, "distances", affine=AFFINE)
    with pytest.raises(InputError, match="absent: found no train_head"):
        score_study(tmp_path, ["absent"], packed, tmp_path / "out", "study")
    assert not (tmp_path / "out").exists()


def test_offset_and_factor_are_read_where_there_are_any(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    write_trained(folder, {}, "distances", "flat", affine=AFFINE)
    cell = cells.read_cell(tmp_path, "cell")
    assert cell.affine == (2.5, 0.7)
    write_json(folder / "geometry.json", {"cell": {}, "machine": MACHINE})
    assert cells.read_cell(tmp_path, "cell").affine is None
