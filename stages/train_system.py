"""Train a system with all its seeds: data/packed/<dataset> -> runs/<dataset>/systems/<system>/<seed>/ (a cell each)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.train_system"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Train the cells of the system that the command line names; its settings are in params.yaml."""
    load()
    arguments = Arguments()
    arguments.add_argument("--system", required=True)
    arguments.add_argument("--seeds", type=int, nargs="+", required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    at = f"system.{given.system}.settings"
    settings = load(f"system.{given.system}.settings")[at]
    params = load("epochs", "device", "backbone", "head", "crop", "optim")
    params |= load("loss", "negatives", "regulariser", "labels", "batch", "augment", instead=at)
    spaces = load(f"geometry.{settings['geometry']}")[f"geometry.{settings['geometry']}"]

    from geomix.data.packed import open_packed
    from geomix.files import new_folder
    from geomix.geometry.geometry import build_geometry
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    packed = open_packed(given.data)
    knobs = {key: settings[key] for key in ("tau", "curvature", "lam")}
    losses: list[str] = []
    with new_folder(given.out) as folder:
        for seed in given.seeds:
            geometry = build_geometry(spaces, **knobs, dimensions=params["head"]["outputs"])
            trained = fit(packed, geometry, params, seed, f"{given.system}/{seed}")
            identity = {
                "system": given.system,
                "geometry": settings["geometry"],
                "seed": seed,
                **knobs,
            }
            save_run(trained, packed, identity, params["crop"]["centre"], folder / str(seed))
            losses.append(f"{trained.history[-1]['loss']:.3f}")
    print(f"{given.system}: {params['epochs']} epochs, losses {', '.join(losses)}")


if __name__ == "__main__":
    run(main)
