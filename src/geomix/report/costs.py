"""What the loss and its gradient cost in each system, beside plain euclidean's."""

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.studies import REFERENCES

FREE = ("tau", "curvature", "lam", "augment")  # settings that change no work of the loss


def read_costs(path: Path) -> dict[str, tuple[float, float]]:
    """Read by system the time of loss and gradient over plain euclidean's and, in MiB, their memory
    less its own.

    Args:
        path: The table of bench.systems; without it there is nothing.
    """
    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    memory = table["extra_mib"] - table["baseline_extra_mib"]
    return dict(
        zip(
            table["implementation"].astype(str),
            zip(table["ratio"], memory, strict=True),
            strict=True,
        )
    )


def write_cost(costs: Mapping[str, tuple[float, float]], name: str) -> dict[str, str]:
    """Give the two columns of a system's cost; memory within a MiB of the reference's is not told apart from it."""
    own, unknown = {REFERENCES["given"]: (1.0, 0.0)}, (math.nan, math.nan)
    time, memory = (own | dict(costs)).get(name, unknown)
    texts = (f"{time:.2f}", "< 1" if abs(memory) < 1 else f"{memory:+.1f}")
    if math.isnan(time):
        texts = ("not measured", "not measured")
    return {"time of the loss": texts[0], "memory of the loss, MiB": texts[1]}


def say_noise(
    costs: Mapping[str, tuple[float, float]], settings: Mapping[str, Mapping[str, Any]]
) -> str:
    """Say how far times of systems with the same work are apart, which is noise; nothing where
    there are no two of them.

    Args:
        costs: From `read_costs`.
        settings: Of all systems, from `settle`.
    """
    times = {REFERENCES["given"]: 1.0} | {
        name: time for name, (time, _) in costs.items() if name in settings
    }
    work = {
        name: {key: value for key, value in settings[name].items() if key not in FREE}
        for name in times
    }
    pairs = [pair for pair in combinations(times, 2) if work[pair[0]] == work[pair[1]]]
    if not costs or not pairs:
        return ""
    low, high = max(
        (sorted(pair, key=times.__getitem__) for pair in pairs),
        key=lambda pair: times[pair[1]] / times[pair[0]],
    )
    return (
        f"`{high}` and `{low}` do the same work and read {times[high]:.2f} and {times[low]:.2f}, so a difference of "
        f"{100 * (times[high] / times[low] - 1):.0f} % is noise, and somewhat more may be."
    )
