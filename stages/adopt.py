"""Adopt a winner: its settings -> params.yaml. `make adopt SECTION=tune GEOMETRY=power`."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.adopt"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import ProposeParams, find_geometry, find_tuned
from stages import Arguments, run


def main() -> None:
    """Change params.yaml and say how."""
    params = load(ProposeParams)
    arguments = Arguments()
    arguments.add_argument("--study", required=True, help="tune, datasets or lineage")
    arguments.add_argument("--geometry", required=True)
    arguments.add_argument("--dataset", help="needed where the study has several")
    given = arguments.parse_args()
    study = find_tuned(params, given.study)
    find_geometry(params, given.geometry)

    from geomix.config.adopt import adopt_winner, choose_dataset
    from geomix.files import read_json

    dataset = choose_dataset(given.study, study, given.dataset)
    place = Path("runs", dataset, f"{given.study}_settings", given.geometry, "winner")
    settings = read_json(place / "winner.json")["settings"]
    print(adopt_winner(Path("params.yaml"), study, dataset, settings))


if __name__ == "__main__":
    run(main)
