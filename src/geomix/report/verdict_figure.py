"""The figure of a verdict: the gap of each question from each control, with the margin."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from geomix.report.figures import to_png
from geomix.report.gap import Gap
from geomix.report.text import named
from geomix.report.verdict import Judgement, Verdict

LINE = 0.26  # inches of a row
WIDE, NEXT = 7.2, 4.2  # inches of the first panel with its names, and of a further one
NAMED: dict[str, Any] = {"color": "#0072B2", "marker": "o", "markersize": 7}
OTHERS: dict[str, Any] = {"color": "#0072B2", "marker": "o", "markerfacecolor": "white"}
DECIDES: dict[str, Any] = OTHERS | {"marker": "D", "markersize": 7}  # where val's is beaten
UNREAD = ("not calibrated", "training failed", "could not act", "not used")
GREY = {"color": "0.6"}  # of differences that these words forbid to read


def draw_gaps(dataset: str, found: Sequence[Judgement], margin: float) -> bytes:
    """Draw gaps with their intervals in points, a panel for each task.

    A question has a line for its name and verdict, and below it a row for each control. The control
    that val chose is filled; where that is beaten, a diamond decides. The band is the margin on
    both sides of 0. Grey gaps are not read.

    Args:
        dataset: Its name.
        found: The answers of each task.
        margin: In points.

    Returns:
        A PNG.
    """
    asked = [[one for one in task.verdicts if one.contrast] for task in found]
    lines = max(sum(1 + len(one.controls) for one in verdicts) for verdicts in asked)
    size = (WIDE + NEXT * (len(found) - 1), LINE * lines + 1.6)
    figure, panels = plt.subplots(1, len(found), figsize=size, squeeze=False, layout="constrained")
    names: list[str] = []
    for panel, task, verdicts in zip(panels[0], found, asked, strict=True):
        _draw_band(panel, margin)
        ticks: dict[float, str] = {}
        height = 0.0
        for verdict in verdicts:
            height = _draw_question(panel, verdict, height, ticks)
        same = [*ticks.values()] == names  # then the first panel has them
        names = names or [*ticks.values()]
        panel.set_yticks(list(ticks), [""] * len(ticks) if same else list(ticks.values()))
        panel.set_ylim(-height + 0.4, 0.6)
        unit = f"difference in test {task.task.score}, points [95 % interval]"
        panel.set(xlabel=unit, title=f"{dataset}, {task.task.name}")
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", alpha=0.25)
    every = [one for verdicts in asked for one in verdicts]
    looks = {"control that val chose": NAMED, "other controls": OTHERS}
    if any(one.decisive != one.controls[0] for one in every):
        looks["the hardest to beat, which decides"] = DECIDES
    if any(one.word in UNREAD for one in every):
        looks["grey: no verdict reads it"] = NAMED | GREY
    _add_legend(panels[0][0], looks)
    return to_png(figure)


def _draw_band(panel: Axes, margin: float) -> None:
    """Draw 0 and what counts as equal to it."""
    panel.axvspan(-margin, margin, color="0.9", zorder=0, label="within the margin")
    panel.axvline(0, color="0.4", linewidth=1, zorder=1)


def _draw_question(panel: Axes, verdict: Verdict, height: float, ticks: dict[float, str]) -> float:
    """Draw a question from a height downwards, and note its ticks.

    Returns:
        The height of the next one.
    """
    contrast = verdict.contrast
    assert contrast
    title = f"{verdict.question.name}: {verdict.word}"
    place: dict[str, Any] = {"transform": panel.get_yaxis_transform(), "va": "center"}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # the line at 0 lies behind it
    panel.text(0.01, -height, title, weight="bold", fontsize=9, bbox=box, **place)
    shade = GREY if verdict.word in UNREAD else {}
    for row, (control, gap) in enumerate(zip(verdict.controls, contrast.gaps, strict=True), 1):
        at = -height - row
        ticks[at] = f"{verdict.question.setting} - {named(control)}"
        look = NAMED if row == 1 else DECIDES if control == verdict.decisive else OTHERS
        _draw_gap(panel, gap, at, look | shade)
    return height + 1 + len(verdict.controls)


def _draw_gap(panel: Axes, gap: Gap, height: float, look: dict[str, Any]) -> None:
    """Draw a gap; one seed has no interval."""
    reach = 0.0 if gap.seeds < 2 else 100 * gap.reach
    bar: dict[str, Any] = {"xerr": reach, "capsize": 2, "elinewidth": 1.2, "linestyle": "none"}
    panel.errorbar(100 * gap.mean, height, **bar, **look, zorder=3)


def _add_legend(panel: Axes, looks: Mapping[str, dict[str, Any]]) -> None:
    """Name the band and all markers below the panels."""
    for label, look in looks.items():
        panel.plot([], [], linestyle="none", label=label, **look)
    handles, labels = panel.get_legend_handles_labels()
    figure: Any = panel.figure
    columns = 4 if len(figure.axes) > 1 else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
