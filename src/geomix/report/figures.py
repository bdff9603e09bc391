"""Figures that read in black and white and with any colour vision: each line has its own marker and dash."""

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path

from geomix.report.studies import CHOOSES

# Okabe and Ito's palette, ordered so that neighbours differ in lightness too.
LOOKS: dict[str, tuple[str, str, str]] = {
    "euclidean": ("#000000", "o", "-"),
    "flat": ("#E69F00", "s", "--"),
    "hyperbolic": ("#0072B2", "^", "-."),
    "hybrid": ("#CC79A7", "D", ":"),
    "hyperbolic_learned": ("#009E73", "v", (0, (5, 1, 1, 1, 1, 1))),  # type: ignore[dict-item]
}
SPARE_LOOKS = (("#D55E00", "P", "-"), ("#56B4E9", "X", "--"), ("#F0E442", "*", "-."))
PIXELS_PER_INCH = 120
LETTERS, LINES = (
    (7, 5.5, 4.6),
    3,
)  # sizes of a caption below an image, in points: the first on one line, the others on three
CELL, WIDE_CELL, MARGIN = 36, 45, 5  # points of a column of images, and of them between captions
PAD = 0.025  # inches to each side of a column of images: enough for thick frames

Picture = tuple[np.ndarray, str]  # an image, uint8 (H, W, C), and what stands below it


def look_of(geometry: str, among: Sequence[str]) -> dict[str, Any]:
    """Give colour, marker and dash of a geometry's line: the same in every figure for those named in LOOKS."""
    others = [name for name in among if name not in LOOKS]
    color, marker, dash = (
        LOOKS[geometry]
        if geometry in LOOKS
        else SPARE_LOOKS[others.index(geometry) % len(SPARE_LOOKS)]
    )
    return {"color": color, "marker": marker, "linestyle": dash, "markersize": 5, "linewidth": 1.6}


def to_png(figure: Figure) -> bytes:
    """Give a figure as PNG, without software names, so that the same results give the same bytes; close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def draw_sweep(
    summaries: Mapping[str, pd.DataFrame],
    knob: str,
    chosen: pd.DataFrame,
    lines: Mapping[str, Mapping[str, float]],
) -> bytes:
    """Draw R@1 over a knob: a panel for each split, a line for each geometry, a band of one s.d.
    from two seeds on.

    Args:
        summaries: For val and test the rows of `over_seeds`, with columns geometry and the knob.
        knob: tau or curvature; a value of 0 stands at the left end of the log axis.
        chosen: From `choose`; a ring marks the chosen point.
        lines: For each split the horizontal lines, by name.

    Returns:
        A PNG.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    titles = {
        "val": "val classes (used for choosing)",
        "test": "test classes (not used for choosing)",
    }
    for axis, (split, summary) in zip(axes, summaries.items(), strict=True):
        place = _place_values(axis, sorted(summary[knob].unique()))
        geometries = list(summary["geometry"].unique())
        for geometry in geometries:
            rows = summary[summary["geometry"] == geometry].sort_values(knob)
            x, y, sd = rows[knob].map(place), 100 * rows[CHOOSES], 100 * rows[f"{CHOOSES}_sd"]
            look = look_of(geometry, geometries)
            axis.plot(x, y, label=geometry, **look)
            if sd.notna().any():
                axis.fill_between(x, y - sd, y + sd, color=look["color"], alpha=0.15, linewidth=0)
            best = chosen.loc[chosen["geometry"] == geometry, knob].iloc[0]
            ring = rows[knob] == best
            axis.plot(
                x[ring],
                y[ring],
                "o",
                markersize=13,
                markerfacecolor="none",
                color=look["color"],
                markeredgewidth=1.6,
            )
        _draw_baselines(axis, lines[split])
        seeds = int(summary["seeds"].max())
        axis.set_title(f"{titles[split]}, {seeds} seed{'s' if seeds > 1 else ''}", fontsize=10)
        axis.set_xlabel({"tau": "temperature tau", "curvature": "curvature c"}[knob])
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("R@1, %")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
    return to_png(figure)


def _draw_baselines(axis: Axes, lines: Mapping[str, float]) -> None:
    """Draw a horizontal line for each baseline near the curves; those far below are named under them."""
    low, high = axis.get_ylim()
    reach = low - 0.5 * (high - low)
    far = [f"{name} {100 * value:.1f} %" for name, value in lines.items() if 100 * value < reach]
    for name, value in lines.items():
        if 100 * value >= reach:
            axis.axhline(100 * value, color="0.45", linewidth=1, linestyle=(0, (1, 3)))
            axis.annotate(
                f"{name} ",
                (1, 100 * value),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
                color="0.3",
            )
    if far:
        axis.annotate(
            f"below: {', '.join(far)}",
            (0.02, 0.98),
            xycoords="axes fraction",
            va="top",
            fontsize=8,
            color="0.3",
        )


def _place_values(axis: Axes, values: Sequence[float]) -> dict[float, float]:
    """Set up a log axis with a tick at each value; 0 goes to the left of the smallest other, after a gap."""
    positive = [value for value in values if value > 0]
    first = positive[0] if positive else 1.0
    place = {value: value if value > 0 else first / 4 for value in values}
    axis.set_xscale("log")
    labels = [f"{value:g}" if value > 0 else "0\n(flat)" for value in values]
    axis.set_xticks([place[value] for value in values], labels, fontsize=8)
    axis.minorticks_off()
    if len(place) < len(positive) + 1:
        return place
    axis.axvline(first / 2, color="0.7", linewidth=1, linestyle=":")
    return place


