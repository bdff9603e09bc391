"""The first round of trials: rows of a table that fills the unit cube evenly."""

import math
from typing import Any

from scipy.stats.qmc import Sobol

from geomix.config.tuning import COLUMNS, Ranges
from geomix.tune.ranges import place_point


def draw_table(ranges: Ranges, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw the settings of the first round.

    The table has as many columns whatever is searched, and a key takes the column of its place:
    geometries that tune the same first keys have the same values of these.

    Args:
        ranges: What is searched, at most `COLUMNS` keys.
        count: Rows.
        seed: Of the scrambling.

    Returns:
        Settings by dotted key, one for each row.

    Source:
        Sobol' 1967, scrambled as Matousek 1998 does, as in SciPy.
    """
    if len(ranges) > COLUMNS:
        raise ValueError(f"found {len(ranges)} keys, expected at most {COLUMNS}")
    power = math.ceil(math.log2(count))  # the sequence is even over powers of two
    points = Sobol(COLUMNS, scramble=True, rng=seed).random_base2(power)
    return [place_point(ranges, point) for point in points[:count].tolist()]
