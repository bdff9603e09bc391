"""Lay a preset over params.yaml: systems/ -> params.yaml. `make preset NAME=cub-hypvit`."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.preset"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import TrainParams
from stages import Arguments, run


def main() -> None:
    """Change params.yaml and say how."""
    load(TrainParams)
    arguments = Arguments()
    arguments.add_argument("name", help="<data>-<system>, such as cub-hypvit")
    given = arguments.parse_args()

    from geomix.config.presets import apply_preset

    print(apply_preset(given.name, Path("systems"), Path("params.yaml")))


if __name__ == "__main__":
    run(main)
