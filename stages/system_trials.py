"""Train the trials of a system: settings -> runs/<dataset>/systems_trials/<system>/<labels>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.system_trials"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrainParams
from geomix.config.tuning import FAILED, TRIAL_SEED
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
    from geomix.files import new_folder, write_json
    from geomix.geometry.geometry import build_geometry
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    packed = open_packed(given.data)
    fix_bytes(choose_device(cells[0].params.device))
    failures = []
    with new_folder(given.out) as folder:
        for cell in cells:
            params, trial = cell.params, f"{cell.names['labels']}/{cell.names['trial']}"
            place = folder / trial / str(TRIAL_SEED)
            try:
                dimensions = params.head.outputs
                geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=dimensions)
                trained = fit(packed, geometry, params, TRIAL_SEED, f"{given.out.name}/{trial}")
                save_run(trained, packed, cell.identity(TRIAL_SEED), params, place)
            except InputError as error:
                failures.append(str(error))
                place.parent.mkdir(parents=True, exist_ok=True)
                write_json(place.parent / FAILED, {"failure": str(error)})
        if len(failures) == len(cells):  # the fault is hardly that of the settings
            raise InputError(failures[0])
    print(f"{given.out.name}: {len(cells)} trials, {len(failures)} could not be trained")


if __name__ == "__main__":
    run(main)
