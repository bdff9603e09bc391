"""Train a winner: its settings -> runs/<dataset>/tune_winners/<geometry>/<split>/<seed>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.winners"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.settings import read_cells
from geomix.config.stages import TrialParams, find_dataset
from geomix.config.tuning import PACKED
from stages import Arguments, run


def main() -> None:
    """Train with the fresh seeds of the data set's budget, on the packed data and other splits."""
    load(TrialParams)
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="what choose wrote")
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--splits", type=Path, required=True, help="further class splits")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    tuned = load(TrialParams, own=given.own).tune
    dataset = find_dataset(tuned, given.own.removeprefix("tune."))
    [cell] = read_cells(None, given.settings, {}, given.own)
    splits = map(str, tuned.budget[dataset].splits)
    places = {PACKED: given.data} | {split: given.splits / split for split in splits}

    from geomix.data.packed import open_packed
    from geomix.train.cells import Planned, report_losses, train_cells

    opened = {split: open_packed(data) for split, data in places.items()}
    planned = [
        Planned(cell, seed, packed, f"{split}/{seed}")
        for split, packed in opened.items()
        for seed in tuned.winners(dataset).seeds
    ]
    train_cells(planned, given.out)
    report_losses("winner", planned, given.out)


if __name__ == "__main__":
    run(main)
