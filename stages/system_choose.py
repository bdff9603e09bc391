"""Choose the winners of a system: its trials -> settings/<labels>.json, history/<labels>.csv."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.system_choose"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SystemChoiceParams
from geomix.config.tuning import read_ranges
from stages import Arguments, run


def main() -> None:
    """Write the settings that score best on val, and all trials."""
    metric = load(SystemChoiceParams).verdict.metric
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="trials that settle wrote")
    arguments.add_argument("--runs", type=Path, required=True, help="their cells")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    import torch

    from geomix.data.packed import open_packed
    from geomix.evaluate.validation import score_trial
    from geomix.files import new_folder, read_json, write_json
    from geomix.tune.history import choose_best, write_history
    from geomix.tune.rounds import extend_history, list_trials

    torch.set_num_threads(1)  # sums of floats depend on their number
    packed = open_packed(given.data)
    ranges = read_ranges(read_json(given.settings / "search.json"))
    with new_folder(given.out) as folder:
        for place in ("settings", "history"):
            (folder / place).mkdir()
        for trials in sorted(path for path in given.settings.glob("*") if path.is_dir()):
            labels, runs = trials.name, given.runs / trials.name
            scores = {one: score_trial(runs / one, packed, metric) for one in list_trials(trials)}
            history = extend_history(trials, scores, ranges)
            winner = read_json(trials / f"{choose_best(history).trial}.json")
            del winner["trial"]
            write_json(folder / "settings" / f"{labels}.json", winner)
            (folder / "history" / f"{labels}.csv").write_bytes(write_history(history, ranges))


if __name__ == "__main__":
    run(main)
