"""Embed without training: data/packed/<dataset> -> runs/<dataset>/baselines/ (raw pixels or vectors, untrained networks)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.baselines"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Write raw pixels or vectors and untrained networks in the form of cells."""
    load()
    arguments = Arguments()
    arguments.add_argument(
        "--seeds",
        choices=("compare", "benchmarks"),
        required=True,
        help="the study whose seeds are taken",
    )
    arguments.add_argument(
        "--instead", help="key of params.yaml with sections in place of those at its top"
    )
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load("device", "crop", "backbone", "head", instead=given.instead)
    seeds = load(f"{given.seeds}.seeds")[f"{given.seeds}.seeds"]

    from geomix.data.packed import open_packed
    from geomix.train.save import save_baselines

    save_baselines(open_packed(given.data), params, seeds, given.out)
    print("baselines: raw pixels or vectors and untrained networks")


if __name__ == "__main__":
    run(main)
