"""Report the systems: results of them -> reports/<dataset>/systems/ (page, figure, table)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_systems"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SystemsPageParams
from stages import Arguments, run


def main() -> None:
    """Build the page of the systems, then write it."""
    params = load(SystemsPageParams)
    arguments = Arguments()
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--baselines", type=Path, required=True)
    arguments.add_argument(
        "--settings", type=Path, required=True, help="the folder that settle wrote"
    )
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument(
        "--costs", type=Path, required=True, help="of bench.systems; may be missing"
    )
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.calibration import open_uncalibrated
    from geomix.report.render import write_folder
    from geomix.report.systems import build_systems

    files = build_systems(
        given.results, given.baselines, given.settings, given.data, given.costs, params
    )
    write_folder(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
