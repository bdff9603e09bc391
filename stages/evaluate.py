"""Evaluate one study: runs/<dataset>/<study> -> results/<dataset>/<study>/ (metrics.csv, per_query.npz, machine.json)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.evaluate"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run

STUDIES = ("compare", "tau", "curvature", "benchmarks", "systems", "baselines")


def main() -> None:
    """Search and score every cell of the study; params.yaml says which there are."""
    load()
    arguments = Arguments()
    arguments.add_argument("--study", choices=STUDIES, required=True)
    arguments.add_argument("--geometries", nargs="+", help="of the studies compare and benchmarks")
    arguments.add_argument(
        "--seeds",
        choices=("compare", "benchmarks"),
        help="of baselines: the study whose seeds are taken",
    )
    arguments.add_argument("--runs", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.data.packed import open_packed
    from geomix.evaluate.cells import baseline_cells, compare_cells, sweep_cells, system_cells
    from geomix.evaluate.ensembles import build_ensembles
    from geomix.evaluate.score import score_study

    packed, ensembles = open_packed(given.data), None
    if given.study == "compare":
        cells = compare_cells(given.geometries, load("compare.seeds")["compare.seeds"])
    elif given.study == "baselines":
        cells = baseline_cells(load(f"{given.seeds}.seeds")[f"{given.seeds}.seeds"])
    elif given.study == "benchmarks":
        axes = load("sweep.benchmarks.values", "benchmarks.seeds")
        cells = sweep_cells(given.geometries, *axes.values())
    elif given.study == "systems":
        params = load("systems.seeds", "system", "ensemble")
        seeds, ensemble = params["systems.seeds"], params["ensemble"]
        cells = system_cells(params["system"], seeds)
        ensembles = build_ensembles(
            given.runs, ensemble["systems"], ensemble["weights"], seeds, packed
        )
    else:
        params = load(f"sweep.{given.study}", f"sweep.runs.{given.study}")
        axis = params[f"sweep.runs.{given.study}"]
        cells = sweep_cells(
            axis["geometries"], params[f"sweep.{given.study}"]["values"], axis["seeds"]
        )
    score_study(given.runs, cells, packed, given.out, given.study, ensembles)


if __name__ == "__main__":
    run(main)
