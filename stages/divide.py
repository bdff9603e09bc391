"""Divide a data set for tuning: data/raw/<dataset> -> data/folds, data/splits/<dataset>/<n>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.divide"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import DivideParams, find_dataset
from stages import Arguments, run


def main() -> None:
    """Pack the data once for each fold of train and val, and for each further class split."""
    params = load(DivideParams)
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--raw", type=Path, required=True)
    arguments.add_argument("--folds", type=Path, required=True)
    arguments.add_argument("--splits", type=Path, required=True)
    given = arguments.parse_args()
    budget = params.tune.budget[find_dataset(params.tune, given.dataset)]

    from geomix.datasets import load_dataset
    from geomix.files import new_folder
    from geomix.preprocess.pack import pack

    listing = load_dataset(given.dataset).read(given.raw)
    images, classes = params.images, params.classes
    with new_folder(given.folds) as folder:
        for fold in range(budget.folds):
            out = folder / str(fold)
            pack(given.dataset, listing, out, params.split, images, classes, fold)
    with new_folder(given.splits) as folder:
        for seed in budget.splits:
            split = params.split.model_copy(update={"seed": seed})
            pack(given.dataset, listing, folder / str(seed), split, images, classes)


if __name__ == "__main__":
    run(main)
