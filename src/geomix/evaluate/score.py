"""Score the cells of a study: runs/<dataset>/<study> -> metrics.csv, per_query.npz and others."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate.cells import Cell, Scored, read_cell
from geomix.evaluate.choose import choose_values
from geomix.evaluate.classes import score_classes
from geomix.evaluate.distances import COLUMNS, score_distances
from geomix.evaluate.lineage import CONSTANTS, any_ancestor, score_constant, score_lineages
from geomix.evaluate.tree import score_tree
from geomix.evaluate.workers import map_in_order
from geomix.files import new_folder, read_json, write_json
from geomix.progress import open_bar

SHARE = 2**16  # samples of cells, at least, for each process: these are scored in about 10 s

SCORERS: Mapping[str, Callable[[Cell, Packed], Scored]] = {
    "class": score_classes,
    "lineage": score_lineages,
    "distances": score_distances,
}


def remove_strays(runs: Path, cells: Sequence[str]) -> None:
    """Remove the folders of settings that the study no longer has: they would enter its hash."""
    named = {cell.split("/")[0] for cell in cells}
    for folder in sorted(runs.iterdir()) if runs.is_dir() else []:
        if folder.is_dir() and folder.name not in named and not folder.name.startswith("."):
            print(f"removed {folder}, which the study no longer has")
            shutil.rmtree(folder)


def find_task(runs: Path, cells: Sequence[str]) -> str:
    """Return the task of all cells of a study, a key of `SCORERS`; class where none is named.

    Raises:
        InputError: If a cell is missing, a task is unknown, or two cells have different ones.
    """
    tasks = {name: read_json(runs / name / "geometry.json").get("task", "class") for name in cells}
    first = next(iter(tasks.values()), "class")
    for name, task in tasks.items():
        where = f"{runs / name}/geometry.json"
        if task not in SCORERS:
            expected = f"one of {', '.join(SCORERS)}"
            raise InputError(f"{where}: task: found {task!r}, expected {expected}")
        if task != first:
            expected = f"{first}, as of {next(iter(tasks))}: one task for all cells of a study"
            raise InputError(f"{where}: task: found {task}, expected {expected}")
    return first


def read_history(folder: Path, cell: Cell) -> list[dict[str, Any]]:
    """Read how a cell was trained: a row for each epoch, with what makes it; none if untrained."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    identity = {"cell": cell.name, **cell.identity}
    return [{**identity, **row} for row in pd.read_csv(path).to_dict("records")]


@dataclass
class Scores:
    """What was found of the cells of a study, in their order.

    Attributes:
        rows: A row for each cell, split and search.
        per_query: Values of the queries, by <cell>/<key>.
        machines: What trained the cells, each machine once.
        trees: A row for each learned tree and level.
        history: A row for each epoch of each trained cell.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    per_query: dict[str, np.ndarray] = field(default_factory=dict)
    machines: list[dict[str, str]] = field(default_factory=list)
    trees: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    def add(self, identity: Mapping[str, Any], scored: Scored) -> None:
        """Keep the rows of a cell and the values of its queries; `identity` begins its rows."""
        for row, values in scored:
            self.rows.append({**identity, **row})
            for key, value in values.items():
                self.per_query[f"{identity['cell']}/{key}"] = value

    def add_training(self, folder: Path, cell: Cell, packed: Packed) -> None:
        """Keep how a cell was trained, on what, and the tree that it learned, if any."""
        if cell.machine and cell.machine not in self.machines:
            self.machines.append(cell.machine)
        self.history += read_history(folder, cell)
        if (folder / "tree.csv").is_file():
            purities = score_tree(folder, cell.vectors, packed)
            self.trees += [{"cell": cell.name, **cell.identity, **row} for row in purities]

    def join(self, other: "Scores") -> None:
        """Keep what was found of further cells."""
        self.rows += other.rows
        self.per_query |= other.per_query
        self.machines += [one for one in other.machines if one not in self.machines]
        self.trees += other.trees
        self.history += other.history

    def write(self, out: Path, axes: Sequence[str], task: str) -> None:
        """Write all files of `score_study`, or none."""
        table = pd.DataFrame(self.rows, columns=None if self.rows else COLUMNS)
        with new_folder(out) as folder:
            np.savez_compressed(folder / "per_query.npz", allow_pickle=False, **self.per_query)
            write_json(folder / "machine.json", self.machines)
            write_json(folder / "chosen.json", choose_values(table, axes, task))
            table.to_csv(folder / "metrics.csv", index=False, float_format="%.9g")
            for name, rows in (("history", self.history), ("trees", self.trees)):
                if rows:
                    path = folder / f"{name}.csv"
                    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.9g")


def score_cell(runs: Path, packed: Packed, task: str, given: str | Cell) -> Scores:
    """Score a cell by itself: one that was trained, by its place, or one made of others."""
    cell = read_cell(runs, given) if isinstance(given, str) else given
    scores = Scores()
    scores.add_training(runs / cell.name, cell, packed)
    scores.add({"cell": cell.name, **cell.identity}, SCORERS[task](cell, packed))
    return scores


def score_study(
    runs: Path,
    cells: Sequence[str],
    packed: Packed,
    out: Path,
    name: str,
    ensembles: Sequence[Cell] = (),
    axes: Sequence[str] = (),
    baselines: bool = False,
    processes: int = 1,
) -> None:
    """Score all cells of a study, by the task that they were trained for.

    Lineages of which none begins with another are classes, and are scored as classes.

    Args:
        runs: The folder of the study's cells.
        cells: Their places in it.
        packed: The data set.
        out: The target folder of metrics.csv (a row for each cell, split and search; columns by
            task, see `score_classes`, `score_lineages` and `score_distances`), per_query.npz,
            machine.json, chosen.json (by geometry the value of each axis that validation chose),
            history.csv (a row for each epoch of each trained cell)
            and, of cells with a learned tree, trees.csv (a row for each such cell and level).
        name: Of the study, for the progress bar.
        ensembles: Further cells, made of those that were trained.
        axes: Keys that vary.
        baselines: Whether these are the baselines. Of lineages the rankings that ignore the query,
            depth and descendants, are then scored beside them, as cells and geometries of these
            names.
        processes: At most so many score cells side by side, fewer where cells or samples are few.
            Results are the same bytes.

    Raises:
        InputError: If a cell is missing or does not fit the data set, cells have different tasks,
            or the data set has nothing that the task could score.
    """
    task = find_task(runs, cells)
    if task == "lineage" and not any_ancestor(packed):
        task = "class"
    scores, everything = Scores(), [*cells, *ensembles]
    table = replace(packed, images=np.empty(0))  # no score needs an image
    count = min(processes, len(everything) * len(table.samples) // SHARE)
    scored = map_in_order(partial(score_cell, runs, table, task), everything, count)
    settings = {"desc": f"evaluate {name}", "unit": "cell"}
    for one in open_bar(scored, total=len(everything), **settings):
        scores.join(one)
    for constant in CONSTANTS if baselines and task == "lineage" else ():
        identity = {"cell": constant, "geometry": constant}
        scores.add(identity, score_constant(constant, packed))
    scores.write(out, axes, task)
