"""Progress of long work: a bar in a terminal, else a line a minute; nothing for short work."""

import sys
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

MINUTE = 60.0
BYTES: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}


class Lines(tqdm):
    """A bar that writes each of its states as a line of its own."""

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """Return what writes a state; the last one is empty, and clears a bar."""

        def write(state: str) -> None:
            """Write a line."""
            if state:
                print(state, file=file, flush=True)

        return write


def open_bar(*given: Any, **settings: Any) -> Any:
    """Open a progress bar on standard error; arguments are those of tqdm.

    Without a terminal, as under make or in a batch system, it is a line a minute, the first after
    a minute.
    """
    if sys.stderr.isatty():
        return tqdm(*given, **settings)
    lines = {"mininterval": MINUTE, "maxinterval": MINUTE, "delay": MINUTE, "leave": False}
    return Lines(*given, ncols=0, **settings, **lines)
