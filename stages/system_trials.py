"""Train the trials of a system: settings -> runs/<dataset>/systems_trials/<system>/<labels>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.system_trials"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrainParams
from geomix.config.tuning import TRIAL_SEED
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Train all trials, with labels given and hidden; one that fails leaves a note."""
    load(TrainParams)
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="trials that settle wrote")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    folders = sorted(path for path in given.settings.glob("*") if path.is_dir())
    cells = [cell for path in folders for cell in read_cells(None, path, {}, None)]
    if not cells:
        expected = "expected it from an earlier stage (dvc repro)"
        raise InputError(f"{given.settings}: not found; {expected}")

    from geomix.data.packed import open_packed
    from geomix.train.cells import Planned, report_trials, train_cells

    packed = open_packed(given.data)
    places = [f"{cell.names['labels']}/{cell.names['trial']}/{TRIAL_SEED}" for cell in cells]
    pairs = zip(cells, places, strict=True)
    planned = [Planned(cell, TRIAL_SEED, packed, place) for cell, place in pairs]
    report_trials(train_cells(planned, given.out, trials=True), planned, given.out)


if __name__ == "__main__":
    run(main)
