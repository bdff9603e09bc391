"""The figure of the calibration: stress against curvature, a panel for each data set."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from geomix.report.figures import spread_labels, to_png
from geomix.report.stresses import Setting
from geomix.report.text import number

# Of the numbers of outputs, in their order: colour and marker.
LOOKS = (("#0072B2", "^"), ("#D55E00", "s"), ("#009E73", "D"), ("#000000", "o"))
DASHES = ((0, (1, 2)), (0, (5, 3)), "-", "-.")  # of controls, in their order
ROOM = 1.25  # factor between the outermost stresses and the edges of a panel
HEIGHT = 0.055  # of a label, as a share of a panel
LABELS = 1.09  # where labels begin, in widths of a panel


def draw_doses(settings: Sequence[Setting], datasets: Sequence[str]) -> bytes:
    """Draw test stress against curvature, on logarithmic axes.

    Balls are lines through the means over seeds, with a point for each seed; the limit at curvature
    0 has a tick of its own. Controls are horizontal lines at their means, named at the right.

    Args:
        settings: All of them.
        datasets: In order of the panels.

    Returns:
        A PNG.
    """
    sizes = list(dict.fromkeys(one.outputs for one in settings))
    looks = dict(zip(sizes, LOOKS, strict=False))
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(7 * len(datasets), 4.8), squeeze=False, layout="constrained"
    )
    for panel, dataset in zip(panels[0], datasets, strict=True):
        rows = [one for one in settings if one.dataset == dataset]
        _place_curvatures(panel, [one.curvature for one in rows if one.is_ball])
        seeds = [stress for one in rows for stress in one.by_seed]
        low, high = min(seeds) / ROOM, max(seeds) * ROOM
        panel.set(yscale="log", ylim=(low, high), title=dataset)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        for size, (color, marker) in looks.items():
            balls = sorted(
                (one for one in rows if one.is_ball and one.outputs == size),
                key=lambda one: one.curvature,
            )
            label = f"ball, {size} outputs"
            _draw_balls(panel, balls, label, {"color": color, "marker": marker})
        controls = [one for one in rows if not one.is_ball]
        _draw_controls(panel, controls, {size: look[0] for size, look in looks.items()})
        panel.set_xlabel("curvature c")
        panel.grid(alpha=0.25)
    panels[0][0].set_ylabel("relative stress on test")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return to_png(figure)


def _log(curvature: float, least: float) -> float:
    """Return where a curvature lies: 0 to the left of the smallest other, after a gap."""
    return math.log10(curvature or least / 6)


def _place_curvatures(panel: Axes, curvatures: Sequence[float]) -> None:
    """Set a tick at each curvature, and at flat space."""
    ordered = sorted(set(curvatures))
    least = min((value for value in ordered if value > 0), default=1.0)
    labels = ["0\n(flat)" if value == 0 else number(value) for value in ordered]
    panel.set_xticks([_log(value, least) for value in ordered], labels)


def _draw_balls(panel: Axes, balls: Sequence[Setting], label: str, look: dict[str, Any]) -> None:
    """Draw balls of one number of outputs, by rising curvature."""
    least = min((one.curvature for one in balls if one.curvature > 0), default=1.0)
    places = [_log(one.curvature, least) for one in balls]
    means = [one.mean for one in balls]
    panel.plot(places, means, color=look["color"], label=f"{label}, mean")
    points = [(at, one) for at, ball in zip(places, balls, strict=True) for one in ball.by_seed]
    hollow: dict[str, Any] = {"linestyle": "none", "markersize": 6, "markerfacecolor": "none"}
    panel.plot(*zip(*points, strict=True), **look, **hollow, label=f"{label}, each seed")


def _draw_controls(panel: Axes, controls: Sequence[Setting], colors: dict[int, str]) -> None:
    """Draw controls as lines across, named at the right, where no two names lie on each other."""
    low, high = panel.get_ylim()
    names = list(dict.fromkeys(one.geometry for one in controls))
    ordered = sorted(controls, key=lambda one: one.mean)
    heights = [math.log(one.mean / low) / math.log(high / low) for one in ordered]
    for control, height, label in zip(
        ordered, heights, spread_labels(heights, HEIGHT), strict=True
    ):
        color, dash = colors[control.outputs], DASHES[names.index(control.geometry) % len(DASHES)]
        panel.axhline(control.mean, color=color, linestyle=dash, linewidth=1, alpha=0.8)
        panel.annotate(
            f"{control.geometry}, {control.outputs} outputs",
            xy=(1, height),
            xytext=(LABELS, label),
            xycoords="axes fraction",
            color=color,
            fontsize=8,
            va="center",
            # from the left of the name, so that no leader crosses another name
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.7,
                "shrinkA": 1,
                "relpos": (0, 0.5),
            },
        )
