"""What is searched, as a unit cube: a point in it is a setting of each key.

Numbers have three significant figures, so that they read well and do not depend on the last digit
of what proposed them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from geomix.config.tuning import Among, Range, Ranges

FIGURES = 3


def place_point(ranges: Ranges, point: Sequence[float]) -> dict[str, Any]:
    """Turn a point of the unit cube into settings.

    Args:
        ranges: What is searched, k keys.
        point: At least k numbers in [0, 1); the first is that of the first key.

    Returns:
        By dotted key a value: of a range low + u (high - low), or low (high / low)^u where it is
        even in the logarithm; of n values the one at floor(n u).
    """
    return {key: _place(one, at) for (key, one), at in zip(ranges.items(), point, strict=False)}


def _place(one: Range | Among, at: float) -> Any:
    """Return the value at a place in [0, 1)."""
    if isinstance(one, Among):
        return one.among[min(int(at * len(one.among)), len(one.among) - 1)]
    low, high = float(one.low), float(one.high)
    return round_number(one, low * (high / low) ** at if one.log else low + at * (high - low))


def round_number(one: Range, value: float) -> float:
    """Round to three significant figures, within the range."""
    return min(max(float(f"{value:.{FIGURES}g}"), float(one.low)), float(one.high))


def round_settings(ranges: Ranges, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with rounded numbers, in the order of the ranges."""
    return {
        key: round_number(one, settings[key]) if isinstance(one, Range) else settings[key]
        for key, one in ranges.items()
    }


def locate(one: Range, value: float) -> float:
    """Return where a value lies in its range, in [0, 1]: the inverse of `place_point`."""
    low, high = float(one.low), float(one.high)
    if one.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def write_value(value: Any) -> str:
    """Write a value as params.yaml does: null, true, 0.1, batch."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def read_value(one: Range | Among, text: str) -> Any:
    """Read a value that `write_value` wrote.

    Raises:
        ValueError: If it is none of those that are searched.
    """
    if isinstance(one, Range):
        return float(text)
    for value in one.among:
        if write_value(value) == text:
            return value
    raise ValueError(f"found {text}, expected one of {', '.join(map(write_value, one.among))}")
