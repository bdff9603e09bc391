"""Train the trials of a round: settings -> runs/<dataset>/<study>/<geometry>-<round>/<fold>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.trials"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrainParams
from geomix.config.tuning import FAILED, TRIAL_SEED
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Train all settings of a folder; one that cannot be trained leaves a note and stops none."""
    load(TrainParams)
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="what propose wrote")
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    cells = read_cells(None, given.settings, {}, given.own)

    from geomix.data.packed import open_packed
    from geomix.files import new_folder, write_json
    from geomix.geometry.geometry import build_geometry
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    packed = open_packed(given.data)
    fix_bytes(choose_device(cells[0].params.device))
    setting = f"{given.out.parent.name}/{given.out.name}"
    failures = []
    with new_folder(given.out) as folder:
        for cell in cells:
            params, place = cell.params, cell.place(TRIAL_SEED)
            try:
                geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=params.head.outputs)
                trained = fit(packed, geometry, params, TRIAL_SEED, f"{setting}/{place}")
                identity = cell.identity(TRIAL_SEED)
                save_run(trained, packed, identity, params, folder / place)
            except InputError as error:
                failures.append(str(error))
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                write_json((folder / place).parent / FAILED, {"failure": str(error)})
        if len(failures) == len(cells):  # the fault is hardly that of the settings
            raise InputError(failures[0])
    print(f"{setting}: {len(cells)} trials, {len(failures)} could not be trained")


if __name__ == "__main__":
    run(main)
