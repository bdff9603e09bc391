"""Report the calibration: results/control -> reports/ (control.md, control.png, control.csv)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_control"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import ControlParams
from stages import Arguments, run


def main() -> None:
    """Build the page of the calibration, then write it."""
    params = load(ControlParams)
    arguments = Arguments()
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--aa", type=Path, required=True, help="repeats of one setting")
    arguments.add_argument("--data", type=Path, required=True, help="what these were trained on")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.control import build_control
    from geomix.report.render import write_files

    files = build_control(given.results, given.aa, given.data, params.control)
    write_files(files, given.out)


if __name__ == "__main__":
    run(main)
