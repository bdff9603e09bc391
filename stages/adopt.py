"""Adopt a winner: its settings -> params.yaml. `make adopt GEOMETRY=power`."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.adopt"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import AdoptParams, find_dataset, find_geometry
from stages import Arguments, run


def main() -> None:
    """Change params.yaml and say how."""
    params = load(AdoptParams)
    arguments = Arguments()
    arguments.add_argument("--geometry", required=True)
    arguments.add_argument(
        "--dataset", help="on which it won; that of params.yaml if none is named"
    )
    given = arguments.parse_args()
    dataset = find_dataset(params.tune, given.dataset or params.dataset)
    find_geometry(params, given.geometry)

    from geomix.config.adopt import adopt_winner
    from geomix.files import read_json

    place = Path("runs", dataset, "tune_settings", given.geometry, "winner")
    settings = read_json(place / "winner.json")["settings"]
    print(adopt_winner(Path("params.yaml"), params.tune, dataset, settings))


if __name__ == "__main__":
    run(main)
