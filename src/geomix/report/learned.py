"""What training made of learned numbers: the curvatures, scales and weights of spaces."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from geomix.config.sections import Geometry
from geomix.report.figures import SPARE_LOOKS, to_png
from geomix.report.results import list_recorded
from geomix.report.text import number

QUANTITIES = ("curvature", "scale", "weight")
RANGE = 10  # training keeps a curvature or a weight within this factor of its start
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")  # of spaces


@dataclass(frozen=True)
class Ends:
    """What became of a learned number from one start.

    Attributes:
        geometry: Its name.
        space: Which of its spaces.
        quantity: curvature, scale or weight.
        start: NaN of a scale, which starts as the outputs are many.
        ends: After the last epoch, by seed.
    """

    geometry: str
    space: str
    quantity: str
    start: float
    ends: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The geometric mean of the ends, as a factor counts and not a difference."""
        return float(np.exp(np.log(self.ends).mean()))

    @property
    def bounded(self) -> bool:
        """Whether some seed ends at the limit of what training may change."""
        limit = 0.999 * math.log(RANGE)
        return any(abs(math.log(end / self.start)) > limit for end in self.ends)


@dataclass(frozen=True)
class Learned:
    """All learned numbers of a study.

    Attributes:
        history: A row for each cell and epoch, from `read_history`.
        geometries: Spaces by name.
    """

    history: pd.DataFrame
    geometries: Mapping[str, Geometry]

    @cached_property
    def names(self) -> list[str]:
        """What is learned, as `<space>.<quantity>`, in the order of `QUANTITIES`."""
        found = [name for name in list_recorded(self.history) if split_name(name)[1] in QUANTITIES]
        return sorted(found, key=lambda name: QUANTITIES.index(split_name(name)[1]))

    @cached_property
    def rows(self) -> list[Ends]:
        """A row for each geometry, learned number and start."""
        last = self.history.groupby("cell", sort=False).tail(1)
        rows = []
        for name in self.names:
            known = last[last[name].notna()]
            starts = [self.find_start(row, name) for row in known.to_dict("records")]
            groups = known.assign(start=starts).groupby(
                ["geometry", "start"], sort=False, dropna=False
            )
            for (geometry, start), cells in groups:
                ends = tuple(cells.sort_values("seed")[name])
                rows.append(Ends(geometry, *split_name(name), start, ends))
        order = list(dict.fromkeys(self.history["geometry"]))
        return sorted(rows, key=lambda row: order.index(row.geometry))

    @property
    def fates(self) -> dict[str, int]:
        """How many learned curvatures fell or rose, and how many ended at their limit."""
        rows = [row for row in self.rows if row.quantity == "curvature"]
        return {
            "all": len(rows),
            "fell": sum(row.mean < row.start for row in rows),
            "rose": sum(row.mean > row.start for row in rows),
            "bounded": sum(row.bounded for row in rows),
        }

    @property
    def apart(self) -> list[dict[str, Any]]:
        """For each curvature with several starts: by which factors these and its ends lie apart."""
        found: dict[tuple[str, str], list[Ends]] = {}
        for row in self.rows:
            if row.quantity == "curvature":
                found.setdefault((row.geometry, row.space), []).append(row)
        return [
            {
                "geometry": geometry,
                "space": space,
                "starts": len(rows),
                "at_start": max(row.start for row in rows) / min(row.start for row in rows),
                "at_end": max(row.mean for row in rows) / min(row.mean for row in rows),
                "lowest": min(end for row in rows for end in row.ends),
                "highest": max(end for row in rows for end in row.ends),
            }
            for (geometry, space), rows in found.items()
            if len(rows) > 1
        ]

    def find_start(self, row: Mapping[str, Any], name: str) -> float:
        """Return where a cell's number began: as the geometry says, else as the cell does."""
        space, quantity = split_name(name)
        if quantity == "scale":
            return math.nan
        part = self.geometries[row["geometry"]][space]
        own = getattr(part, quantity)
        if isinstance(own, int | float):
            return float(own)
        return float(row["curvature" if quantity == "curvature" else "lam"])


def split_name(name: str) -> tuple[str, str]:
    """Return the space and the quantity of a learned number."""
    space, _, quantity = name.rpartition(".")
    return space, quantity


def draw_curvatures(learned: Learned, steps: float | None) -> bytes | None:
    """Draw learned curvatures over steps: a panel for each geometry, a line for each seed and ball.

    Colour and marker say the start, the dash which ball it is.

    Args:
        learned: Of a study.
        steps: Of the optimiser in an epoch; without them the axis counts epochs.

    Returns:
        A PNG; nothing where no curvature is learned.
    """
    curves = list(list_curves(learned, steps))
    if not curves:
        return None
    names = list(dict.fromkeys(curve.geometry for curve in curves))
    starts = sorted({curve.values[0] for curve in curves})
    figure, panels = plt.subplots(
        1,
        len(names),
        figsize=(4.4 * len(names) + 1, 4.4),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    lines: dict[str, Line2D] = {}
    for panel, name in zip(panels[0], names, strict=True):
        own = [curve for curve in curves if curve.geometry == name]
        spaces = list(dict.fromkeys(curve.space for curve in own))
        for curve in own:
            start = curve.values[0]
            color, marker, _ = SPARE_LOOKS[starts.index(start) % len(SPARE_LOOKS)]
            dash = DASHES[spaces.index(curve.space) % len(DASHES)]
            look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 4}
            panel.plot(curve.steps, curve.values, **look, linestyle=dash, linewidth=1.2)
            lines[f"start {number(start)}"] = Line2D([], [], **look)
            if len(spaces) > 1:
                lines[f"{name}, {curve.space}"] = Line2D([], [], color="0.2", linestyle=dash)
        panel.set(title=f"{name} ({own[0].seeds})", yscale="log")
        panel.set_xlabel("step" if steps else "epoch")
        panel.grid(alpha=0.25)
    panels[0, 0].set_ylabel("learned curvature c")
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": 6, "frameon": False}
    figure.legend(lines.values(), lines.keys(), **below)
    return to_png(figure)


@dataclass(frozen=True)
class Curve:
    """A learned curvature over the steps of a cell, from its start."""

    geometry: str
    space: str
    seeds: str
    steps: list[float]
    values: list[float]


def list_curves(learned: Learned, steps: float | None) -> Iterator[Curve]:
    """Yield a curve for each cell and ball."""
    for geometry, cells in learned.history.groupby("geometry", sort=False):
        count = cells["seed"].nunique()
        seeds = f"{count} seed{'' if count == 1 else 's'}"
        for _, epochs in cells.groupby("cell", sort=False):
            for name in learned.names:
                space, quantity = split_name(name)
                if quantity == "curvature" and epochs[name].notna().all():
                    start = learned.find_start(epochs.iloc[0].to_dict(), name)
                    places = [0, *((steps or 1) * epochs["epoch"])]
                    yield Curve(str(geometry), space, seeds, places, [start, *epochs[name]])
