"""Train the seeds of a setting: data/packed/<dataset> -> runs/<dataset>/<study>/<setting>/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.train"
    )

from argparse import Namespace
from pathlib import Path

from geomix.config.overrides import read_overrides
from geomix.config.read import load
from geomix.config.settings import Cell, list_runs, read_cells
from geomix.config.stages import StudyParams, TrainParams, find_study
from geomix.config.studies import Study, expand_group
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Train the cells that the command line names; all other settings are in params.yaml."""
    load(TrainParams)
    arguments = Arguments(
        epilog="--head.outputs 8 lays a setting over params.yaml, as any --key does"
    )
    arguments.add_argument("--geometry", help="a name under geometry")
    arguments.add_argument("--settings", type=Path, help="in its place: a folder that settle wrote")
    arguments.add_argument("--study", help="in their place: all cells of a study, in one process")
    arguments.add_argument("--seeds", nargs="+", help="groups, such as 0-2; a study has its own")
    arguments.add_argument("--own", help="tune.omniglot: what is laid over params.yaml")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given, others = arguments.parse_known_args()
    runs = list_asked(given, others)

    from geomix.data.packed import open_packed
    from geomix.train.cells import Planned, report_losses, train_cells

    packed = open_packed(given.data)
    planned = [Planned(cell, seed, packed, place) for cell, seed, place in runs]
    train_cells(planned, given.out)
    epochs = max(cell.params.epochs for cell, _, _ in runs)
    report_losses(f"{epochs} epochs", planned, given.out)


def list_asked(given: Namespace, others: list[str]) -> list[tuple[Cell, int, str]]:
    """Return what is trained: settings with a seed and a place in the folder.

    Raises:
        InputError: If a study is asked for with seeds or settings of its own, or none of both.
    """
    if (given.study is None) == (given.seeds is None):
        raise InputError("command line: expected --seeds, or --study in its place")
    if given.study is None:
        seeds = [seed for group in given.seeds for seed in expand_group(group)]
        if not seeds:
            found = " ".join(given.seeds)
            raise InputError(f"command line: --seeds: found {found}, expected rising groups: 0-2")
        cells = read_cells(given.geometry, given.settings, read_overrides(others), given.own)
        return [(cell, seed, cell.place(seed)) for cell in cells for seed in seeds]
    study = find_study(load(StudyParams), given.study)
    if given.geometry or given.settings or others or not isinstance(study, Study):
        found = " ".join(filter(None, [given.study, given.geometry, *others]))
        raise InputError(f"command line: --study: found {found}, expected a study and no setting")
    return list_runs(study, given.own)


if __name__ == "__main__":
    run(main)
