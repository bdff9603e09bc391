"""Score winners: runs/<dataset>/tune_winners -> results/tune/<dataset>/winners/<split>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.evaluate_winners"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import WinnerParams, find_dataset
from geomix.config.tuning import PACKED
from stages import Arguments, run


def main() -> None:
    """Score the winners of all geometries on the packed data, and on each other class split."""
    tuned = load(WinnerParams).tune
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--runs", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--splits", type=Path, required=True, help="further class splits")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    dataset = find_dataset(tuned, given.dataset)
    study, splits = tuned.winners(dataset), map(str, tuned.budget[dataset].splits)
    places = {PACKED: given.data} | {split: given.splits / split for split in splits}

    from geomix.data.packed import open_packed
    from geomix.evaluate.score import remove_strays, score_study
    from geomix.evaluate.workers import count_processes, use_one_thread
    from geomix.files import new_folder

    use_one_thread()
    processes = count_processes()
    remove_strays(given.runs, study.geometries)
    with new_folder(given.out) as folder:
        for split, data in places.items():
            cells = [f"{name}/{split}/{seed}" for name in study.geometries for seed in study.seeds]
            packed, name = open_packed(data), f"split {split}"
            score_study(given.runs, cells, packed, folder / split, name, processes=processes)


if __name__ == "__main__":
    run(main)
