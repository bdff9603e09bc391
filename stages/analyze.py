"""Analyze stored embeddings: runs/<dataset> -> results/<dataset>/analysis/; nothing is trained."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.analyze"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import AnalyzeParams
from stages import Arguments, run


def main() -> None:
    """Analyze the cells of two studies, which the folders name."""
    params = load(AnalyzeParams)
    arguments = Arguments()
    arguments.add_argument("--tuned", type=Path, required=True, help="cells, of which val chose")
    arguments.add_argument("--chosen", type=Path, required=True, help="their results")
    arguments.add_argument("--beside", type=Path, required=True, help="cells, which all count")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    import torch

    from geomix.analyze.negatives import analyze_negatives
    from geomix.analyze.shape import analyze_shape
    from geomix.analyze.trained import Trained
    from geomix.data.packed import open_packed
    from geomix.files import new_folder, read_json

    torch.set_num_threads(1)  # sums of floats depend on their number
    trained = Trained(
        open_packed(given.data),
        params.study,
        {folder.name: folder for folder in (given.tuned, given.beside)},
        tuned=given.tuned.name,
        beside=given.beside.name,
        chosen=read_json(given.chosen / "chosen.json"),
    )
    with new_folder(given.out) as folder:
        analyze_negatives(trained, params.batch, folder)
        analyze_shape(trained, folder)


if __name__ == "__main__":
    run(main)
