"""Figures of scores: what is drawn is what was found, one seed is hollow, bytes repeat."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomix.report import curves as module
from geomix.report.curves import draw_curves, draw_maps
from geomix.report.findings import Findings
from geomix.report.text import named
from tests.report.conftest import list_texts, read_literally

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
    assert panel.get_title() == "minus flat at the same tau"
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


BASELINES = "raw pixels", "untrained network"


@pytest.mark.parametrize("name", ["curvature", "tau"])
def test_an_untrained_network_above_the_raw_input_has_its_own_line_and_name(
    figures: list[Figure],
    found: dict[str, Findings],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, float, str]] = []
    draw_line = Axes.axhline

    def keep(panel: Axes, y: float, **look: Any) -> Line2D:
        """Draw a line and note what it is."""
        if look.get("label") in BASELINES:
            drawn.append((look["label"], y, str(look["linestyle"])))
        return draw_line(panel, y, **look)

    monkeypatch.setattr(Axes, "axhline", keep)
    least = min(table["recall_at_1"].min() for table in found[name].summaries.values())
    dashes = dict(zip(BASELINES, map(str, module.DASHES), strict=True))
    assert len(set(dashes.values())) == 2
    below, nearer = least - 0.02, least - 0.01
    for raw, untrained in ((below, nearer), (nearer, below), (-5.0, nearer)):
        drawn.clear()
        table = found[name].baselines["test"].assign(recall_at_1=[raw, untrained])
        draw_curves(replace(found[name], baselines={"val": table}))
        heights = dict(zip(BASELINES, (100 * raw, 100 * untrained), strict=True))
        shown = [one for one in BASELINES if heights[one] > 0]
        assert drawn == [(one, pytest.approx(heights[one]), dashes[one]) for one in shown]
        low, high = figures[-1].axes[0].get_ylim()
        assert all(low < height < high for _, height, _ in drawn)
        (legend,) = figures[-1].legends
        assert [text.get_text() for text in legend.get_texts()][: len(shown)] == shown
        figures[-1].draw_without_rendering()
        top = legend.get_window_extent().y1
        assert all(box.y0 >= top for panel in figures[-1].axes if (box := panel.get_tightbbox()))


@pytest.mark.parametrize("name", ["curvature", "tau"])
def test_geometries_stand_around_the_tick_of_their_value(
    figures: list[Figure], found: dict[str, Findings], name: str
) -> None:
    draw_curves(found[name])
    panel = figures[0].axes[1]
    curves = [curve(figures[0], 1, geometry) for geometry in found[name].chosen]
    places = np.array([np.sort(np.asarray(line.get_xdata(), float)) for line in curves])
    assert places.mean(0) == pytest.approx(panel.get_xticks())
    low, high = panel.get_xlim()
    assert low < panel.get_xticks().min()
    assert panel.get_xticks().max() < high


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


NAMES = {0: "f$x$", 0.5: "Ba$$in"}


def test_values_with_dollars_are_drawn_as_they_are(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    for name, draw in (("curvature", draw_curves), ("grid", draw_maps)):
        one = found[name]
        tables = {
            split: rows.replace({"curvature": NAMES}) for split, rows in one.summaries.items()
        }
        chosen = {
            geometry: row | {"curvature": NAMES[row["curvature"]]}
            for geometry, row in one.chosen.items()
        }
        steps = one.steps.replace({"curvature": NAMES})
        draw(replace(one, summaries=tables, chosen=chosen, steps=steps, limits={}))
    for figure in figures:
        shown = read_literally(list_texts(figure)).splitlines()
        assert shown.count("f$x$") == shown.count("Ba$$in") >= 3


def test_a_map_has_a_dash_where_there_is_no_score(
    figures: list[Figure], found: dict[str, Findings]
) -> None:
    grid = found["grid"]
    for known in (1, 0):
        val = grid.summaries["val"].copy()
        val.loc[val.index[known:], "recall_at_1"] = np.nan
        draw_maps(replace(grid, summaries={"val": val, "test": grid.summaries["test"]}))
        written = [text.get_text() for panel in figures[-1].axes for text in panel.texts]
        assert written.count("-") == len(val) - known
        assert "nan" not in written


def test_the_same_findings_give_the_same_bytes_and_leave_no_figure_open(
    found: dict[str, Findings],
) -> None:
    assert draw_curves(found["curvature"]) == draw_curves(found["curvature"])
    assert draw_maps(found["grid"]) == draw_maps(found["grid"])
    assert not plt.get_fignums()
