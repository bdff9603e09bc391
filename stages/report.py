"""Report the default flow: results/<dataset> -> reports/<dataset>/README.md, metrics.json."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.report"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SummaryParams
from stages import Arguments, run


def main() -> None:
    """Build the page of the default flow, then write it."""
    params = load(SummaryParams)
    arguments = Arguments()
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--metrics", type=Path, required=True, help="the file of few numbers")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.files import replace_file
    from geomix.report.calibration import open_uncalibrated
    from geomix.report.render import write_files
    from geomix.report.summary import build_summary

    files = build_summary(
        given.results, given.data, params.study, params.report.answer, params.geometry
    )
    replace_file(given.metrics, files.pop("metrics.json"))
    write_files(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
