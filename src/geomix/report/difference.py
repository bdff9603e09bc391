"""Is the difference real? A paired interval that lets both the query classes and the seeds vary."""

import math
from dataclasses import dataclass

import numpy as np

from geomix.report.gap import measure_gap


@dataclass(frozen=True)
class Difference:
    """A difference of means with its 95 % interval, and the difference of each seed.

    The bounds are NaN from one seed, and of queries of one class. Where no query has a value the
    mean is NaN too.
    """

    mean: float
    low: float
    high: float
    per_seed: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """What the interval allows one to say; nothing from one seed or of one class."""
        if math.isnan(self.mean):
            return "no score, not tested"
        if len(self.per_seed) < 2:
            return "one seed, not tested"
        if math.isnan(self.low):
            return "one class, not tested"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference found"


def paired_difference(a: np.ndarray, b: np.ndarray, classes: np.ndarray) -> Difference:
    """Compare the same queries under two geometries, by `measure_gap`.

    Queries of a class are near copies of each other, and all queries of a seed share one network,
    so neither are independent draws. A bootstrap over two or three seeds would be far too narrow:
    it cannot draw a seed that was not run.

    Args:
        a: A value of each query, (S, Q), S seeds; NaN where the query has none.
        b: Likewise, for the same queries; seed s stands beside seed s.
        classes: The class of each query, (Q,), at least two classes.

    Returns:
        The mean of a - b over queries and seeds, its interval, and the mean gap of each seed.

    Raises:
        ValueError: On shapes that do not fit, and on fewer than two classes with values.

    Source:
        Clark 1973 (why both factors are random).
    """
    gap = measure_gap(a, b, classes)
    return Difference(gap.mean, gap.low, gap.high, gap.per_seed)


def compare_seeds(a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare the same queries under two geometries where classes are too few for an interval.

    Args:
        a: A value of each query, (S, Q), S seeds; NaN where the query has none.
        b: Likewise, for the same queries; seed s stands beside seed s.

    Returns:
        The mean of a - b and that of each seed, without bounds; NaN where no query has a value.
    """
    gaps = a - b
    known = gaps[:, ~np.isnan(gaps).any(axis=0)]
    per_seed = known.mean(axis=1) if known.size else np.full(len(gaps), math.nan)
    return Difference(float(per_seed.mean()), math.nan, math.nan, tuple(per_seed.tolist()))
