"""The figure of growth: time over the sizes of batch and gallery, and over dimensions."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from bench.measure import RELEASED
from geomix.report.figures import to_png

LOOKS = {
    RELEASED: ("#D55E00", "s", "--"),
    "geomix": ("#0072B2", "o", "-"),
    "matrix product": ("#000000", "^", ":"),
}
WORDS = {
    ("loss", "n"): "embeddings in the batch N",
    ("search", "n"): "items of the gallery N",
    ("loss", "d"): "dimensions D",
    ("search", "d"): "dimensions D",
}
TITLES = {"loss": "loss and gradient", "search": "search"}


def draw_growth(found: Mapping[str, pd.DataFrame]) -> bytes | None:
    """Draw a panel for each kind of growth that was measured, both axes logarithmic.

    Args:
        found: CSVs by benchmark.

    Returns:
        A PNG, or None where no growth was measured.
    """
    panels = []
    for bench in TITLES:
        if bench in found:
            points = growth_points(found[bench])
            for column, other in (("n", "d"), ("d", "n")):
                held = points[other].mode().max()
                part = points[points[other] == held]
                if part[column].nunique() > 1:
                    title = f"{TITLES[bench]}, {other.upper()} = {held:,}"
                    panels.append((part, column, WORDS[bench, column], title))
    if not panels:
        return None
    size = 4.6 * len(panels) + 0.4, 4.4
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axis, (part, column, words, title) in zip(axes.flat, panels, strict=True):
        draw_panel(axis, part, column)
        axis.set_xlabel(words)
        axis.set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("seconds")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return to_png(figure)


def growth_points(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each measured time of the growth tables: n, d, implementation, seconds."""
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
