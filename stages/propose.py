"""Propose the trials of a round: the round before with its cells -> settings of the next."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.propose"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import ProposeParams, find_dataset, find_geometry
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Write settings: first the starts and a table, then those of a sampler that knows all."""
    load(ProposeParams)
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--geometry", required=True)
    arguments.add_argument("--round", type=int, required=True)
    arguments.add_argument("--before", type=Path, help="settings of the round before")
    arguments.add_argument("--runs", type=Path, help="its cells")
    arguments.add_argument("--data", type=Path, help="the packed folds")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    if given.round > 1 and None in (given.before, given.runs, given.data):
        expected = "--before, --runs and --data beside it"
        raise InputError(f"command line: --round: found {given.round}, expected {expected}")
    params = load(ProposeParams, own=f"tune.{given.dataset}")
    tuned, metric = params.tune, params.verdict.metric
    ranges = tuned.ranges(given.geometry, find_geometry(params, given.geometry))
    budget = tuned.budget[find_dataset(tuned, given.dataset)]

    import torch

    from geomix.evaluate.validation import score_trials
    from geomix.tune.propose import propose
    from geomix.tune.rounds import FIRST, extend_history, list_trials, write_round
    from geomix.tune.table import draw_table, list_starts

    torch.set_num_threads(1)  # sums of floats depend on their number
    if given.round == FIRST:
        history, starts = [], list_starts(ranges, [*tuned.starts.values()])[: budget.trials]
        settings = starts + draw_table(ranges, budget.trials - len(starts), tuned.seed)
    else:
        trials = list_trials(given.before)
        scores = score_trials(given.runs, given.data, budget.folds, trials, metric)
        history = extend_history(given.before, scores, ranges)
        settings = propose(ranges, history, budget.trials, tuned.seed + given.round)
    write_round(given.out, given.geometry, settings, history, ranges)


if __name__ == "__main__":
    run(main)
