"""Report a study: results/<dataset>/<study> -> reports/<dataset>/<study>/ (page and figures)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import PageParams, StudyParams, find_study
from geomix.config.studies import Study
from geomix.config.tuning import Tuning
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Build the page of a study by its task, then write it."""
    load(PageParams)
    arguments = Arguments()
    arguments.add_argument("--study", required=True, help="a key of params.yaml, such as study.tau")
    arguments.add_argument("--own", help="tune.glyphs: what is laid over params.yaml")
    arguments.add_argument("--control", type=Path, required=True, help="what calibration found")
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--baselines", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    study = find_study(load(StudyParams), given.study)
    if not isinstance(study, Study):
        raise InputError(f"command line: --study: found {given.study}, expected study.<name>")
    params = load(PageParams, study.base, own=given.own)
    if params.task == "distances":
        expected = "one of classes or lineages (python -m stages.page_control reports distances)"
        raise InputError(f"command line: --study: found {given.study}, expected {expected}")

    from geomix.report.calibration import open_uncalibrated
    from geomix.report.lineage import build_lineage
    from geomix.report.page import build_page
    from geomix.report.render import write_folder
    from geomix.report.results import scored_lineages

    build = build_lineage if scored_lineages(given.results) else build_page
    section, _, name = given.study.rpartition(".")
    name = section if isinstance(study, Tuning) else name
    files = build(name, study, given.results, given.baselines, given.data, params)
    write_folder(open_uncalibrated(files, given.control, given.out), given.out)


if __name__ == "__main__":
    run(main)
