"""The page: limits beside what was measured, misses shown, figures of whatever CSVs there are."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bench import page
from bench.growth import draw_growth, growth_points
from bench.limits import LIMITS, Limit
from bench.measure import Options


def row(**values: Any) -> dict[str, Any]:
    names = {
        "table": "pairwise",
        "case": "hybrid, 9 views",
        "implementation": "released formula",
        "baseline": "geomix",
    }
    return names | {"ratio": 54.3, "seconds": 1.5, "baseline_seconds": 0.0275, "rounds": 7} | values


def written(folder: Path, *rows: dict[str, Any]) -> str:
    page.write_csv("loss", list(rows), Options(True, folder, 1, 1.0))
    page.write_page(folder)
    return (folder / page.PAGE / "README.md").read_text()


def test_a_limit_that_is_met_stands_beside_its_figure(tmp_path: Path) -> None:
    text = written(tmp_path, row())
    assert "| 54.3" in text
    assert "at least 25 " in text
    assert "missed" not in text.lower()
    assert "not measured" in text  # of the other limits


def test_a_limit_that_is_missed_is_shown_three_times(tmp_path: Path) -> None:
    text = written(tmp_path, row(), row(case="hybrid, 9 views x 7", ratio=24.9))
    assert "24.9 to 54.3" in text
    assert "| NO" in text
    assert text.startswith(
        "# Speed and memory\n\n**0 of 1 limits asked for and measured are met.**"
    )
    assert "at least 25 (missed)" in text
    assert (
        "Missed:\n\n- hybrid, 9 views x 7, released formula / geomix, time ratio: 24.9, asked at least 25"
        in text
    )


def test_a_limit_is_of_its_own_rows_only() -> None:
    limit = next(limit for limit in LIMITS if limit.within == "hybrid, 9 views")
    assert limit.applies("loss", row())
    for bench, other in (
        ("search", row()),
        ("loss", row(case="flat, 9 views")),
        ("loss", row(table="growth")),
    ):
        assert not limit.applies(bench, other)
    assert not limit.applies("loss", row(baseline="x"))
    assert not limit.applies("loss", row(ratio=float("nan")))


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
    rows = [
        row(
            table="growth",
            n=n,
            d=d,
            implementation=a,
            baseline=b,
            seconds=n * d * 1e-6,
            baseline_seconds=n * d * 1e-8,
        )
        for n, d in ((225, 128), (900, 32), (900, 128))
        for a, b in (("geomix", "matrix product"), ("released formula", "geomix"))
    ]
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
