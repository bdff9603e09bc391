"""Report hard negatives: results/<dataset>/analysis -> reports/<dataset>/negatives/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_negatives"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import NegativesPageParams
from stages import Arguments, run


def main() -> None:
    """Build the page of negatives, then write it."""
    params = load(NegativesPageParams)
    arguments = Arguments()
    arguments.add_argument("--analysis", type=Path, required=True, help="what analyze found")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.negatives import build_negatives
    from geomix.report.render import write_folder

    write_folder(build_negatives(given.analysis / "negatives", given.data, params), given.out)


if __name__ == "__main__":
    run(main)
