"""Learned numbers on a page: where they began, what became of them, how far apart they end."""

import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import TypeAdapter

from geomix.config.sections import Geometry
from geomix.config.stages import PageParams
from geomix.report.learned import Learned, draw_curvatures, list_curves
from geomix.report.page import build_page
from tests.report.conftest import STUDIES

BALL = {"space": "ball", "learn_curvature": True, "scale": 1, "clip_radius": None}
GEOMETRIES: dict[str, Geometry] = {
    name: TypeAdapter(Geometry).validate_python(spaces)
    for name, spaces in {
        "one": {"distance": BALL | {"weight": 1}},
        "two": {
            "first": BALL | {"weight": "lam", "learn_weight": True},
            "second": BALL | {"weight": 2, "curvature": 3, "scale": "learned"},
        },
        "flat": {"distance": {"space": "flat", "weight": 1, "scale": 1, "clip_radius": None}},
    }.items()
}
FACTORS = {"one": {"distance.curvature": 2.0}, "flat": {}}
FACTORS["two"] = {"first.curvature": 0.1, "first.weight": 1.5, "second.curvature": 4.0}
STARTS = (0.1, 1.0, 10.0)


def make_history() -> pd.DataFrame:
    """Return runs from three starts and two seeds; a number grows to its factor over two epochs."""
    rows = []
    for geometry, factors in FACTORS.items():
        for start in STARTS:
            for seed in (0, 1):
                cell: dict[str, Any] = {"cell": f"{geometry}-{start}/{seed}", "geometry": geometry}
                cell |= {"seed": seed, "curvature": start, "lam": 0.5, "regulariser.weight": 7.0}
                for epoch in (1, 2):
                    learned = {
                        name: begin(name, start) * factor ** (epoch / 2) * (1 + 0.1 * seed)
                        for name, factor in factors.items()
                    }
                    if geometry == "two":
                        learned["second.scale"] = 0.3
                    rows.append(cell | {"epoch": epoch, "loss": 1.0} | learned)
    return pd.DataFrame(rows)


def begin(name: str, start: float) -> float:
    """Return where a number begins."""
    own = {"second.curvature": 3.0, "first.weight": 0.5}
    return own.get(name, start)


@pytest.fixture
def learned() -> Learned:
    return Learned(make_history(), GEOMETRIES)


def test_each_learned_number_has_a_row_for_each_start(learned: Learned) -> None:
    rows = {(row.geometry, f"{row.space}.{row.quantity}", row.start): row for row in learned.rows}
    one = rows["one", "distance.curvature", 0.1]
    assert one.ends == pytest.approx((0.2, 0.22))
    assert one.mean == pytest.approx(math.sqrt(0.2 * 0.22))
    assert {start for geometry, _, start in rows if geometry == "one"} == set(STARTS)
    assert ("two", "first.weight", 0.5) in rows
    assert ("two", "second.curvature", 3.0) in rows
    scale = next(row for row in learned.rows if row.quantity == "scale")
    assert math.isnan(scale.start)
    assert not scale.bounded
    assert not any(row.geometry == "flat" or "regulariser" in row.space for row in learned.rows)


def test_a_number_at_the_end_of_its_range_is_marked(learned: Learned) -> None:
    bounded = {(row.geometry, row.space, row.quantity): row.bounded for row in learned.rows}
    assert bounded["two", "first", "curvature"]
    assert not bounded["one", "distance", "curvature"]
    assert not bounded["two", "second", "curvature"]


def test_starts_are_said_to_end_as_far_apart_as_they_do() -> None:
    history = make_history()
    history.loc[history["geometry"] == "one", "distance.curvature"] /= history["curvature"] ** 0.5
    found = Learned(history, GEOMETRIES).apart
    one = next(row for row in found if row["geometry"] == "one")
    assert one["starts"] == 3
    assert one["at_start"] == pytest.approx(100)
    assert one["at_end"] == pytest.approx(10)
    assert one["lowest"] == pytest.approx(0.2 / 0.1**0.5)
    assert one["highest"] == pytest.approx(22 / 10**0.5)
    assert not any(row["space"] == "second" for row in found)


def test_curves_begin_at_their_start(learned: Learned) -> None:
    curves = list(list_curves(learned, 57))
    assert len(curves) == 6 + 2 * 6
    assert all(curve.steps == [0, 57, 114] for curve in curves)
    assert {curve.values[0] for curve in curves if curve.space == "second"} == {3.0}
    assert draw_curvatures(learned, None)
    none = Learned(make_history()[lambda rows: rows["geometry"] == "flat"], GEOMETRIES)
    assert draw_curvatures(none, 57) is None


@pytest.mark.parametrize("learns", [True, False])
def test_a_page_says_what_was_learned_where_something_was(
    tmp_path: Path, kept_results: Path, kept_packed: Path, params: PageParams, learns: bool
) -> None:
    results = Path(shutil.copytree(kept_results, tmp_path / "results"))
    study = STUDIES["curvature"]
    rows = [
        {"cell": cell, "geometry": "hyperbolic", "seed": 0, "curvature": start, "lam": 1}
        | {"epoch": 1, "loss": 1.0, "distance.curvature": 0.8 if start and learns else math.nan}
        for cell, start in zip(study.cells(), (0, 0.5), strict=True)
    ]
    pd.DataFrame(rows).to_csv(results / "curvature" / "history.csv", index=False)
    built = (results / "curvature", results / "baselines", kept_packed, params)
    files = build_page("curvature", study, *built)
    page = files["README.md"].decode()
    assert ("curvatures.png" in files) == ("## What was learned" in page) == learns
    said = (
        "Of 1 learned curvatures (of spaces and starts) none fell and 1 rose, none of them to the"
    )
    assert (said in page) == learns
    if learns:
        assert "| hyperbolic | distance.curvature | 0.5 | 0.8 | 1.6 | no |" in " ".join(
            page.split()
        )
