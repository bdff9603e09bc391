"""Preprocess one data set: data/raw/<dataset> -> data/packed/<dataset> (samples with a table)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.preprocess"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import PreprocessParams
from stages import Arguments, run


def main() -> None:
    """Split the classes, decode the images and pack them."""
    params = load(PreprocessParams)
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--raw", type=Path, required=True)
    arguments.add_argument("--split-seed", type=int, help="in place of split.seed")
    arguments.add_argument("--fold", type=int, default=0, help="which train classes are val")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    split = params.split
    if given.split_seed is not None:
        split = split.model_copy(update={"seed": given.split_seed})

    from geomix.datasets import load_dataset
    from geomix.preprocess.pack import pack

    listing = load_dataset(given.dataset).read(given.raw)
    pack(given.dataset, listing, given.out, split, params.images, params.classes, given.fold)


if __name__ == "__main__":
    run(main)