def draw_systems(groups: Mapping[str, pd.DataFrame], lines: Mapping[str, float]) -> bytes:
    """Draw test R@1 of systems, sorted, with one s.d. to each side; a panel for labels given and
    one for labels hidden.

    Args:
        groups: By what training knows, rows of `over_seeds` with the names of the systems as index.
        lines: Vertical lines, by name: shares.

    Returns:
        A PNG.
    """
    longest = max(len(rows) for rows in groups.values())
    inches = (6.2 * len(groups), 0.26 * longest + 1.4)
    figure, axes = plt.subplots(
        1, len(groups), figsize=inches, squeeze=False, sharex=True, layout="constrained"
    )
    for axis, (labels, rows) in zip(axes[0], groups.items(), strict=True):
        ordered = rows.sort_values(CHOOSES, kind="stable")
        spread = 100 * ordered[f"{CHOOSES}_sd"].fillna(0)
        axis.errorbar(
            100 * ordered[CHOOSES],
            list(ordered.index),
            xerr=spread,
            fmt="o",
            color="black",
            markersize=4,
            capsize=2,
        )
        for (name, value), dash in zip(lines.items(), ("--", ":"), strict=False):
            axis.axvline(100 * value, color="0.5", linewidth=1, linestyle=dash, label=name)
        axis.set(title=f"labels {labels}", xlabel="test R@1, %")
        axis.tick_params(axis="y", labelsize=8)
        axis.grid(axis="x", alpha=0.25)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return to_png(figure)


def draw_neighbours(
    queries: Sequence[Picture], neighbours: Mapping[str, Sequence[Sequence[Picture]]]
) -> bytes:
    """Draw queries with their nearest images by geometry; a wrong class has a thick frame and a
    cross.

    Args:
        queries: Q images, uint8 (H, W, C), with their labels.
        neighbours: For each geometry and query the images found, closest first, with their labels.

    Returns:
        A PNG.
    """
    names = list(neighbours)
    count = len(next(iter(neighbours.values()))[0])
    widths = [1.0] + [width for _ in names for width in (0.35, *[1.0] * count)]
    figure, axes = plt.subplots(
        len(queries),
        len(widths),
        figsize=(CELL / 72 * sum(widths), 0.75 * len(queries) + 0.5),
        width_ratios=widths,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=PAD, wspace=0),
    )
    for axis in axes.flat:
        axis.axis("off")
    for number, (line, (query, label)) in enumerate(zip(axes, queries, strict=True)):
        _show(line[0], query, label)
        for group, name in enumerate(names):
            for place, (image, found) in enumerate(neighbours[name][number]):
                _show(line[2 + group * (count + 1) + place], image, found, wrong=found != label)
    axes[0, 0].set_title("query", fontsize=9, pad=8)
    for group, name in enumerate(names):
        axes[0, 2 + group * (count + 1) + count // 2].set_title(name, fontsize=9, pad=8)
    return to_png(figure)


def draw_samples(rows: Sequence[tuple[str, Sequence[Picture]]]) -> bytes:
    """Draw rows of images, each row with a name to its left and each image with a caption below.

    Args:
        rows: For each row its name and its images, uint8 (H, W, C), with captions.

    Returns:
        A PNG.
    """
    columns = max(len(items) for _, items in rows)
    inches = (WIDE_CELL / 72 * columns + 1.6, 0.95 * len(rows))
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=inches,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=PAD, wspace=0),
    )
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, items) in zip(axes, rows, strict=True):
        line[0].text(
            -0.35, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=9
        )
        for axis, (image, caption) in zip(line, items, strict=False):
            _show(axis, image, caption, width=WIDE_CELL - MARGIN)
    return to_png(figure)


def fit_caption(caption: str, width: float) -> tuple[list[str], float]:
    """Break a caption at spaces, hyphens, underscores and slashes into at most 3 lines, in letters
    that keep it whole.

    The largest such letters are taken. In the smallest what does not fit is left out of the middle,
    for an ellipsis: names differ in how they end, too.

    Args:
        caption: One line of text.
        width: Of a line at most, in points.

    Returns:
        The lines, and the size of the letters in points.
    """
    for size in LETTERS:
        lines = [""]
        for word in re.findall(" *(?:[^ /_-]+[/_-]*|[/_-]+)", caption):
            if lines[-1] and measure_text(lines[-1] + word, size) > width:
                lines.append("")
            lines[-1] += word if lines[-1] else word.lstrip(" ")
        most = 1 if size == LETTERS[0] else LINES
        if len(lines) <= most and max(measure_text(line, size) for line in lines) <= width:
            return lines, size
    if len(lines) > LINES:
        lines = [lines[0], f"…{lines[-2]}", lines[-1]]
    return [_shorten(line, width, size) for line in lines], size


@cache
def measure_text(text: str, size: float) -> float:
    """Give the width of a line of text in points."""
    return float(
        text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]
    )


def _shorten(line: str, width: float, size: float) -> str:
    """Leave out of the middle of a line as few letters as make it fit."""
    shorter, kept = line, len(line)
    while kept > 2 and measure_text(shorter, size) > width:
        kept -= 1
        shorter = f"{line[: (kept + 1) // 2].rstrip('…')}…{line[len(line) - kept // 2 :]}"
    return shorter


def _show(
    axis: Axes, image: np.ndarray, caption: str, wrong: bool = False, width: float = CELL - MARGIN
) -> None:
    axis.axis("on")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
    lines, size = fit_caption(caption + ("\N{NO-BREAK SPACE}✗" if wrong else ""), width)
    axis.set_xlabel("\n".join(lines), fontsize=size, labelpad=1.5, parse_math=False)
    for spine in axis.spines.values():
        spine.set(linewidth=2.4 if wrong else 0.4, color="#D55E00" if wrong else "0.6")
