"""Report training: results/<dataset>/<study>/history.csv -> reports/<dataset>/training/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_training"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import TrainingPageParams
from stages import Arguments, run


def main() -> None:
    """Build the page of training, then write it."""
    params = load(TrainingPageParams)
    arguments = Arguments()
    arguments.add_argument("--results", type=Path, required=True, help="a folder for each study")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.render import write_folder
    from geomix.report.training import build_training

    write_folder(build_training(given.results, given.data, params), given.out)


if __name__ == "__main__":
    run(main)
