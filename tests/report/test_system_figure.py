"""The figure of the systems: one seed is never drawn like several."""

from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from geomix.report import system_figure
from geomix.report.system_figure import draw_systems
from geomix.report.winning_systems import Row
from tests.report.conftest import make_system

WHITE = to_rgba("white")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Keep the figures that are drawn."""
    kept: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        kept.append(figure)
        return b""

    monkeypatch.setattr(system_figure, "to_png", keep)
    yield kept
    plt.close("all")


def make_row(name: str, geometry: str, score: float, spread: float, published: float) -> Row:
    system = make_system(name, geometry=geometry)
    return Row(system, {"seeds": 3}, score, spread, published, None, None)


def test_tuned_rows_have_bars_and_one_seed_is_hollow(figures: list[Figure]) -> None:
    given = [
        make_row("best", "flat", 0.7, 0.02, 0.3),
        make_row("alone", "euclidean", 0.6, float("nan"), float("nan")),
    ]
    draw_systems({"given": given, "hidden": given[:1]}, {"raw pixels": 0.4}, "MAP@R")
    panel: Any = figures[0].axes[0]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["alone", "best"]
    assert panel.get_xlabel() == "test MAP@R, %"
    (bars,) = panel.containers
    tuned = bars[0]
    assert (tuned.get_marker(), list(tuned.get_xdata())) == ("s", [70.0])
    assert to_rgba(tuned.get_markerfacecolor()) != WHITE
    hollow = [line for line in panel.lines if to_rgba(line.get_markerfacecolor()) == WHITE]
    assert [(float(line.get_xdata()[0]), line.get_marker()) for line in hollow] == [
        (60.0, "o"),
        (30.0, "s"),
    ]
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert {"flat", "euclidean", "raw pixels", "as published, one seed"} <= set(names)
