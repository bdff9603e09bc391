"""Judge a search: results/<section>/<dataset> -> reports/<dataset>/<section>/, reports/verdicts."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.verdict"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import StudyParams, VerdictParams, find_judged
from geomix.config.tuning import Tuned
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Build the page of a verdict and its summary, then write both."""
    load(VerdictParams)
    arguments = Arguments()
    arguments.add_argument("--study", required=True, help="tune, datasets or lineage")
    arguments.add_argument("--own", required=True, help="one of its data sets, as tune.glyphs")
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--settings", type=Path, help="what a search in rounds chose")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--summary", type=Path, required=True, help="for the first page")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    study = find_judged(load(StudyParams), given.study)
    if isinstance(study, Tuned) and given.settings is None:
        raise InputError("command line: found no --settings, expected those of the search")
    params = load(VerdictParams, own=given.own)

    from geomix.files import write_json
    from geomix.report.calibration import calibrated, open_uncalibrated
    from geomix.report.render import write_folder
    from geomix.report.verdict_page import Terms, build_verdict

    terms = Terms(
        section=given.study,
        study=study,
        geometries=params.geometry,
        trained=params.task,
        metric=params.verdict.metric,
        margin=params.verdict.margin,
    )
    page = build_verdict(
        terms, given.results, given.settings, given.data, calibrated(given.control)
    )
    write_folder(open_uncalibrated(page.files, given.control, given.out), given.out)
    given.summary.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.summary, page.summary)


if __name__ == "__main__":
    run(main)
