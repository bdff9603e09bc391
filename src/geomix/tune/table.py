"""The first round of trials: starts, and rows of a table that fills the unit cube evenly."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats.qmc import Sobol

from geomix.config.studies import flatten
from geomix.config.tuning import COLUMNS, Ranges
from geomix.tune.ranges import place_point


def list_starts(ranges: Ranges, starts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings that a geometry tries first.

    Args:
        ranges: What it tunes.
        starts: Nested settings. Of each the keys that are tuned count, and those that it leaves
            out take the middle of their range.
    """
    middle = place_point(ranges, [0.5] * len(ranges))
    return [{key: flatten(start).get(key, middle[key]) for key in ranges} for start in starts]


def draw_table(ranges: Ranges, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw the settings of the first round.

    The table has as many columns whatever is searched, and a key takes the column of its place:
    geometries that tune the same first keys have the same values of these.

    Args:
        ranges: What is searched, at most `COLUMNS` keys.
        count: Rows, 0 or more.
        seed: Of the scrambling.

    Returns:
        Settings by dotted key, one for each row.

    Source:
        Sobol' 1967, scrambled as Matousek 1998 does, as in SciPy.
    """
    if len(ranges) > COLUMNS:
        raise ValueError(f"found {len(ranges)} keys, expected at most {COLUMNS}")
    power = math.ceil(math.log2(max(count, 1)))  # the sequence is even over powers of two
    points = Sobol(COLUMNS, scramble=True, rng=seed).random_base2(power)
    return [place_point(ranges, point) for point in points[:count].tolist()]
