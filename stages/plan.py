"""Say which cells will run, how long that takes here and how to make it smaller.

`make` asks before the first cell. The names of stages that will run go to standard output, one a
line; the words go to standard error.
"""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.plan"
    )

import shlex
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from geomix.config.base import Section
from geomix.config.read import load
from geomix.config.settings import Cell, read_cells
from geomix.config.stages import TrialParams, find_dataset
from geomix.config.tuning import TRIAL_SEED
from geomix.errors import InputError
from stages import Arguments, run

if TYPE_CHECKING:
    from geomix.data.packed import Packed

SMALLER = (
    "To make it smaller: fewer seeds, values or epochs in params.yaml; or one page and what it "
    "needs, as dvc repro page@tau. Ctrl-C loses only the cells that are under way."
)
STEPS = 4  # of a trial
LONG = 10.0  # seconds, after which a trial is not repeated
KINDS = 3  # of cells that are tried; others are taken to be like them


@dataclass(frozen=True)
class Work:
    """A cell that will run.

    Attributes:
        data: Its packed data set.
        cell: Its settings.
        seed: Its seed.
    """

    data: Path
    cell: Cell
    seed: int

    @property
    def kind(self) -> tuple[str, str, str]:
        """What the time of a step depends on."""
        params = self.cell.params
        return str(self.data), repr(params.backbone), repr((params.batch, params.loss))


def main() -> None:
    """Print the names of stale stages, and say how long they will take."""
    load(Section)
    arguments = Arguments()
    arguments.add_argument("--jobs", type=int, default=1, help="cells that run at a time")
    arguments.add_argument("stages", nargs="*", help="names of stages, as DVC has them")
    given = arguments.parse_args()
    began = time.perf_counter()
    stale = list_stale(given.stages)
    start = time.perf_counter() - began
    print("\n".join(stale), end="\n" if stale else "")
    if not stale:
        say(f"All {len(given.stages)} groups of cells are up to date.")
        return
    count = f"{len(stale)} of {len(given.stages)} groups of cells will run, {given.jobs} at a time"
    try:
        seconds = estimate(list(stale.values()), start) / min(given.jobs, len(stale))
    except InputError:  # the cell itself will say so
        say(f"{count}.")
        return
    say(f"{count}: {describe_time(seconds)} on this machine, unless they are in the run-cache.")
    say(SMALLER)


def say(text: str) -> None:
    """Tell people, who read standard error."""
    print(text, file=sys.stderr)


