"""Report one data set of the study: results/benchmarks/<dataset> -> reports/benchmarks/<dataset>/ (pages, pictures)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.report_benchmark"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Build all pages of the data set, then write them."""
    load()
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--results", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    settings = load(f"benchmark.{given.dataset}")[f"benchmark.{given.dataset}"]
    shared = load(
        "device",
        "head",
        "loss",
        "negatives",
        "regulariser",
        "labels",
        "geometry",
        "report",
        "sweep.benchmarks",
    )

    from geomix.files import new_folder
    from geomix.report.benchmark import build_benchmark
    from geomix.report.pages import write_pages

    files = build_benchmark(given.results, given.data, settings | shared)
    with new_folder(given.out) as folder:
        write_pages(files, folder)


if __name__ == "__main__":
    run(main)
