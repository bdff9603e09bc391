"""Train the trials of a round: settings -> runs/<dataset>/tune/<geometry>-<round>/<fold>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.trials"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrialParams, find_dataset
from geomix.config.tuning import FAILED, TRIAL_SEED
from geomix.errors import InputError
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
    dataset = find_dataset(tuned, given.own.removeprefix("tune."))
    cells = read_cells(None, given.settings, {}, given.own)

    from geomix.data.packed import open_packed
    from geomix.files import new_folder, write_json
    from geomix.geometry.geometry import build_geometry
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    fix_bytes(choose_device(cells[0].params.device))
    failures = []
    folds = list(map(str, range(tuned.budget[dataset].folds)))
    with new_folder(given.out) as folder:
        for fold in folds:
            packed = open_packed(given.data / fold)
            for cell in cells:
                params, place = cell.params, f"{fold}/{cell.place(TRIAL_SEED)}"
                name = f"{given.out.name}/{place}"
                dimensions = params.head.outputs
                try:
                    geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=dimensions)
                    trained = fit(packed, geometry, params, TRIAL_SEED, name)
                    identity = cell.identity(TRIAL_SEED)
                    save_run(trained, packed, identity, params, folder / place)
                except InputError as error:
                    failures.append(str(error))
                    (folder / place).parent.mkdir(parents=True, exist_ok=True)
                    write_json((folder / place).parent / FAILED, {"failure": str(error)})
        count = len(folds) * len(cells)
        if len(failures) == count:  # the fault is hardly that of the settings
            raise InputError(failures[0])
    print(f"{given.out.name}: {count} trials, {len(failures)} could not be trained")


if __name__ == "__main__":
    run(main)
