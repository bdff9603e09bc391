"""Settle the systems: systems/*.yaml over params.yaml -> settings/, trials/, words/, JSON."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.settle"
    )

from pathlib import Path

from geomix.config.literature import Systems
from geomix.config.read import load
from geomix.config.stages import SettleParams
from geomix.config.systems import (
    System,
    list_labels,
    list_ranges,
    read_system,
    settle,
    settle_trials,
)
from stages import Arguments, run

WORDS = ("about", "source", "twin", "tuned", "trained", "published", "full")


def main() -> None:
    """Write what each system is trained with: its cells depend on that, not on all files."""
    systems = load(SettleParams).systems
    arguments = Arguments()
    arguments.add_argument("--systems", type=Path, required=True)
    arguments.add_argument("--code", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.files import new_folder

    with new_folder(given.out) as folder:
        for name in systems.listed:
            system = read_system(given.systems, name)
            write_published(folder, name, system, systems, given.code)
            if name in systems.tuned.names:
                write_trials(folder / "trials" / name, name, system, systems, given.code)


def write_published(folder: Path, name: str, system: System, systems: Systems, code: Path) -> None:
    """Write the settings of the published rows of a system, and apart from them its words."""
    from geomix.files import write_json

    for labels in list_labels(system):
        settled = settle(name, system, labels, systems, code)
        for place, words in (("settings", False), ("words", True)):
            content = {k: v for k, v in settled.items() if (k in WORDS) == words}
            path = folder / place / name / f"{labels}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)


def write_trials(folder: Path, name: str, system: System, systems: Systems, code: Path) -> None:
    """Write the settings of the trials of a system, and search.json, what they are drawn from."""
    from geomix.files import write_json
    from geomix.tune.history import write_history
    from geomix.tune.rounds import HISTORY
    from geomix.tune.table import draw_table

    ranges = list_ranges(system, systems.tuned)
    rows = draw_table(ranges, systems.tuned.table.trials, systems.tuned.table.seed)
    for labels in list_labels(system):
        (folder / labels).mkdir(parents=True)
        (folder / labels / HISTORY).write_bytes(write_history([], ranges))
        for trial in settle_trials(name, system, labels, systems, rows, code):
            write_json(folder / labels / f"{trial['trial']}.json", trial)
    write_json(folder / "search.json", {key: one.model_dump() for key, one in ranges.items()})


if __name__ == "__main__":
    run(main)
