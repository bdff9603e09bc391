"""Count the cells that end, and say how long the others will take.

Reads what cells print, and a line `ended <stage> <exit code>` for each that ends.
"""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.count"
    )

import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from geomix.config.base import Section
from geomix.config.read import load
from stages import Arguments, run
from stages.plan import describe_time

ENDED = re.compile(r"ended (\S+) (\d+)\s*$")
LAST = 6  # cells by which the pace is told: the run-cache gives some at once, others train
# The last line of a cell, which begins with its key, and that of a round of trials.
SAID = re.compile(r"(\S+): .*\b(loss \S|could not be trained)")


def main() -> None:
    """Print a line for each cell that ends, and at once what no cell says of itself."""
    load(Section)
    arguments = Arguments()
    arguments.add_argument("of", type=int, help="cells that run")
    given = arguments.parse_args()
    for line in count_cells(sys.stdin, given.of):
        print(line, flush=True)


def count_cells(
    lines: Iterable[str], of: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[str]:
    """Yield a line for each cell that ends, with its number and the time that is left.

    Args:
        lines: What cells print, as they come.
        of: How many will end.
        clock: Seconds.

    Yields:
        [n/of] with what the cell said last, or its name; other lines as they are.
    """
    ended = 0
    ends = deque([clock()], maxlen=LAST + 1)
    said: dict[str, str] = {}
    for line in lines:
        end = ENDED.match(line)
        if not end:
            if words := SAID.match(line):
                said[words[1]] = line.rstrip()
            else:
                yield line.rstrip()
            continue
        ended += 1
        ends.append(clock())
        name = end[1]
        what = said.pop(name.rpartition("@")[2], name)
        if end[2] != "0":
            what = f"{name} failed"
        seconds = (ends[-1] - ends[0]) / (len(ends) - 1) * (of - ended)
        left = f", {describe_time(seconds)} left" if ended < of else ""
        yield f"[{ended}/{of}] {what}{left}"
    yield from said.values()


if __name__ == "__main__":
    run(main)
