"""Train the seeds of a setting: data/packed/<dataset> -> runs/<dataset>/<study>/<setting>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.train"
    )

from pathlib import Path

from geomix.config.overrides import read_overrides
from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrainParams
from geomix.config.studies import expand_group
from stages import Arguments, run


def main() -> None:
    """Train the cells that the command line names; all other settings are in params.yaml."""
    load(TrainParams)
    arguments = Arguments(
        epilog="--head.outputs 8 lays a setting over params.yaml, as any --key does"
    )
    arguments.add_argument("--geometry", help="a name under geometry")
    arguments.add_argument("--settings", type=Path, help="in its place: a folder that settle wrote")
    arguments.add_argument("--seeds", nargs="+", required=True, help="groups, such as 0-2")
    arguments.add_argument("--own", help="a data set whose settings are laid over params.yaml")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given, others = arguments.parse_known_args()
    seeds = [seed for group in given.seeds for seed in expand_group(group)]
    cells = read_cells(given.geometry, given.settings, read_overrides(others), given.own)

    from geomix.data.packed import open_packed
    from geomix.files import new_folder
    from geomix.geometry.geometry import build_geometry
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    packed = open_packed(given.data)
    fix_bytes(choose_device(cells[0].params.device))
    losses = []
    with new_folder(given.out) as folder:
        for cell in cells:
            for seed in seeds:
                params = cell.params
                name = f"{given.out.name}/{cell.place(seed)}"
                geometry = build_geometry(cell.spaces, **cell.knobs, dimensions=params.head.outputs)
                trained = fit(packed, geometry, params, seed, name)
                place = folder / cell.place(seed)
                save_run(trained, packed, cell.identity(seed), params.crop.centre, place)
                losses.append(f"{trained.history[-1]['loss']:.3f}")
    print(f"{given.out.name}: {cells[0].params.epochs} epochs, loss {', '.join(losses)}")


if __name__ == "__main__":
    run(main)
