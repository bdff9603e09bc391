"""Evaluate a study: runs/<dataset>/<study> -> results/<dataset>/<study>/ (metrics.csv ...)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.evaluate"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import StudyParams, find_study
from stages import Arguments, run


def main() -> None:
    """Search and score every cell of the study; params.yaml says which there are."""
    params = load(StudyParams)
    arguments = Arguments()
    arguments.add_argument("--study", required=True, help="a key of params.yaml, such as study.tau")
    arguments.add_argument("--runs", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    study = find_study(params, given.study)
    cells = study.cells()

    import torch

    from geomix.data.packed import open_packed
    from geomix.evaluate.score import remove_strays, score_study

    torch.set_num_threads(1)  # sums of floats depend on their number
    packed = open_packed(given.data)
    remove_strays(given.runs, cells)
    score_study(
        given.runs,
        cells,
        packed,
        given.out,
        given.study,
        axes=list(study.axes),
        baselines=given.study == "baselines",
    )


if __name__ == "__main__":
    run(main)
