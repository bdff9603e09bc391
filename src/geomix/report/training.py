"""The page of training: reports/<dataset>/training/. Whether every run learned, and how.

A run collapsed if its embeddings end within 1 degree of one direction. It never left its start if
the loss of its last epoch is not at least 1 % below that of its first; a run of one epoch says
nothing of that.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt

from geomix.config.stages import TrainingPageParams
from geomix.config.studies import Study
from geomix.data.packed import Packed, open_packed
from geomix.errors import InputError
from geomix.report.budget import find_budget
from geomix.report.figures import look_of, to_png
from geomix.report.learned import QUANTITIES, split_name
from geomix.report.page import write_csv
from geomix.report.render import describe_origin, render
from geomix.report.results import list_recorded, read_history
from geomix.report.text import named, settings

NARROW = 1.0  # degrees
FALLEN = 0.01  # of the loss of the first epoch
COLUMNS = 3  # of panels
HEADINGS = {
    "loss": "loss",
    "spread": "spread of embeddings, degrees",
    "radius_mean": "mean radius of points",
    "effective_negatives": "effective negatives in the batch",
}
LOGARITHMIC = {"effective_negatives"}  # so that geometries which have few do not fall together
Row = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A run that did not learn.

    Attributes:
        study: Its study.
        run: Geometry, values and seed, in words.
        kind: collapsed, or stuck where it never left its start.
        first: What shows it, spread or loss, in the first epoch.
        last: The same in the last epoch.
    """

    study: str
    run: str
    kind: str
    first: float
    last: float


def find_fault(epochs: pd.DataFrame) -> tuple[str, float, float] | None:
    """Return the fault of a run, with the two numbers that show it; none of one that learned.

    Args:
        epochs: Its rows, in order. Without a column `spread` no run is called collapsed.
    """
    if "spread" in epochs:
        first, last = float(epochs["spread"].iloc[0]), float(epochs["spread"].iloc[-1])
        if last < NARROW:  # not of NaN
            return "collapsed", first, last
    first, last = float(epochs["loss"].iloc[0]), float(epochs["loss"].iloc[-1])
    if len(epochs) > 1 and first - last < FALLEN * abs(first):
        return "stuck", first, last
    return None


def list_faults(study: str, axes: Sequence[str], history: pd.DataFrame) -> Iterator[Fault]:
    """Yield the runs of a study that did not learn."""
    for _, epochs in history.groupby("cell", sort=False):
        row = epochs.iloc[0].to_dict()
        values = [settings(row, axes)] if axes else []
        words = ", ".join([named(row["geometry"]), *values, f"seed {row['seed']}"])
        if found := find_fault(epochs):
            yield Fault(study, words, *found)


def summarise_training(history: pd.DataFrame) -> list[Row]:
    """Return a row for each geometry: the loss of the first epoch, and the last epoch.

    Means are over seeds; `learned` has what is learned, by name. What was not recorded is NaN.
    """
    first, last = (history[history["epoch"] == history["epoch"].agg(end)] for end in ("min", "max"))
    learned = [name for name in list_recorded(history) if split_name(name)[1] in QUANTITIES]
    rows = []
    for geometry, cells in last.groupby("geometry", sort=False):
        means = cells[[*list_recorded(history)]].mean().to_dict()
        begun = first.loc[first["geometry"] == geometry, "loss"].mean()
        rows.append(
            dict.fromkeys((*HEADINGS, "radius_sd"), math.nan)
            | means
            | {
                "geometry": geometry,
                "runs": len(cells),
                "first_loss": begun,
                "learned": {name: means[name] for name in learned if not math.isnan(means[name])},
            }
        )
    return rows


