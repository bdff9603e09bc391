"""Report the study of systems: results/<dataset> -> reports/systems.md, systems.csv and systems.png."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.report_systems"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Build the page with its table and figure, then write them."""
    load()
    arguments = Arguments()
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument(
        "--costs", type=Path, required=True, help="the table of bench.systems, which may be missing"
    )
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    training = load("epochs", "device", "backbone", "head", "crop", "optim")
    replaced = load("loss", "negatives", "regulariser", "labels", "batch", "augment")
    study = load("geometry", "sweep.tau", "systems", "ensemble", "system")

    from geomix.report.pages import write_pages
    from geomix.report.systems import build_systems

    write_pages(
        build_systems(given.results, given.data, training | replaced | study, given.costs),
        given.out,
    )


if __name__ == "__main__":
    run(main)