def list_stale(names: list[str]) -> dict[str, str]:
    """Return of these stages the commands of those that DVC would run, by name, in their order.

    While DVC is at work elsewhere, it cannot tell: then all of them.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    # Each file is read once; Repo.status would read it for each name, Repo.index all there are.
    files = dict.fromkeys(name.rpartition(":")[0] or None for name in names)
    with Repo() as repo:
        loaded = [stage for path in files for stage in repo.stage.load_all(path)]
        stages = {stage.addressing: stage for stage in loaded}
        try:
            with repo.lock:
                changed = [name for name in names if stages[name].status()]
        except DvcException:
            changed = names
    return {name: str(stages[name].cmd) for name in changed}


def estimate(commands: list[str], start: float) -> float:
    """Estimate the seconds of some commands, one after the other.

    Args:
        commands: Those of stages; those that train nothing count as their start alone.
        start: Seconds in which DVC starts.

    Raises:
        InputError: As training the first of them would.
    """
    from geomix.data.packed import Packed, open_packed

    began = time.perf_counter()
    from geomix.train import fit  # noqa: F401  torch and timm, which each stage imports

    start += time.perf_counter() - began
    packed: dict[Path, Packed] = {}
    trials: dict[tuple[str, str, str], float] = {}
    total = 0.0
    for work in (one for command in commands for one in list_work(command)):
        if work.data not in packed:
            packed[work.data] = open_packed(work.data)
        data = packed[work.data]
        if work.kind not in trials:
            known = trials.values()
            trials[work.kind] = (
                time_step(data, work) if len(trials) < KINDS else sum(known) / len(trials)
            )
        total += count_steps(data, work) * trials[work.kind]
    return total + len(commands) * start


def list_work(command: str) -> list[Work]:
    """List the cells that a command trains; none for a command of another stage."""
    from stages.train import list_asked

    words = shlex.split(command)
    arguments = Arguments()
    for name in ("--geometry", "--study", "--own"):
        arguments.add_argument(name)
    for name in ("--settings", "--data", "--splits", "--out"):
        arguments.add_argument(name, type=Path)
    arguments.add_argument("--seeds", nargs="+")
    given, others = arguments.parse_known_args(words[3:])
    stage = words[2] if words[:2] == ["python", "-m"] else ""
    if stage == "stages.train":
        return [Work(given.data, cell, seed) for cell, seed, _ in list_asked(given, others)]
    if stage == "stages.system_trials":
        return list_trials(given)
    return list_tuned(given) if stage in ("stages.trials", "stages.winners") else []


def list_trials(given: Namespace) -> list[Work]:
    """List the trials of a system, one seed of each."""
    folders = sorted(path for path in given.settings.glob("*") if path.is_dir())
    cells = [cell for path in folders for cell in read_cells(None, path, {}, None)]
    return [Work(given.data, cell, TRIAL_SEED) for cell in cells]


def list_tuned(given: Namespace) -> list[Work]:
    """List as many cells as trials of a round, or a winner, of a geometry train.

    Their settings are not known before, and steps hardly depend on them: so those of a start.
    """
    tuned = load(TrialParams, own=given.own).tune
    dataset = find_dataset(tuned, given.own.removeprefix("tune."))
    budget = tuned.budget[dataset]
    start = dict.fromkeys(("tau", "curvature", "lam"), 1.0)
    if given.splits is None:
        data = [given.data / str(fold) for fold in range(budget.folds)] * budget.trials
        seeds = [TRIAL_SEED]
    else:
        data = [given.data, *(given.splits / str(split) for split in budget.splits)]
        seeds = tuned.winners(dataset).seeds
    # The folder of a round is named <geometry>-<round>, that of winners <geometry>.
    geometry = given.out.name.rpartition("-")[0] or given.out.name
    [cell] = read_cells(geometry, None, start, given.own)
    return [Work(place, cell, seed) for place in data for seed in seeds]


def count_steps(packed: "Packed", work: Work) -> int:
    """Return the steps in which a cell is trained."""
    from geomix.train.state import build_batches

    return work.cell.params.epochs * build_batches(packed, work.cell.params).per_epoch


def time_step(packed: "Packed", work: Work) -> float:
    """Return the seconds of a step, from a trial on a few classes.

    Two epochs less one leave the steps alone.
    """
    few = take_few(packed, work)
    first = time_epochs(few, work, 1)
    steps = count_steps(few, work) // work.cell.params.epochs
    if first > LONG:
        return first / steps
    return max(0.0, time_epochs(few, work, 2) - first) / steps


def take_few(packed: "Packed", work: Work) -> "Packed":
    """Return a data set whose train split is a few batches, where classes are learned."""
    params = work.cell.params
    if params.task != "class":
        return packed
    samples = packed.samples
    train = samples["split"].eq("train")
    sizes = samples.loc[train, "label"].value_counts(sort=False)
    enough = sizes[sizes >= params.batch.images].cumsum()
    wanted = STEPS * params.batch.classes * params.batch.images
    classes = enough.index[: max(params.batch.classes, int((enough <= wanted).sum()))]
    kept = samples["split"].where(~train | samples["label"].isin(classes), "")
    return replace(packed, samples=samples.assign(split=kept))


def time_epochs(packed: "Packed", work: Work, epochs: int) -> float:
    """Return the seconds of a training of some epochs."""
    from geomix.geometry.geometry import build_geometry
    from geomix.train.fit import fit

    cell = work.cell
    params = cell.params.model_copy(update={"epochs": epochs})
    geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=params.head.outputs)
    began = time.perf_counter()
    fit(packed, geometry, params, work.seed, "trial")
    return time.perf_counter() - began


def describe_time(seconds: float) -> str:
    """Say a time in words that claim no more than is known."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} seconds"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"


if __name__ == "__main__":
    run(main)
