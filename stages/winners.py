"""Train a winner: its settings -> runs/<dataset>/tune_winners/<geometry>/<split>/<seed>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.winners"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrialParams, find_dataset
from geomix.config.tuning import PACKED
from stages import Arguments, run


def main() -> None:
    """Train with the fresh seeds of the data set's budget, on the packed data and other splits."""
    load(TrialParams)
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="what choose wrote")
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--splits", type=Path, required=True, help="further class splits")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    tuned = load(TrialParams, own=given.own).tune
    dataset = find_dataset(tuned, given.own.removeprefix("tune."))
    [cell] = read_cells(None, given.settings, {}, given.own)
    params, splits = cell.params, map(str, tuned.budget[dataset].splits)
    places = {PACKED: given.data} | {split: given.splits / split for split in splits}

    from geomix.data.packed import open_packed
    from geomix.files import new_folder
    from geomix.geometry.geometry import build_geometry
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    fix_bytes(choose_device(params.device))
    losses = []
    with new_folder(given.out) as folder:
        for split, data in places.items():
            packed = open_packed(data)
            for seed in tuned.winners(dataset).seeds:
                name = f"{given.out.name}/{split}/{seed}"
                dimensions = params.head.outputs
                geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=dimensions)
                trained = fit(packed, geometry, params, seed, name)
                save_run(trained, packed, cell.identity(seed), params, folder / split / str(seed))
                losses.append(f"{trained.history[-1]['loss']:.3f}")
    print(f"{given.out.name}: winner, loss {', '.join(losses)}")


if __name__ == "__main__":
    run(main)
