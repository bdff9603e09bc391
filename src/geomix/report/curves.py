"""Figures of scores: curves over one setting, maps over two."""

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

from geomix.report.figures import drawable, look_of, to_png
from geomix.report.findings import Findings
from geomix.report.results import SCORE
from geomix.report.text import named, number

NEAR = 0.5  # a baseline is drawn if it is at most this part of the range of the curves below them
# How far geometries stand apart in all, as a part of a step between values, and of the whole axis.
DODGE, WIDEST = 0.45, 0.12
TOLD_APART = 10  # points below the best that a map tells apart by colour
TITLES = {"val": "val classes, which chose", "test": "test classes"}
DASHES = ((0, (1, 3)), (0, (6, 4)))  # of baselines


def draw_curves(found: Findings) -> bytes:
    """Draw R@1 over the only axis on val and test, and differences from the control on test.

    Bars are one standard deviation, and 95 % intervals of the differences; markers of one seed are
    hollow and have none. The largest marker is at the value that validation chose.

    Args:
        found: Of a study with one axis.

    Returns:
        A PNG.
    """
    axis, names = found.axes[0], list(found.chosen)
    figure, panels = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained", sharex=True)
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]
    panels[1].sharey(panels[0])
    places, shift = _place_values(panels[0], list(found.summaries["test"][axis].unique()), found)
    for panel, (title, table) in zip(panels, _tabulate(found).items(), strict=True):
        for geometry, rows in table.groupby("geometry", sort=False):
            look = look_of(geometry, names)
            place = (names.index(geometry) + 0.5) / len(names) - 0.5  # 0 in the middle
            x = rows[axis].map(places) + shift * place
            bars = np.stack([rows["mean"] - rows["low"], rows["high"] - rows["mean"]])
            _draw_points(panel, x, rows["mean"], look, named(geometry), yerr=bars)
            at = rows["chosen"].to_numpy()
            large = {"markersize": 9, "markeredgecolor": "black", "zorder": 3}
            _draw_points(panel, x[at], rows["mean"][at], look | large, None, yerr=bars[:, at])
        panel.set(title=title, xlabel=axis)
        panel.grid(alpha=0.25)
    low, high = panels[0].get_ylim()
    for panel, baselines in zip(panels, found.baselines.values(), strict=False):
        for dash, (_, row) in zip(DASHES, baselines.iterrows(), strict=False):
            if 100 * row[SCORE] >= low - NEAR * (high - low):
                line = {"color": "0.45", "linewidth": 1, "linestyle": dash}
                panel.axhline(100 * row[SCORE], **line, label=row["geometry"])
    panels[0].set_ylabel("R@1, %")
    panels[2].set_ylabel("difference in test R@1, points")
    panels[2].axhline(0, color="0.3", linewidth=1)
    _add_legend(figure, 7)
    return to_png(figure)


def _tabulate(found: Findings) -> dict[str, pd.DataFrame]:
    """Return what each panel shows, by its title: means with the ends of their bars."""
    axis, steps = found.axes[0], found.steps
    counts = sorted({row["seeds"] for row in found.chosen.values()})
    seeds = f"{' or '.join(map(str, counts))} seed{'' if counts == [1] else 's'}"
    tables = {}
    for split, title in TITLES.items():
        rows = found.summaries[split].sort_values(axis, kind="stable")
        mean, spread = rows[SCORE], rows[f"{SCORE}_sd"]
        best = rows["geometry"].map({name: row[axis] for name, row in found.chosen.items()})
        ends = {"mean": mean, "low": mean - spread, "high": mean + spread}
        tables[f"{title} ({seeds})"] = rows.assign(**ends, chosen=rows[axis] == best)
    where = "the flat limit of the same geometry"
    if found.answer.kind != "limit":
        where = f"{steps['control'].iloc[0] if len(steps) else 'nothing'} at the same {axis}"
    none = pd.DataFrame(columns=["geometry", axis, "mean", "low", "high"])
    tables[f"minus {where}"] = (steps if len(steps) else none).assign(chosen=False)
    for table in tables.values():
        table[["mean", "low", "high"]] *= 100
    return tables


