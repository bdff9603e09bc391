"""Train one cell: data/packed/<dataset> -> runs/<dataset>/<study>/<cell>/ (weights, geometry, history, embeddings)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.train"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Train the cell that the command line names; the rest is in params.yaml."""
    load()
    arguments = Arguments()
    arguments.add_argument("--geometry", required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--tau", type=float, required=True)
    arguments.add_argument("--curvature", type=float, help="for a geometry with a ball")
    arguments.add_argument("--lam", type=float, help="for a geometry with a weight lam")
    arguments.add_argument(
        "--instead", help="key of params.yaml with sections in place of those at its top"
    )
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    cell = arguments.parse_args()
    params = load("device", "head", "loss", "negatives", "regulariser", "labels")
    params |= load("epochs", "backbone", "batch", "crop", "augment", "optim", instead=cell.instead)
    spaces = load(f"geometry.{cell.geometry}")[f"geometry.{cell.geometry}"]

    from geomix.data.packed import open_packed
    from geomix.geometry.geometry import build_geometry
    from geomix.train.fit import fit
    from geomix.train.save import save_run

    geometry = build_geometry(
        spaces,
        tau=cell.tau,
        curvature=cell.curvature,
        lam=cell.lam,
        dimensions=params["head"]["outputs"],
    )
    packed = open_packed(cell.data)
    trained = fit(packed, geometry, params, cell.seed, cell.out.name)
    identity = {key: getattr(cell, key) for key in ("geometry", "seed", "tau", "curvature", "lam")}
    save_run(trained, packed, identity, params["crop"]["centre"], cell.out)
    last = trained.history[-1]
    print(f"{cell.out.name}: {last['epoch']} epochs, loss {last['loss']:.3f}")


if __name__ == "__main__":
    run(main)
