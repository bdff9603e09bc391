"""Score the cells of a study: runs/<dataset>/<study> -> metrics.csv, per_query.npz and others."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from geomix.files import new_folder, read_json, write_json
from geomix.progress import open_bar

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


def score_study(
    runs: Path,
    cells: Sequence[str],
    packed: Packed,
    out: Path,
    name: str,
    ensembles: Sequence[Cell] = (),
    axes: Sequence[str] = (),
    baselines: bool = False,
) -> None:
    """Score all cells of a study in one process, by the task that they were trained for.

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

    Raises:
        InputError: If a cell is missing or does not fit the data set, cells have different tasks,
            or the data set has nothing that the task could score.
    """
    task = find_task(runs, cells)
    if task == "lineage" and not any_ancestor(packed):
        task = "class"
    scores = Scores()
    made = {cell.name: cell for cell in ensembles}
    for place in open_bar([*cells, *made], desc=f"evaluate {name}", unit="cell"):
        cell = made.get(place) or read_cell(runs, place)
        scores.add_training(runs / place, cell, packed)
        scores.add({"cell": place, **cell.identity}, SCORERS[task](cell, packed))
    for constant in CONSTANTS if baselines and task == "lineage" else ():
        identity = {"cell": constant, "geometry": constant}
        scores.add(identity, score_constant(constant, packed))
    scores.write(out, axes, task)
