"""Download one data set: nothing -> data/raw/<dataset> (images as they come, manifest.json)."""

if __package__ != "stages":
    raise SystemExit("error: start this stage from the root of the repository: python -m stages.download")

from pathlib import Path

from geomix.params import load
from stages import Arguments, run


def main() -> None:
    """Draw or fetch the data set."""
    load()
    arguments = Arguments()
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.download.glyphs import save_glyphs

    save_glyphs(given.out)


if __name__ == "__main__":
    run(main)
