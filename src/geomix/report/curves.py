"""Figures of scores: curves over one setting, maps over two, systems side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pandas.api.types import is_numeric_dtype

from geomix.report.figures import look_of, to_png
from geomix.report.findings import Findings, Step
from geomix.report.results import SCORE

NEAR = 0.5  # a baseline is drawn if it is at most this part of the range of the curves below them
DODGE = 0.45  # of the smallest step between values: how far geometries stand apart, in all
TITLES = {"val": "val classes, which chose", "test": "test classes"}
BASELINE_DASHES = ((0, (1, 3)), (0, (6, 4)))


def draw_curves(found: Findings) -> bytes:
    """Draw R@1 over the only axis on val and test, and differences from the control on test.

    Bars are one standard deviation, and 95 % intervals of the differences; markers of one seed are
    hollow and have none. The largest marker is at the value that validation chose.

    Args:
        found: Of a study with one axis.

    Returns:
        A PNG.
    """
    axis = found.axes[0]
    figure, (on_val, on_test, apart) = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
    values = list(found.summaries["test"][axis].unique())
    shifts = dict(zip(found.chosen, np.linspace(-0.5, 0.5, len(found.chosen)), strict=True))
    for panel, split in ((on_val, "val"), (on_test, "test")):
        place = _place_values(panel, values, found)
        for geometry in found.chosen:
            _draw_curve(panel, found, split, geometry, place, shifts[geometry])
        _draw_baselines(panel, found.baselines[split])
        panel.set(title=f"{TITLES[split]} ({_count_seeds(found)})", xlabel=axis)
    on_val.set_ylabel("R@1, %")
    place = _place_values(apart, values, found)
    for geometry in dict.fromkeys(step.geometry for step in found.steps):
        steps = [step for step in found.steps if step.geometry == geometry]
        x = [place(step.value, shifts[geometry]) for step in steps]
        _draw_steps(apart, x, steps, look_of(geometry, list(found.chosen)))
    apart.set_xlim(on_test.get_xlim())
    apart.axhline(0, color="0.3", linewidth=1)
    apart.set(title=_name_control(found), xlabel=axis, ylabel="difference in test R@1, points")
    for panel in (on_val, on_test, apart):
        panel.grid(alpha=0.25)
    _add_legend(figure, on_test)
    return to_png(figure)


def _draw_curve(
    panel: Axes, found: Findings, split: str, geometry: str, place: Any, shift: float
) -> None:
    """Draw one geometry over the axis, with a larger marker at its choice."""
    axis, summary, look = (
        found.axes[0],
        found.summaries[split],
        look_of(geometry, list(found.chosen)),
    )
    rows = summary[summary["geometry"] == geometry].sort_values(axis)
    x = [place(value, shift) for value in rows[axis]]
    y = 100 * rows[SCORE].to_numpy()
    bars = 100 * rows[f"{SCORE}_sd"].to_numpy()
    _draw_points(panel, x, y, np.stack([bars, bars]), geometry, look)
    at = list(rows[axis]).index(found.chosen[geometry][axis])
    chosen = look | {"markersize": 9, "markeredgecolor": "black", "linestyle": "none"}
    panel.plot(x[at], y[at], **chosen, **_face(bars))


def _draw_points(
    panel: Axes,
    x: Sequence[float],
    y: np.ndarray,
    bars: np.ndarray,
    label: str | None,
    look: dict[str, Any],
) -> None:
    """Draw points with bars of given lengths, (2, N), or hollow where these are NaN."""
    panel.plot(x, y, label=label, **look, **_face(bars))
    if not np.isnan(bars).all():
        panel.errorbar(x, y, yerr=bars, fmt="none", ecolor=look["color"], capsize=2, linewidth=1)


def _face(bars: np.ndarray) -> dict[str, Any]:
    """Return how markers are filled: not at all where one seed leaves no bars."""
    return {"markerfacecolor": "white"} if np.isnan(bars).all() else {}


def _draw_steps(
    panel: Axes, x: Sequence[float], steps: Sequence[Step], look: dict[str, Any]
) -> None:
    """Draw the differences of one geometry from its control."""
    means = np.array([step.difference.mean for step in steps])
    lows = np.array([step.difference.low for step in steps])
    highs = np.array([step.difference.high for step in steps])
    _draw_points(panel, x, 100 * means, 100 * np.stack([means - lows, highs - means]), None, look)


def _name_control(found: Findings) -> str:
    """Say what the differences are from."""
    controls = list(dict.fromkeys(step.control for step in found.steps))
    if found.answer.kind == "limit":
        return "minus the flat limit of the same geometry"
    return f"minus {controls[0]}, same {found.axes[0]}" if controls else "nothing to compare"


def _count_seeds(found: Findings) -> str:
    """Say how many seeds there are."""
    counts = sorted({int(row["seeds"]) for row in found.chosen.values()})
    return f"{' or '.join(map(str, counts))} seed{'' if counts == [1] else 's'}"


def _draw_baselines(panel: Axes, baselines: pd.DataFrame) -> None:
    """Draw a horizontal line for each baseline near the curves; the legend names them."""
    low, high = panel.get_ylim()
    for dash, (_, row) in zip(BASELINE_DASHES, baselines.iterrows(), strict=False):
        level = 100 * row[SCORE]
        if level >= low - NEAR * (high - low):
            panel.axhline(level, color="0.45", linewidth=1, linestyle=dash, label=row["geometry"])


def _place_values(panel: Axes, values: Sequence[Any], found: Findings) -> Any:
    """Set up the axis of values with a tick at each, and return where a value lies.

    Numbers that are not negative lie on a log axis, 0 to the left of the smallest other after a
    gap; all others lie at equal distances.

    Returns:
        A function of a value and of a shift in [-0.5, 0.5], which tells geometries apart.
    """
    numeric = is_numeric_dtype(pd.Series(values)) and min(values) >= 0
    ordered = sorted(values) if numeric else list(values)
    positive = [value for value in ordered if numeric and value > 0]
    places = {value: float(at) for at, value in enumerate(ordered)}
    if positive:
        places = {value: math.log10(value or positive[0] / 4) for value in ordered}
        if ordered[0] == 0:
            panel.axvline(math.log10(positive[0] / 2), color="0.7", linewidth=1, linestyle=":")
    labels = [
        "0\n(flat)" if value == 0 and found.limits else f"{value:g}" if numeric else str(value)
        for value in ordered
    ]
    panel.set_xticks(list(places.values()), labels)
    steps = np.diff(list(places.values()))
    width = DODGE * float(steps.min()) if len(steps) else DODGE
    return lambda value, shift: places[value] + shift * width


def _add_legend(figure: Figure, panel: Axes) -> None:
    """Name what is drawn, below the panels."""
    handles = panel.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(handles[1]), frameon=False)


def draw_maps(found: Findings) -> bytes:
    """Draw R@1 over two axes: a map for each geometry and split; a frame marks what val chose.

    Args:
        found: Of a study with two axes.

    Returns:
        A PNG.
    """
    across, down = found.axes
    names = list(found.chosen)
    counts = [found.summaries["test"][axis].nunique() for axis in found.axes]
    size = (len(names) * (0.62 * counts[0] + 0.9) + 1.2, 2 * (0.5 * counts[1] + 1.1))
    figure, panels = plt.subplots(2, len(names), figsize=size, squeeze=False, layout="constrained")
    for line, split in zip(panels, TITLES, strict=True):
        summary = found.summaries[split]
        low, high = 100 * summary[SCORE].min(), 100 * summary[SCORE].max()
        for panel, name in zip(line, names, strict=True):
            table = 100 * summary[summary["geometry"] == name].pivot(
                index=down, columns=across, values=SCORE
            )
            image = panel.imshow(
                table, vmin=low, vmax=high, cmap="cividis", origin="lower", aspect="auto"
            )
            _write_cells(panel, table, (low + high) / 2)
            chosen = found.chosen[name]
            corner = (
                list(table.columns).index(chosen[across]) - 0.5,
                list(table.index).index(chosen[down]) - 0.5,
            )
            panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#D55E00", linewidth=3))
            panel.set(title=name, xlabel=across)
            panel.set_xticks(range(len(table.columns)), [f"{one}" for one in table.columns])
            panel.set_yticks(range(len(table.index)), [f"{one}" for one in table.index])
        line[0].set_ylabel(down)
        figure.colorbar(image, ax=list(line), label=f"R@1, %, {TITLES[split]}")
    return to_png(figure)


def _write_cells(panel: Axes, table: pd.DataFrame, middle: float) -> None:
    """Write the scores into a map, light on dark and dark on light."""
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        color = "white" if value < middle else "black"
        panel.text(column, row, f"{value:.1f}", ha="center", va="center", color=color, fontsize=9)


def draw_systems(groups: Mapping[str, pd.DataFrame], baselines: Mapping[str, float]) -> bytes:
    """Draw test R@1 of systems, sorted; a panel for labels given and one for labels hidden.

    Bars are one standard deviation; a row of one seed is hollow and has none. The marker says the
    geometry.

    Args:
        groups: By what training knows, rows of `over_seeds` with `geometry`, named by the index.
        baselines: Vertical lines, by name: shares.

    Returns:
        A PNG.
    """
    longest = max(len(rows) for rows in groups.values())
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows["geometry"]))
    figure, panels = plt.subplots(
        1,
        len(groups),
        figsize=(6.2 * len(groups), 0.27 * longest + 2),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for panel, (labels, rows) in zip(panels[0], groups.items(), strict=True):
        ordered = rows.sort_values(SCORE, kind="stable")
        for height, (_, row) in enumerate(ordered.iterrows()):
            look = look_of(row["geometry"], names) | {"linestyle": "none"}
            score, bar = 100 * row[SCORE], np.array([100 * row[f"{SCORE}_sd"]])
            panel.plot(score, height, **look, **_face(bar))
            if not np.isnan(bar).any():
                panel.errorbar(score, height, xerr=bar, fmt="none", ecolor=look["color"], capsize=2)
        panel.set_yticks(range(len(ordered)), list(ordered.index), fontsize=8)
        for (name, value), dash in zip(baselines.items(), BASELINE_DASHES, strict=False):
            panel.axvline(100 * value, color="0.45", linewidth=1, linestyle=dash, label=name)
        panel.set(title=f"labels {labels}", xlabel="test R@1, %")
        panel.grid(axis="x", alpha=0.25)
    for name in names:
        panels[0, 0].plot([], [], **look_of(name, names) | {"linestyle": "none"}, label=name)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return to_png(figure)
