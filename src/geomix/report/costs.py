"""What the loss and its gradient cost in each system, beside those of the reference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

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
    columns = (table["implementation"], table["ratio"], memory)
    measured = {str(name): Cost(time, extra) for name, time, extra in zip(*columns, strict=True)}
    return {reference: Cost(1.0, 0.0)} | measured


def find_noise(
    costs: Mapping[str, Cost], settings: Mapping[str, Mapping[str, Any]]
) -> Noise | None:
    """Find the two systems of the same work whose times are farthest apart; that is noise.

    Args:
        costs: From `read_costs`.
        settings: Of all systems, by `<labels>/<name>`.
    """
    work = {
        name: {key: value for key, value in one.items() if key not in FREE}
        for name, one in settings.items()
        if name in costs
    }
    pairs = [
        sorted(pair, key=lambda name: costs[name].time)
        for pair in combinations(work, 2)
        if work[pair[0]] == work[pair[1]]
    ]
    if not pairs:
        return None
    low, high = max(pairs, key=lambda pair: costs[pair[1]].time / costs[pair[0]].time)
    return Noise(high, low, costs[high].time, costs[low].time)
