"""Mend locks that a kill left half-written: dvc.lock, flows/*/dvc.lock. `make` begins with it."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.mend"
    )

import subprocess
from pathlib import Path

from geomix.config.base import Section
from geomix.config.read import load
from stages import Arguments, run


def main() -> None:
    """Put the committed lock in place of a broken one, or none: what was run is in the run-cache.

    DVC writes a lock in place, and refuses to start with half of one.
    """
    load(Section)
    Arguments().parse_args()
    for lock in (Path("dvc.lock"), *sorted(Path("flows").glob("*/dvc.lock"))):
        if lock.is_file() and not is_whole(lock):
            lock.unlink()
            subprocess.run(["git", "checkout", "--quiet", "--", lock], capture_output=True)
            print(f"mended {lock}, which a kill had left half-written")


def is_whole(lock: Path) -> bool:
    """Say whether DVC can read a lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import ParseError, load_yaml
    from voluptuous import MultipleInvalid

    try:
        COMPILED_LOCKFILE_SCHEMA(load_yaml(str(lock)))
    except (ParseError, MultipleInvalid):
        return False
    return True


if __name__ == "__main__":
    run(main)
