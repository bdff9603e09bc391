"""Download one data set: nothing -> data/raw/<dataset> (images as they come, manifest.json)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.download"
    )

from pathlib import Path

from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Draw, copy or fetch the data set."""
    params = load("download", "folder", "embeddings")
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    if given.dataset == "glyphs":
        from geomix.download.glyphs import save_glyphs

        save_glyphs(given.out)
    elif given.dataset == "folder":
        from geomix.download.folder import save_folder

        save_folder(Path(params["folder"]["path"]), params["folder"]["table"], given.out)
    elif given.dataset == "embeddings":
        from geomix.download.embeddings import save_embeddings

        save_embeddings(
            Path(params["embeddings"]["path"]), params["embeddings"]["table"], given.out
        )
    else:
        from geomix.download.fetch import fetch

        mirror = params["download"]["mirror"]
        fetch(given.dataset, given.out, Path(mirror).resolve() if mirror else None)


if __name__ == "__main__":
    run(main)
