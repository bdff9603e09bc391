"""Report: results/<dataset> -> reports/ (pages, pictures, tables), committed for people to read."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.report"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Build all pages, then write them."""
    numbers = load("dataset", "tau", "curvature", "lam", "epochs", "device", "report")
    data = load("images", "split", "crop", "augment")
    sections = load(
        "backbone",
        "head",
        "geometry",
        "loss",
        "negatives",
        "regulariser",
        "labels",
        "batch",
        "optim",
        "compare",
    )
    sweeps = load("sweep.tau", "sweep.curvature", "sweep.runs")
    arguments = Arguments()
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.pages import build_pages, write_pages

    write_pages(
        build_pages(given.results, given.data, numbers | data | sections | sweeps), given.out
    )


if __name__ == "__main__":
    run(main)
