"""Judge a search: results/tune/<dataset> -> reports/<dataset>/tune/, reports/verdicts/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.verdict"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import VerdictParams, find_dataset
from stages import Arguments, run


def main() -> None:
    """Build the page of a verdict and its summary, then write both."""
    load(VerdictParams)
    arguments = Arguments()
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--settings", type=Path, required=True, help="what the search chose")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--bench", type=Path, required=True, help="tables of the benchmarks")
    arguments.add_argument("--summary", type=Path, required=True, help="for the first page")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load(VerdictParams, own=given.own)
    dataset = find_dataset(params.tune, given.own.removeprefix("tune."))

    from geomix.files import write_json
    from geomix.report.calibration import calibrated, open_uncalibrated
    from geomix.report.render import write_folder
    from geomix.report.speeds import read_speeds
    from geomix.report.verdict_page import Terms, build_verdict

    terms = Terms(
        study=params.tune.winners(dataset),
        geometries=params.geometry,
        trained=params.task,
        metric=params.verdict.metric,
        margin=params.verdict.margin,
    )
    page = build_verdict(
        terms,
        given.results,
        given.settings,
        given.data,
        calibrated(given.control),
        read_speeds(given.bench),
    )
    write_folder(open_uncalibrated(page.files, given.control, given.out), given.out)
    given.summary.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.summary, page.summary)


if __name__ == "__main__":
    run(main)