def _draw_points(
    panel: Axes, x: Any, y: Any, look: Mapping[str, Any], label: Any, **bars: Any
) -> None:
    """Draw points with bars, hollow where these are NaN, as one seed leaves them."""
    hollow = all(np.isnan(lengths).all() for lengths in bars.values())
    face = {"markerfacecolor": "white"} if hollow else {}
    panel.errorbar(x, y, **bars, **{**look, **face}, label=label, capsize=2, elinewidth=1)


def _place_values(
    panel: Axes, values: Sequence[Any], found: Findings
) -> tuple[dict[Any, float], float]:
    """Set up the axis of values with a tick at each.

    Numbers that are not negative lie on a log axis, 0 to the left of the smallest other after a
    gap; all others lie at equal distances.

    Returns:
        Where each value lies, and how far from there geometries may stand apart in all.
    """
    numeric = is_numeric_dtype(pd.Series(values)) and min(values) >= 0
    ordered = sorted(values) if numeric else values
    places = {value: float(at) for at, value in enumerate(ordered)}
    if numeric and ordered[-1] > 0:
        least = next(value for value in ordered if value > 0)
        places = {value: math.log10(value or least / 4) for value in ordered}
    flat = {0: "0\n(flat)"} if found.limits else {}
    labels = [flat.get(value) or write_value(value) for value in ordered]
    panel.set_xticks(list(places.values()), labels)
    steps = np.diff(list(places.values()))
    return places, min([DODGE * steps.min(), WIDEST * steps.sum()]) if len(steps) else WIDEST


def write_value(value: Any) -> str:
    r"""Write a value of an axis as ticks show it, the dollars of a text as they are.

    They are escaped: panels that share ticks do not share how the text of these is parsed.
    """
    return drawable(number(value)).replace("$", r"\$")


def _add_legend(figure: Figure, columns: int) -> None:
    """Name what is drawn, each name once, below the panels."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "frameon": False}
    figure.legend(handles.values(), handles.keys(), **below)


def draw_maps(found: Findings) -> bytes:
    """Draw R@1 over two axes: a map for each geometry and split; a frame marks what val chose.

    All that is 10 points or more below the best has the darkest colour.

    Args:
        found: Of a study with two axes.

    Returns:
        A PNG.
    """
    across, down = found.axes
    names, summaries = list(found.chosen), found.summaries
    wide, high = (summaries["test"][axis].nunique() for axis in found.axes)
    size = (len(names) * (0.62 * wide + 0.9) + 1.2, 2 * (0.5 * high + 1.1))
    figure, panels = plt.subplots(2, len(names), figsize=size, squeeze=False, layout="constrained")
    for line, (split, summary) in zip(panels, summaries.items(), strict=True):
        scores = 100 * summary.pivot(index=["geometry", down], columns=across, values=SCORE)
        known = scores.to_numpy()[scores.notna().to_numpy()]
        best, worst = (known.max(), known.min()) if len(known) else (1.0, 0.0)
        ends = {"vmin": max(worst, best - TOLD_APART), "vmax": best}
        for panel, name in zip(line, names, strict=True):
            table, chosen = scores.loc[name], found.chosen[name]
            image = panel.imshow(table, **ends, cmap="cividis", origin="lower", aspect="auto")
            for (row, column), score in np.ndenumerate(table.to_numpy()):
                color = "white" if score < sum(ends.values()) / 2 else "black"
                written = "-" if np.isnan(score) else f"{score:.1f}"
                panel.text(column, row, written, ha="center", va="center", color=color)
            x, y = table.columns.get_loc(chosen[across]), table.index.get_loc(chosen[down])
            frame = Rectangle(
                (x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=3
            )
            panel.add_patch(frame)
            panel.set(title=f"{name}, {split}", xlabel=across)
            panel.set_xticks(range(wide), map(write_value, table.columns))
            panel.set_yticks(range(high), map(write_value, table.index))
        line[0].set_ylabel(down)
        extend = "min" if worst < best - TOLD_APART else "neither"
        figure.colorbar(image, ax=list(line), label="R@1, %", extend=extend)
    return to_png(figure)
