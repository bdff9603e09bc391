"""Write the first page: reports/verdicts -> reports/README.md."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.front"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import FrontParams
from stages import Arguments, run


def main() -> None:
    """Build the first page, then write it."""
    params = load(FrontParams)
    arguments = Arguments()
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--verdicts", type=Path, required=True, help="a file for each data set")
    arguments.add_argument("--bench", type=Path, required=True, help="tables of the benchmarks")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.calibration import open_uncalibrated
    from geomix.report.front import build_front
    from geomix.report.render import write_files

    files = build_front(params, given.verdicts, given.control, given.bench)
    write_files(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
