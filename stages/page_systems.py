"""Report the systems: results of them -> reports/<dataset>/systems/ (page, figure, tables)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_systems"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SystemsPageParams
from geomix.config.tuning import read_ranges
from stages import Arguments, run


def main() -> None:
    """Build the page of the systems, then write it."""
    params = load(SystemsPageParams)
    arguments = Arguments()
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--settings", type=Path, required=True, help="what settle wrote")
    arguments.add_argument("--chosen", type=Path, required=True, help="what val chose")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--baselines", type=Path, required=True)
    arguments.add_argument("--costs", type=Path, required=True, help="of bench.systems, if any")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.files import read_json
    from geomix.report.calibration import open_uncalibrated
    from geomix.report.render import write_folder
    from geomix.report.system_searches import SystemSearch
    from geomix.report.systems import build_systems
    from geomix.tune.history import read_history
    from geomix.tune.summary import place_winner, tabulate_trials

    searches = []
    for name in sorted(params.systems.tuned.names):
        ranges = read_ranges(read_json(given.settings / "trials" / name / "search.json"))
        for path in sorted((given.chosen / name / "history").glob("*.csv")):
            history = read_history(path, ranges)
            trials, places = tabulate_trials(ranges, history), place_winner(ranges, history)
            searches.append(SystemSearch(name, path.stem, trials, places))
    searches.sort(key=lambda one: one.labels)
    files = build_systems(
        given.results,
        given.baselines,
        given.settings,
        given.data,
        given.costs,
        searches,
        params,
    )
    write_folder(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
