"""Report the shape of embeddings: results/<dataset>/analysis -> reports/<dataset>/geometry/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_geometry"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import GeometryPageParams
from stages import Arguments, run


def main() -> None:
    """Build the page of the shape of embeddings, then write it."""
    params = load(GeometryPageParams)
    arguments = Arguments()
    arguments.add_argument("--analysis", type=Path, required=True, help="what analyze wrote")
    arguments.add_argument("--beside", type=Path, required=True, help="results of that study")
    arguments.add_argument("--tuned", type=Path, required=True, help="results of that study")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.report.render import write_folder
    from geomix.report.shape import build_shape

    studies = {folder.name: folder for folder in (given.beside, given.tuned)}
    write_folder(build_shape(given.analysis, studies, given.data, params.geometry), given.out)


if __name__ == "__main__":
    run(main)
