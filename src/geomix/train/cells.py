"""Train the cells of a stage; after a stop the stage goes on with the cell and step it was at."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric

from geomix.config.settings import Cell
from geomix.config.tuning import FAILED
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json
from geomix.geometry.geometry import build_geometry
from geomix.network.ranks import own_rank
from geomix.train.device import fix_bytes
from geomix.train.fit import fit
from geomix.train.machine import open_machine
from geomix.train.save import save_run
from geomix.train.snapshots import Snapshots

SNAPSHOTS = Path(".geomix/snapshots")  # below the root of the repository
SOURCE = Path(__file__).resolve().parent.parent
ROOMS = ("data", "geometry", "losses", "negatives", "network", "regularisers", "train")
PACKAGES = ("timm", "numpy", "geoopt", "pytorch-metric-learning")
LETTERS = 16  # of a folder's name


@dataclass(frozen=True)
class Planned:
    """A cell to be trained: its setting, seed and data, and its place in the stage's folder."""

    cell: Cell
    seed: int
    packed: Packed
    place: str


def train_cells(planned: Sequence[Planned], out: Path, trials: bool = False) -> list[str]:
    """Train cells and write them into a folder, which is there as a whole or not at all.

    Cells that were trained before the stage was stopped are not trained again.

    Args:
        planned: The cells, which share a machine.
        out: The target folder.
        trials: Whether they are trials of tuning: one that cannot be trained leaves a note and
            stops no other, and what only use needs is left out.

    Returns:
        Why trials could not be trained.

    Raises:
        InputError: If a cell cannot be trained; of trials, only if none can be.
    """
    require_one_machine(planned)
    machine = open_machine(planned[0].cell.params)
    fix_bytes(machine.device)
    folder = find_root() / SNAPSHOTS / name_folder(planned, out, machine.device, machine.world_size)
    failures = []
    with nullcontext() if own_rank() else hold(folder, out.name):
        there = [one.place for one in planned if (folder / "cells" / one.place).is_dir()]
        there = machine.broadcast(there)
        for one in planned:
            if one.place in there:
                continue
            (folder / "cells" / one.place).with_name(FAILED).unlink(missing_ok=True)
            try:
                train_cell(one, out.name, folder, machine, whole=not trials)
            except InputError as error:
                if not trials:
                    raise
                failures.append(str(error))
                note_failure(folder / "cells" / one.place, str(error))
        if len(failures) == len(planned):  # the fault is hardly that of the settings
            raise InputError(failures[0])
        if not own_rank():
            with new_folder(out) as whole:
                shutil.copytree(folder / "cells", whole, dirs_exist_ok=True)
    return failures


def require_one_machine(planned: Sequence[Planned]) -> None:
    """Refuse cells of one process that differ in what a process sets up once.

    Raises:
        InputError: If they do.
    """
    for key in ("device", "precision", "machine"):
        values = {repr(getattr(one.cell.params, key)): None for one in planned}
        if len(values) > 1:
            expected = "one for all cells of a process: set it at the top of params.yaml"
            raise InputError(f"params.yaml: {key}: found {', '.join(values)}, expected {expected}")


def train_cell(one: Planned, name: str, folder: Path, machine: Fabric, whole: bool) -> None:
    """Train a cell, and write it to its place among the finished ones of the folder."""
    cell, params = one.cell, one.cell.params
    geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=params.head.outputs)
    stopped = folder / "stopped" / one.place
    snapshots = Snapshots(stopped, params.machine.snapshot_minutes)
    label = f"{name}/{one.place}"
    run = fit(one.packed, geometry, params, one.seed, label, machine, snapshots)
    place = folder / "cells" / one.place
    save_run(run, one.packed, cell.identity(one.seed), params, place, whole)
    if not own_rank():
        shutil.rmtree(stopped, ignore_errors=True)


def note_failure(place: Path, failure: str) -> None:
    """Write beside the place of a cell why it could not be trained."""
    if not own_rank():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place.parent / FAILED, {"failure": failure})


def report_losses(what: str, planned: Sequence[Planned], out: Path) -> None:
    """Print what was trained, and the loss of the last epoch of each cell in a folder."""
    if not own_rank():
        histories = [pd.read_csv(out / one.place / "history.csv") for one in planned]
        losses = ", ".join(f"{history['loss'].iloc[-1]:.3f}" for history in histories)
        print(f"{out.name}: {what}, loss {losses}")


def report_trials(failures: Sequence[str], planned: Sequence[Planned], out: Path) -> None:
    """Print how many trials there were, and how many of them failed."""
    if not own_rank():
        print(f"{out.name}: {len(planned)} trials, {len(failures)} could not be trained")


def find_root() -> Path:
    """Return the root of the repository.

    DVC names it to its stages; in `dvc exp run --temp` and --queue too, which run in a copy.
    """
    return Path(os.environ.get("DVC_ROOT", "."))


@contextmanager
def hold(folder: Path, name: str) -> Iterator[None]:
    """Hold the folder of a stage, wait while another process holds it, and remove it at the end.

    The folder stays where the stage is stopped, or ends with an error.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{name}: waits, as another process trains the same", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        for torn in list(folder.rglob(".*.part")):
            shutil.rmtree(torn) if torn.is_dir() else torn.unlink()
        folder.mkdir(exist_ok=True)
        yield
        shutil.rmtree(folder)
        Path(lock.lock_file).unlink()  # who waits for it sees that it went
    finally:
        lock.release()


def name_folder(planned: Sequence[Planned], out: Path, device: torch.device, ranks: int) -> str:
    """Name the folder of a stage by all that its bytes depend on.

    These are config, code, data, versions, the kind of device and the number of processes.
    """
    facts: dict[str, Any] = {
        "out": str(out),
        "machine": [device.type, ranks],
        "cells": [describe(one) for one in planned],
        "versions": [torch.__version__, *map(version, PACKAGES)],  # torch's own names its build
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in sorted(path for room in ROOMS for path in (SOURCE / room).rglob("*.py")):
        digest.update(f"{path.relative_to(SOURCE)} {hash_file(path)}".encode())
    return digest.hexdigest()[:LETTERS]


def describe(one: Planned) -> list[Any]:
    """Return what makes a cell and its bytes, as JSON has it."""
    cell, params = one.cell, one.cell.params
    settings = params.model_dump(exclude={"geometry"}, warnings=False)
    settings["machine"].pop("snapshot_minutes")
    spaces = {name: space.model_dump(warnings=False) for name, space in cell.spaces.items()}
    weights = params.backbone.checkpoint
    return [
        one.place,
        cell.identity(one.seed),
        settings,
        spaces,
        hash_file(Path(weights)) if weights and Path(weights).is_file() else None,
        one.packed.card["sha256"],
    ]
