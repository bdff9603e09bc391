"""What geometries cost: read from the tables of the benchmarks, NaN where nothing was measured."""

import math
from pathlib import Path

import pandas as pd

from geomix.report.speeds import GALLERY, SHAPE, Speed, read_speeds


def write_benchmarks(folder: Path) -> None:
    """Write tables of three geometries; the search of a hybrid was not measured."""
    folder.mkdir()
    loss = {"table": "geometries", "case": SHAPE, "baseline": "euclidean", "baseline_seconds": 0.01}
    search = loss | {"case": GALLERY, "baseline_seconds": 0.5}
    index = {"table": "index", "case": "lifted"}
    losses = [
        loss | {"implementation": "hyperbolic_free", "seconds": 0.015},
        loss | {"implementation": "hybrid_free", "seconds": 0.02},
        loss | {"case": "other", "implementation": "dot", "seconds": 1},
        loss | {"table": "pairwise", "implementation": "geomix", "seconds": 1},
    ]
    searches = [
        search | {"implementation": "hyperbolic_free", "seconds": 0.75},
        index | {"implementation": "euclidean", "item_bytes": 512},
        index | {"implementation": "hyperbolic_free", "item_bytes": 516},
        index | {"case": "as stored", "implementation": "hybrid_free", "item_bytes": 512},
    ]
    for name, rows in (("loss", losses), ("search", searches)):
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)


def test_a_geometry_has_the_seconds_of_its_rows_and_the_first_those_of_the_baseline(
    tmp_path: Path,
) -> None:
    write_benchmarks(tmp_path / "bench")
    found = read_speeds(tmp_path / "bench")
    assert set(found) == {"euclidean", "hyperbolic_free", "hybrid_free"}
    assert found["euclidean"] == Speed(0.01, 0.5, 512, "lifted")
    assert found["hyperbolic_free"] == Speed(0.015, 0.75, 516, "lifted")
    hybrid = found["hybrid_free"]
    assert (hybrid.loss, hybrid.item, hybrid.form) == (0.02, 512, "as stored")
    assert math.isnan(hybrid.search)


def test_without_benchmarks_nothing_is_measured(tmp_path: Path) -> None:
    assert read_speeds(tmp_path) == {}


def test_tables_of_earlier_benchmarks_measure_nothing_here(tmp_path: Path) -> None:
    row = {"table": "pairwise", "case": SHAPE, "implementation": "geomix", "seconds": 1}
    pd.DataFrame([row | {"baseline": "", "baseline_seconds": 1}]).to_csv(
        tmp_path / "loss.csv", index=False
    )
    assert read_speeds(tmp_path) == {}
