"""What the loss and its gradient cost in each system, beside those of the reference."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from geomix.report.settled import System

FREE = ("tau", "curvature", "lam", "augment")  # settings that change no work of the loss


@dataclass(frozen=True)
class Cost:
    """Of loss and gradient: time over the reference's, and memory beyond its own in MiB."""

    time: float = math.nan
    memory: float = math.nan


@dataclass(frozen=True)
class Noise:
    """Two systems that do the same work, and what was measured of each."""

    high: str
    low: str
    high_time: float
    low_time: float


def read_costs(path: Path, reference: str) -> dict[str, Cost]:
    """Read the costs by `<labels>/<name>`.

    Args:
        path: The table of bench.systems; without it there is nothing.
        reference: Which the times are over.
    """
    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    memory = table["extra_mib"] - table["baseline_extra_mib"]
    measured = map(Cost, table["ratio"], memory)
    return {reference: Cost(1.0, 0.0)} | dict(zip(table["implementation"], measured, strict=True))


def find_noise(costs: Mapping[str, Cost], systems: Iterable[System]) -> Noise | None:
    """Find the two systems of the same work whose times are farthest apart; that is noise.

    Args:
        costs: From `read_costs`.
        systems: All of them.
    """
    known = [(costs[one.key].time, one) for one in systems if one.key in costs]
    measured = sorted(known, key=lambda pair: pair[0])
    pairs = [
        Noise(high.system, low.system, slow, fast)
        for (fast, low), (slow, high) in combinations(measured, 2)
        if _work(low) == _work(high)
    ]
    return max(pairs, key=lambda pair: pair.high_time / pair.low_time, default=None)


def _work(system: System) -> dict[str, object]:
    """Return the settings that change the work of the loss."""
    return {key: value for key, value in system.comparable.items() if key not in FREE}
