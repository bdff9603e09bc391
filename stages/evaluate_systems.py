"""Evaluate the systems: their cells -> results/systems/<dataset>/published/ and tuned/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.evaluate_systems"
    )

from pathlib import Path

from geomix.config.literature import WEIGHTS
from geomix.config.read import load
from geomix.config.stages import SystemsParams
from stages import Arguments, run


def main() -> None:
    """Score the published rows, the winners, and the ensembles of two winners."""
    systems = load(SystemsParams).systems
    arguments = Arguments()
    arguments.add_argument("--settings", type=Path, required=True, help="what settle wrote")
    arguments.add_argument("--runs", type=Path, required=True, help="cells of published rows")
    arguments.add_argument("--winners", type=Path, required=True, help="cells of the winners")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from dataclasses import replace

    import torch

    from geomix.data.packed import open_packed
    from geomix.evaluate.ensembles import build_ensembles
    from geomix.evaluate.score import remove_strays, score_study
    from geomix.files import new_folder

    torch.set_num_threads(1)  # sums of floats depend on their number
    packed = open_packed(given.data)
    published, winners = systems.cells(given.settings), systems.tuned.cells(given.settings)
    remove_strays(given.runs, published)
    remove_strays(given.winners, winners)
    ensembles = []
    for pair, places in systems.fusions():
        for cell in build_ensembles(given.winners, places, WEIGHTS, packed):
            name = f"{cell.identity['system']}, {pair}"
            identity = {**cell.identity, "system": name}
            place = f"{name}/{cell.identity['seed']}"
            ensembles.append(replace(cell, name=place, identity=identity))
    with new_folder(given.out) as folder:
        score_study(given.runs, published, packed, folder / "published", "systems as published")
        score_study(given.winners, winners, packed, folder / "tuned", "systems tuned", ensembles)


if __name__ == "__main__":
    run(main)
