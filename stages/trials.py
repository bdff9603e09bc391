"""Train the trials of a round: settings -> runs/<dataset>/tune/<geometry>-<round>/<fold>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.trials"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrialParams, find_dataset
from geomix.config.tuning import TRIAL_SEED
from stages import Arguments, run


def main() -> None:
    """Train all settings of a folder; one that cannot be trained leaves a note and stops none."""
    load(TrialParams)
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="what propose wrote")
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--data", type=Path, required=True, help="the packed folds")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    tuned = load(TrialParams, own=given.own).tune
    budget = tuned.budget[find_dataset(tuned, given.own.removeprefix("tune."))]
    cells = read_cells(None, given.settings, {}, given.own)

    from geomix.data.packed import open_packed
    from geomix.train.cells import Planned, report_trials, train_cells

    folds = {str(fold): open_packed(given.data / str(fold)) for fold in range(budget.folds)}
    planned = [
        Planned(cell, TRIAL_SEED, packed, f"{fold}/{cell.place(TRIAL_SEED)}")
        for fold, packed in folds.items()
        for cell in cells
    ]
    report_trials(train_cells(planned, given.out, trials=True), planned, given.out)


if __name__ == "__main__":
    run(main)
