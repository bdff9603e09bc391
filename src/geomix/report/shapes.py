"""Figures of the shape of embeddings: radii, and deltas beside those of random points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from geomix.report.figures import look_of, to_png

COLUMNS = 3  # of panels
SEEDS: tuple[Any, ...] = ("-", "--", ":", "-.")  # lines of seeds
KINDS = {  # by column: name, marker, and how far below the row it is drawn
    "relative_delta": ("embedding", "o", 0.0),
    "relative_delta_gaussian": ("Gaussian points of the same covariance", "s", 0.22),
    "relative_delta_sphere": ("directions uniform on the sphere", "x", 0.44),
}
REFERENCE = "0.45"  # grey of random points


def draw_radii(
    bins: pd.DataFrame, rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> bytes:
    """Draw histograms of radii, a panel for each setting and a line for each seed.

    Args:
        bins: Counts of each bin, with its ends, by study, geometry and seed.
        rows: The settings.
        names: Of all geometries of the page.

    Returns:
        A PNG.
    """
    height = -(-len(rows) // COLUMNS)
    figure, panels = plt.subplots(
        height,
        COLUMNS,
        figsize=(9, 2.1 * height + 0.5),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for panel in panels.flat[len(rows) :]:
        panel.axis("off")
    lines: dict[str, Line2D] = {}
    for panel, row in zip(panels.flat, rows, strict=False):
        mine = bins[(bins["study"] == row["study"]) & (bins["geometry"] == row["geometry"])]
        color = look_of(row["geometry"], names)["color"]
        total = mine[mine["seed"] == mine["seed"].min()]["count"].sum()
        for dash, (seed, part) in zip(SEEDS, mine.groupby("seed"), strict=False):
            edges = np.append(part["low"], part["high"].iloc[-1])
            shares = 100 * part["count"] / part["count"].sum()
            panel.stairs(shares, edges, color=color, linestyle=dash)
            lines[f"seed {seed}"] = Line2D([], [], color="0.2", linestyle=dash)
        panel.set_title(f"{row['label']}\nn = {total:,}", fontsize=9, parse_math=False)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8, labelbottom=True)
    for panel in panels[:, 0]:
        panel.set_ylabel("% of samples in a bin", fontsize=9)
    figure.supxlabel("radius of a point: the norm of its tangent vector at the origin", fontsize=9)
    handles, labels = list(lines.values()), list(lines)
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": len(lines), "fontsize": 9}
    figure.legend(handles, labels, **place)
    return to_png(figure)


def draw_deltas(
    cells: pd.DataFrame, rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> bytes:
    """Draw relative deltas of embeddings beside those of random points, a mark for each seed.

    Args:
        cells: By study, geometry and seed.
        rows: The settings, from the top.
        names: Of all geometries of the page.

    Returns:
        A PNG.
    """
    figure, axis = plt.subplots(figsize=(9, 0.42 * len(rows) + 1.3), layout="constrained")
    for place, row in enumerate(rows):
        of = (cells["study"] == row["study"]) & (cells["geometry"] == row["geometry"])
        own = look_of(row["geometry"], names)["color"]
        for column, (name, marker, below) in KINDS.items():
            values = cells.loc[of, column]
            axis.plot(
                values,
                np.full(len(values), place + below),
                marker,
                color=own if not below else REFERENCE,
                markersize=5,
                fillstyle="none" if marker == "s" else "full",
                label=name if not place else None,
            )
    axis.set_yticks(np.arange(len(rows)) + 0.22, [row["label"] for row in rows], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("relative delta (0 in a tree)")
    axis.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=len(KINDS), fontsize=9)
    return to_png(figure)
