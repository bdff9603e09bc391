"""Preprocess one data set: data/raw/<dataset> -> data/packed/<dataset> (images, samples.csv, card.json)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.preprocess"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Decode, split and pack; vectors of the user are split and kept."""
    load()
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument(
        "--instead", help="key of params.yaml with sections in place of those at its top"
    )
    arguments.add_argument("--raw", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load("split", "images", instead=given.instead)

    if given.dataset == "embeddings":
        from geomix.datasets.embeddings import pack_embeddings

        pack_embeddings(given.raw, given.out, params["split"])
    else:
        from geomix.datasets.readers import READERS
        from geomix.preprocess.pack import pack

        pack(
            given.dataset,
            READERS[given.dataset](given.raw),
            given.out,
            params["split"],
            params["images"],
        )


if __name__ == "__main__":
    run(main)
