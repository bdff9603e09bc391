"""The figure of the systems: tuned rows with their spread, beside the same rows as published."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomix.report.figures import look_of, to_png
from geomix.report.winning_systems import Row

DASHES = ((0, (1, 3)), (0, (6, 4)))  # of baselines
LINE = 0.27  # inches of a row


def draw_systems(
    tables: Mapping[str, Sequence[Row]], baselines: Mapping[str, float], metric: str
) -> bytes:
    """Draw test scores of tuned systems, the best on top; a panel for each kind of labels.

    The marker and its colour say the geometry. Filled markers are means over seeds, with a bar of
    one standard deviation; hollow small ones are one seed as published. A single seed of a tuned
    row is hollow too, and has no bar.

    Args:
        tables: Rows by falling score, by what training knew of labels.
        baselines: Vertical lines, by name: shares.
        metric: What the score is called.

    Returns:
        A PNG.
    """
    rows = [row for table in tables.values() for row in table]
    names = list(dict.fromkeys(sorted(row.system.geometry for row in rows)))
    size = (6.2 * len(tables), LINE * max(len(table) for table in tables.values()) + 2)
    figure, panels = plt.subplots(
        1, len(tables), figsize=size, squeeze=False, sharex=True, layout="constrained"
    )
    for panel, (labels, table) in zip(panels[0], tables.items(), strict=True):
        for height, row in enumerate(reversed(table)):
            _draw_row(panel, row, height, names)
        panel.set_yticks(range(len(table)), [row.name for row in reversed(table)], fontsize=8)
        for dash, (name, share) in zip(DASHES, baselines.items(), strict=False):
            panel.axvline(100 * share, color="0.45", linewidth=1, linestyle=dash, label=name)
        panel.set(title=f"labels {labels}", xlabel=f"test {metric}, %")
        panel.grid(axis="x", alpha=0.25)
    _add_legend(figure, seeds=int(rows[0].scores["seeds"]))
    return to_png(figure)


def _draw_row(panel: Axes, row: Row, height: int, names: Sequence[str]) -> None:
    """Draw a row: what was tuned with its bar, and over it the smaller marker as published."""
    look = look_of(row.system.geometry, names) | {"linestyle": "none"}
    hollow = {"markerfacecolor": "white"}
    if not np.isnan(row.published):
        panel.plot(100 * row.published, height, **look | hollow | {"markersize": 4}, zorder=4)
    if np.isnan(row.spread):
        panel.plot(100 * row.score, height, **look | hollow, label=row.system.geometry)
        return
    bar: dict[str, Any] = {"xerr": 100 * row.spread, "capsize": 2, "elinewidth": 1}
    panel.errorbar(100 * row.score, height, **bar, **look, label=row.system.geometry, zorder=3)


def _add_legend(figure: Figure, seeds: int) -> None:
    """Name what is drawn, each name once, below the panels."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    grey = {"linestyle": "none", "marker": "o", "color": "0.3"}
    tuned = f"tuned, mean and s.d. of {seeds} seeds" if seeds > 1 else "tuned, one seed"
    face = {} if seeds > 1 else {"markerfacecolor": "white"}
    hollow = {"markerfacecolor": "white", "markersize": 4}
    handles[tuned] = plt.Line2D([], [], **grey, **face)  # type: ignore[arg-type]
    handles["as published, one seed"] = plt.Line2D([], [], **grey, **hollow)  # type: ignore[arg-type]
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "frameon": False}
    figure.legend(handles.values(), handles.keys(), **below)
