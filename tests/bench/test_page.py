"""The page: limits beside what was measured, misses shown, figures of whatever CSVs there are."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bench import ROOT, page
from bench.growth import draw_growth, growth_points
from bench.limits import LIMITS, Limit
from bench.measure import Options


def row(**values: Any) -> dict[str, Any]:
    names = {"table": "pairwise", "case": "hybrid, 9 views"}
    names |= {"implementation": "released formula", "baseline": "geomix"}
    figures = {"ratio": 95.25, "seconds": 1.5, "baseline_seconds": 0.0275, "rounds": 7}
    return names | figures | values


def written(folder: Path, *rows: dict[str, Any]) -> str:
    page.write_csv("loss", list(rows), Options(True, folder, 1, 1.0))
    page.write_page(folder)
    return (folder / page.PAGE / "README.md").read_text()


def test_a_limit_that_is_met_stands_beside_its_figure(tmp_path: Path) -> None:
    text = written(tmp_path, row())
    assert "| 95.2 (at least 90) " in text
    assert "| 1.5 / 0.0275 " in text
    assert "missed" not in text.lower()
    assert "not measured" in text  # of the other limits


def test_a_limit_that_is_missed_is_shown_three_times(tmp_path: Path) -> None:
    text = written(tmp_path, row(), row(case="hybrid, 9 views x 7", ratio=89.9))
    assert "89.9 to 95.2" in text
    assert "| NO" in text
    others = f"; {len(LIMITS) - 1} were not measured"
    answer = f"**0 of the {len(LIMITS)} limits that were asked for are met{others}.**"
    assert text.startswith(f"# Speed and memory\n\n{answer}")
    assert "89.9 (at least 90, missed)" in text
    quotient = "hybrid, 9 views x 7, released formula / geomix"
    assert f"Missed:\n\n- {quotient}: time ratio 89.9, asked at least 90" in text


def test_what_is_faster_elsewhere_is_listed(tmp_path: Path) -> None:
    slow = row(case="flat, 9 views x 7", ratio=0.87)
    text = written(tmp_path, row(), slow)
    listed = "- flat, 9 views x 7, released formula / geomix: 0.87"
    assert f"Others are faster (time ratio):\n\n{listed}\n\n" in text
    assert "- nowhere" in written(tmp_path, row())


def test_columns_that_a_table_was_written_without_are_empty(tmp_path: Path) -> None:
    write = [row(table="startup", case="start-up", seconds=2.0, least_seconds=1.5)]
    table = page.write_csv("startup", write, Options(True, tmp_path, 1, 1.0))
    assert "| least seconds " in page.table_text("startup", "startup", table)
    (tmp_path / page.RESULTS / "startup.csv").unlink()
    older = page.write_csv("loss", [row()], Options(True, tmp_path, 1, 1.0))
    older.drop(columns="least_seconds").to_csv(tmp_path / page.RESULTS / "loss.csv", index=False)
    page.write_page(tmp_path)
    text = (tmp_path / page.PAGE / "README.md").read_text()
    assert "least seconds" not in text
    assert "loss.csv): cpu " in text


def test_no_table_is_wider_than_seven_columns() -> None:
    lines = (ROOT / page.PAGE / "README.md").read_text().splitlines()
    assert max(line.count("|") for line in lines if line.startswith("|")) <= 8


def test_a_limit_is_of_its_own_rows_only() -> None:
    limit = next(limit for limit in LIMITS if limit.within == "hybrid, 9 views")
    assert limit.applies("loss", row())
    assert not limit.applies("search", row())
    for changed in (
        {"case": "flat, 9 views"},
        {"table": "growth"},
        {"baseline": "x"},
        {"ratio": float("nan")},
    ):
        assert not limit.applies("loss", row(**changed))


@pytest.mark.parametrize(
    "limit", [Limit("", "", "", "", "", at_least=2), Limit("", "", "", "", "", at_most=2)]
)
def test_nothing_measured_meets_no_limit(limit: Limit) -> None:
    assert limit.met(2)
    assert not limit.met(float("nan"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (54.321, "54.3"),
        (5924.4, "5,924"),
        (0.0275, "0.0275"),
        (2.14e-5, "2.1e-05"),
        (float("nan"), ""),
        (99.96, "100"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert page.number(value) == text


def test_growth_is_drawn_over_batch_and_dimensions(tmp_path: Path) -> None:
    rows = []
    for n, d in ((225, 128), (900, 32), (900, 128)):
        cost = {"n": n, "d": d, "seconds": n * d * 1e-6, "baseline_seconds": n * d * 1e-8}
        for name, other in (("geomix", "matrix product"), ("released formula", "geomix")):
            rows.append(row(table="growth", implementation=name, baseline=other, **cost))
    table = page.write_csv("loss", rows, Options(True, tmp_path, 1, 1.0))
    points = growth_points(table)
    assert len(points) == 9
    assert set(points["implementation"]) == {"geomix", "matrix product", "released formula"}
    first = draw_growth({"loss": table})
    assert first is not None
    assert first == draw_growth({"loss": table})
    assert not plt.get_fignums()
    assert draw_growth({"loss": table[table["n"] == 225]}) is None
    assert draw_growth({"metrics": pd.DataFrame({"table": ["metrics"]})}) is None
