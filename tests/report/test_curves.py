"""Figures of scores: what is drawn is what was found, one seed is hollow, bytes repeat."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomix.report import curves as module
from geomix.report.curves import draw_curves, draw_maps
from geomix.report.findings import Findings
from geomix.report.text import named

WHITE = to_rgba("white")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Return the figures that are drawn."""
    kept: list[Figure] = []
    monkeypatch.setattr(module, "to_png", kept.append)
    yield kept
    for figure in kept:
        plt.close(figure)


def curve(figure: Figure, panel: int, name: str) -> Line2D:
    """Return the curve of a geometry in a panel."""
    drawn: Any = figure.axes[panel].containers
    return next(bars[0] for bars in drawn if bars.get_label() == named(name))


def test_curves_are_the_means_and_geometries_stand_apart(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    draw_curves(found["tau"])
    for panel, split in enumerate(("val", "test")):
        summary = found["tau"].summaries[split]
        for name in found["tau"].chosen:
            rows = summary[summary["geometry"] == name].sort_values("tau")
            drawn = curve(figures[0], panel, name)
            assert np.asarray(drawn.get_ydata()) == pytest.approx(
                100 * rows["recall_at_1"].to_numpy()
            )
    flat, ball = (np.asarray(curve(figures[0], 1, name).get_xdata()) for name in ("flat", "hybrid"))
    assert (flat < ball).all()
    assert (flat[1:] > ball[:-1]).all()


def test_differences_have_their_own_panel_with_intervals(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    draw_curves(found["tau"])
    panel = figures[0].axes[2]
    assert panel.get_title() == "minus flat, same tau"
    steps = found["tau"].steps
    rows = steps[steps["geometry"] == "hyperbolic"]
    drawn = curve(figures[0], 2, "hyperbolic")
    assert np.asarray(drawn.get_ydata()) == pytest.approx(100 * rows["mean"].to_numpy())
    ends = panel.collections[0].get_segments()  # type: ignore[attr-defined]
    assert [end[1, 1] for end in ends] == pytest.approx((100 * rows["high"]).tolist())


def test_one_seed_is_hollow_and_has_no_bars(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    draw_curves(found["curvature"])
    draw_curves(found["tau"])
    one, three = (curve(figure, 1, "hyperbolic") for figure in figures)
    assert to_rgba(one.get_markerfacecolor()) == WHITE
    assert to_rgba(three.get_markerfacecolor()) != WHITE
    bars: Any = figures[0].axes[1].collections[0]
    assert not any(len(segment) for segment in bars.get_segments())
    assert figures[0].axes[1].get_title().endswith("(1 seed)")
    assert [tick.get_text() for tick in figures[0].axes[1].get_xticklabels()] == [
        "0\n(flat)",
        "0.5",
    ]


def test_baselines_far_below_the_curves_are_left_out(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    baselines = found["tau"].baselines["test"]
    near = baselines.assign(recall_at_1=[0.9, -5.0])
    draw_curves(replace(found["tau"], baselines={"val": near, "test": near}))
    labels = {line.get_label() for line in figures[0].axes[1].lines}
    assert "raw pixels" in labels
    assert "untrained network" not in labels


def test_values_that_are_words_lie_at_equal_distances(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    words = {0.001: "none", 0.01: "batch"}
    axis = "optim.learning_rate"
    rate = found["rate"]
    summaries = {split: table.replace({axis: words}) for split, table in rate.summaries.items()}
    chosen = {name: row | {axis: words[row[axis]]} for name, row in rate.chosen.items()}
    steps = rate.steps.replace({axis: words})
    draw_curves(replace(rate, summaries=summaries, chosen=chosen, steps=steps))
    labels = [tick.get_text() for tick in figures[0].axes[0].get_xticklabels()]
    assert labels == ["none", "batch"]


def test_maps_have_every_score_and_frame_the_choice(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    draw_maps(found["grid"])
    panel = next(axis for axis in figures[0].axes if axis.get_title() == "hyperbolic, val")
    summary = found["grid"].summaries["val"]
    rows = summary[summary["geometry"] == "hyperbolic"].sort_values(["curvature", "tau"])
    written = [text.get_text() for text in panel.texts]
    assert written == [f"{100 * score:.1f}" for score in rows["recall_at_1"]]
    (frame,) = panel.patches
    assert (frame.get_x(), frame.get_y()) == (0.5, 0.5)  # type: ignore[attr-defined]


def test_the_same_findings_give_the_same_bytes_and_leave_no_figure_open(
    found: dict[str, Findings],
) -> None:
    assert draw_curves(found["curvature"]) == draw_curves(found["curvature"])
    assert draw_maps(found["grid"]) == draw_maps(found["grid"])
    assert not plt.get_fignums()
