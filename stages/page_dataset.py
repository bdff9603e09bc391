"""Report a data set: data/packed/<dataset> -> reports/<dataset>/dataset/ (page, picture, table)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_dataset"
    )

from pathlib import Path

from geomix.config.base import Section
from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Build the page of a data set, then write it."""
    load(Section)
    arguments = Arguments()
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.dataset import build_dataset
    from geomix.report.render import write_folder

    write_folder(build_dataset(given.data), given.out)


if __name__ == "__main__":
    run(main)
