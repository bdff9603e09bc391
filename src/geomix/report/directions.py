"""The figure of a study on lineages: one direction against the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from geomix.report.figures import look_of, to_png

MARKS = ("x", "+", "1", "2")  # of baselines
TRIED = {"linestyle": "none", "markersize": 4, "markerfacecolor": "none", "alpha": 0.55}


def draw_directions(
    directions: Mapping[str, str],
    chosen: Mapping[str, Mapping[str, Any]],
    tried: pd.DataFrame,
    baselines: Mapping[str, Mapping[str, Any]],
) -> bytes:
    """Draw MAP in one direction against MAP in the other, in percent.

    Args:
        directions: Two metrics with their names, across and up.
        chosen: A row for each geometry, drawn large, with bars of one standard deviation.
        tried: Rows of all values, drawn small and hollow.
        baselines: Rows by name, drawn grey.

    Returns:
        A PNG.
    """
    (across, x_name), (up, y_name) = directions.items()
    names = list(chosen)
    figure, panel = plt.subplots(figsize=(7.5, 6), layout="constrained")
    for name, row in chosen.items():
        look = look_of(name, names) | {"linestyle": "none"}
        others = tried[tried["geometry"] == name]
        panel.plot(100 * others[across], 100 * others[up], **(look | TRIED))
        bars: dict[str, Any] = {"xerr": _bar(row, across), "yerr": _bar(row, up)}
        panel.errorbar(
            100 * row[across],
            100 * row[up],
            **bars,
            elinewidth=1,
            capsize=2,
            **(look | {"markersize": 9}),
            label=name,
        )
    for mark, (name, row) in zip(MARKS, baselines.items(), strict=False):
        look = {"marker": mark, "color": "0.35", "linestyle": "none", "markersize": 10}
        panel.plot(100 * row[across], 100 * row[up], **look, markeredgewidth=2, label=name)
    panel.set(xlabel=f"{x_name}, MAP in %", ylabel=f"{y_name}, MAP in %")
    panel.grid(alpha=0.25)
    handles = dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    ordered = {name: handles[name] for name in (*names, *baselines)}
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": 3, "frameon": False}
    figure.legend(ordered.values(), ordered.keys(), **below)
    return to_png(figure)


def _bar(row: Mapping[str, Any], metric: str) -> float:
    """Return the standard deviation of a metric in percent, 0 of one seed."""
    return 100 * float(np.nan_to_num(row[f"{metric}_sd"]))
