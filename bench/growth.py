"""The figure of growth: time over the size of the batch, over its dimensions, and over the size of a gallery."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from geomix.report.figures import to_png

LOOKS = {
    "released formula": ("#D55E00", "s", "--"),
    "geomix": ("#0072B2", "o", "-"),
    "matrix product": ("#000000", "^", ":"),
}


def draw_growth(found: Mapping[str, pd.DataFrame]) -> bytes | None:
    """Draw a panel for each kind of growth that was measured, both axes logarithmic.

    Args:
        found: CSVs by bench.

    Returns:
        A PNG, or None where no growth was measured.
    """
    panels = []
    for bench in ("loss", "search"):
        if bench in found:
            points = growth_points(found[bench])
            middle = {column: points[column].mode().max() for column in ("n", "d")}
            for column, other in (("n", "d"), ("d", "n")):
                part = points[points[other] == middle[other]]
                if part[column].nunique() > 1:
                    panels.append((bench, column, other, middle[other], part))
    if not panels:
        return None
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels) + 0.4, 4.4), layout="constrained", squeeze=False
    )
    for axis, (bench, column, other, fixed, part) in zip(axes.flat, panels, strict=True):
        words = {
            "n": "embeddings in the batch N" if bench == "loss" else "items of the gallery N",
            "d": "dimensions D",
        }
        draw_panel(axis, part, column)
        axis.set_xlabel(words[column])
        axis.set_title(
            f"{'loss and gradient' if bench == 'loss' else 'search'}, {other.upper()} = {fixed:,}",
            fontsize=10,
        )
    axes[0, 0].set_ylabel("seconds")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return to_png(figure)


def growth_points(table: pd.DataFrame) -> pd.DataFrame:
    """Give a row for each measured time of the growth tables: n, d, implementation, seconds."""
    rows = table[table["table"] == "growth"]
    first = rows[["n", "d", "implementation", "seconds"]]
    second = rows[["n", "d", "baseline", "baseline_seconds"]].set_axis(first.columns, axis=1)
    points = pd.concat([first, second]).drop_duplicates(["n", "d", "implementation"])
    return points.astype({"n": int, "d": int}).sort_values(["n", "d"])


def draw_panel(axis: Axes, points: pd.DataFrame, column: str) -> None:
    """Draw a line for each implementation over a column, with plain numbers on both axes."""
    for name, (color, marker, dash) in LOOKS.items():
        rows = points[points["implementation"] == name]
        if len(rows):
            axis.plot(
                rows[column],
                rows["seconds"],
                color=color,
                marker=marker,
                linestyle=dash,
                markersize=5,
                label=name,
            )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(sorted(points[column].unique())))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.25)
