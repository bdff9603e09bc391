"""Write the page of a trial: verdict, features, benchmarks -> reports/features/trial/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_trial"
    )

from pathlib import Path

from geomix.config.base import Section
from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Build the page, then write it."""
    load(Section)
    arguments = Arguments()
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--summary", type=Path, required=True, help="of the verdict")
    arguments.add_argument("--manifest", type=Path, required=True, help="of the features")
    arguments.add_argument("--data", type=Path, required=True, help="the packed features")
    arguments.add_argument("--source", type=Path, required=True, help="page of what they are of")
    arguments.add_argument("--bench", type=Path, required=True, help="tables of the benchmarks")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.files import read_json
    from geomix.report.calibration import calibrated, open_uncalibrated
    from geomix.report.render import write_folder
    from geomix.report.trial import build_trial

    summary, facts = read_json(given.summary), read_json(given.manifest)
    whole = calibrated(given.control)
    files = build_trial(summary, facts, given.data, given.source, given.bench, whole)
    write_folder(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
