"""Choose the winner of a search: the last round with its cells -> winner.json, history.csv."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.choose"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import ProposeParams, find_dataset, find_geometry
from stages import Arguments, run


def main() -> None:
    """Write the settings that score best on val, and all trials."""
    load(ProposeParams)
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--geometry", required=True)
    arguments.add_argument("--before", type=Path, required=True, help="settings of the last round")
    arguments.add_argument("--runs", type=Path, required=True, help="its cells")
    arguments.add_argument("--data", type=Path, required=True, help="the packed folds")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load(ProposeParams, own=f"tune.{given.dataset}")
    tuned, metric = params.tune, params.verdict.metric
    ranges = tuned.ranges(given.geometry, find_geometry(params, given.geometry))
    budget = tuned.budget[find_dataset(tuned, given.dataset)]

    import torch

    from geomix.evaluate.validation import score_trials
    from geomix.tune.rounds import extend_history, list_trials, write_winner

    torch.set_num_threads(1)  # sums of floats depend on their number
    trials = list_trials(given.before)
    scores = score_trials(given.runs, given.data, budget.folds, trials, metric)
    history = extend_history(given.before, scores, ranges)
    write_winner(given.out, given.geometry, history, ranges)


if __name__ == "__main__":
    run(main)
