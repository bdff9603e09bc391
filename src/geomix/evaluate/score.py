"""Score the cells of a study: runs/<dataset>/<study> -> metrics.csv, per_query.npz and others."""

import shutil
from collections.abc import Callable, Mapping, Sequence
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
    rows: list[dict[str, Any]] = []
    per_query: dict[str, np.ndarray] = {}
    machines: list[dict[str, str]] = []
    trees: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []

    def collect(place: str, identity: Mapping[str, Any], scored: Scored) -> None:
        """Keep the rows of a cell and the values of its queries."""
        for row, values in scored:
            rows.append({"cell": place, **identity, **row})
            per_query.update({f"{place}/{key}": value for key, value in values.items()})

    made = {cell.name: cell for cell in ensembles}
    for place in open_bar([*cells, *made], desc=f"evaluate {name}", unit="cell"):
        cell = made.get(place) or read_cell(runs, place)
        if cell.machine and cell.machine not in machines:
            machines.append(cell.machine)
        if (runs / place / "tree.csv").is_file():
            purities = score_tree(runs / place, cell.vectors, packed)
            trees += [{"cell": place, **cell.identity, **row} for row in purities]
        history += read_history(runs / place, cell)
        collect(place, cell.identity, SCORERS[task](cell, packed))
    for constant in CONSTANTS if baselines and task == "lineage" else ():
        collect(constant, {"geometry": constant}, score_constant(constant, packed))
    with new_folder(out) as folder:
        table = pd.DataFrame(rows, columns=None if rows else COLUMNS)
        table.to_csv(folder / "metrics.csv", index=False, float_format="%.9g")
        np.savez_compressed(folder / "per_query.npz", allow_pickle=False, **per_query)
        write_json(folder / "machine.json", machines)
        write_json(folder / "chosen.json", choose_values(table, axes, task))
        if history:
            history_path = folder / "history.csv"
            pd.DataFrame(history).to_csv(history_path, index=False, float_format="%.9g")
        if trees:
            trees_path = folder / "trees.csv"
            pd.DataFrame(trees).to_csv(trees_path, index=False, float_format="%.9g")