def build_training(results: Path, data: Path, params: TrainingPageParams) -> dict[str, bytes]:
    """Build the page of training, its figure and table.

    Args:
        results: The folder with a folder for each study.
        data: The packed data set.
        params: What trained the cells, and the studies; the first is shown, all are watched.

    Returns:
        Content by file name.

    Raises:
        InputError: If no history is there.
    """
    packed = open_packed(data)
    histories = {name: read_history(results / name) for name in params.study}
    shown = next(iter(histories))
    if histories[shown].empty:
        expected = "expected it from an earlier stage (dvc repro)"
        raise InputError(f"{results / shown}/history.csv: not found; {expected}")
    faults = [
        fault
        for name, history in histories.items()
        for fault in list_faults(name, list(params.study[name].axes), history)
    ]
    page = render(
        "training",
        dataset=packed.card["dataset"],
        shown=shown,
        rows=summarise_training(histories[shown]),
        faults=faults,
        runs={name: one["cell"].nunique() for name, one in histories.items()},
        watched=all("spread" in one for one in histories.values() if len(one)),
        epochs=int(histories[shown]["epoch"].max()),
        origin=describe_origin(packed, [], study={shown: describe_study(params.study[shown])}),
    )
    return {
        "README.md": page,
        "figure.png": draw_training(histories[shown], find_steps(packed, params, shown)),
        "history.csv": write_csv(
            pd.concat([one.assign(study=name) for name, one in histories.items() if len(one)])
        ),
    }


def describe_study(study: Study) -> Row:
    """Return a study as it stands in the provenance of the page."""
    return study.model_dump(exclude_defaults=True, warnings=False)


def find_steps(packed: Packed, params: TrainingPageParams, name: str) -> float | None:
    """Return the steps of the optimiser in an epoch; none where cells differ in them."""
    study = params.study[name]
    budget = find_budget(packed, params, 0, study.axes, study.fixed)
    return budget["steps"] / budget["epochs"] if budget else None


def draw_training(history: pd.DataFrame, steps: float | None) -> bytes:
    """Draw what was recorded over steps: a panel for each quantity, a line for each geometry.

    Lines are means over seeds, with a band from the lowest to the highest seed. What was not
    recorded has no panel.

    Args:
        history: Of a study without axes.
        steps: Of the optimiser in an epoch; without them the axis counts epochs.

    Returns:
        A PNG.
    """
    names = list(dict.fromkeys(history["geometry"]))
    panels = list_panels(history)
    wide = 2 if len(panels) == 4 else min(COLUMNS, len(panels))
    high = -(-len(panels) // wide)
    figure, axes = plt.subplots(
        high,
        wide,
        figsize=(4.2 * wide, 3.1 * high + 0.8),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    lines: dict[str, Any] = {}
    for axis, (heading, columns) in zip(axes.flat, panels.items(), strict=False):
        for (geometry, column), rows in list_lines(history, columns):
            look = look_of(geometry, names) | {"markersize": 4, "linewidth": 1.3}
            space = split_name(column)[0]
            x = rows.index * (steps or 1)
            (line,) = axis.plot(x, rows["mean"], **look)
            axis.fill_between(x, rows["min"], rows["max"], color=look["color"], alpha=0.12)
            if space and len(columns) > 1:
                axis.annotate(space, (x[-1], rows["mean"].iloc[-1]), ha="right", va="bottom")
            lines[named(geometry)] = line
        if LOGARITHMIC.issuperset(columns):
            axis.set_yscale("log")
        axis.set_title(heading, fontsize=10)
        axis.set_xlabel("step" if steps else "epoch", fontsize=9)
        axis.tick_params(labelbottom=True)
        axis.grid(alpha=0.25)
    seeds = history.groupby("geometry")["seed"].nunique().max()
    title = f"mean over {seeds} seeds, band: lowest to highest" if seeds > 1 else "one seed"
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": 5, "frameon": False}
    figure.legend(lines.values(), lines.keys(), title=title, fontsize=9, **below)
    return to_png(figure)


def list_panels(history: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of each panel by its heading; a column without a number has none."""
    known = [name for name in list_recorded(history) if history[name].notna().any()]
    panels = {heading: [name] for name, heading in HEADINGS.items() if name in known}
    for quantity in QUANTITIES:
        if columns := [name for name in known if split_name(name)[1] == quantity]:
            panels[f"learned {quantity}"] = columns
    return panels


def list_lines(
    history: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Yield for each geometry and column the mean, min and max over seeds, by epoch."""
    for geometry, cells in history.groupby("geometry", sort=False):
        for column in columns:
            known = cells[cells[column].notna()]
            if len(known):
                ends = known.groupby("epoch")[column].agg(["mean", "min", "max"])
                yield (str(geometry), column), ends
