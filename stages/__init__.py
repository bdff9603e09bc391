"""Stages of the pipeline, started from the root as `python -m stages.<name>`.

They are thin shells around src/geomix.

Importing this package puts the src/ folder of its own checkout first on the path, so that a queued
experiment, which runs in a checkout of its own, runs its own code.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from geomix.errors import InputError


class Arguments(argparse.ArgumentParser):
    """Command-line arguments whose mistakes are bad input like any other: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"command line: {message}")


def run(main: Callable[[], None]) -> None:
    """Run a stage: bad input ends it with its message and exit code 1.

    A defect of ours keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}".replace("\n", "\nerror: "))
