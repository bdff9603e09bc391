"""Settle the systems: systems/*.yaml over params.yaml -> settings/ and words/, JSON for each."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.settle"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SettleParams
from stages import Arguments, run

WORDS = ("about", "source", "published", "tuned_on", "full")


def main() -> None:
    """Write what each system is trained with: its cells depend on that, not on all files."""
    systems = load(SettleParams).systems
    arguments = Arguments()
    arguments.add_argument("--systems", type=Path, required=True)
    arguments.add_argument("--code", type=Path, required=True)
    arguments.add_argument("--results", type=Path, required=True, help="studies to be tuned on")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.config.systems import list_labels, read_system, settle
    from geomix.files import new_folder, read_json, write_json

    with new_folder(given.out) as folder:
        for name in systems.names:
            system = read_system(given.systems, name)
            study = given.results / str(system.tuned_on) / "chosen.json"
            chosen = read_json(study) if system.tuned_on else {}
            override = systems.override.get(name, {})
            for labels in list_labels(system):
                settled = settle(name, system, labels, systems.common, override, chosen, given.code)
                for place, words in (("settings", False), ("words", True)):
                    content = {k: v for k, v in settled.items() if (k in WORDS) == words}
                    path = folder / place / name / f"{labels}.json"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(path, content)


if __name__ == "__main__":
    run(main)
