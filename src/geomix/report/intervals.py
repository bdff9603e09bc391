"""Is the difference real? A paired interval that lets both the query classes and the seeds vary."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """A difference of means with its 95 % interval, and the difference of each seed.

    The bounds are NaN from one seed.
    """

    mean: float
    low: float
    high: float
    per_seed: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """What the interval allows one to say; nothing from one seed."""
        if len(self.per_seed) < 2:
            return "one seed, not tested"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference found"


def paired_difference(a: np.ndarray, b: np.ndarray, classes: np.ndarray) -> Difference:
    """Compare the same queries under two geometries.

    Queries of a class are near copies of each other, and all queries of a seed share one network,
    so neither are independent draws. The variance of the mean is estimated from both: from the
    classes, each class a cluster, with the gaps averaged over seeds; and from the seeds, s^2 / S of
    their mean gaps. Each part has a Student interval with its own degrees of freedom, and the
    half-width of the whole is the root of the sum of their squares (MOVER). A bootstrap over two or
    three seeds would be far too narrow: it cannot draw a seed that was not run.

    Args:
        a: A value of each query, (S, Q), S seeds; NaN where the query has none.
        b: Likewise, for the same queries; seed s stands beside seed s.
        classes: The class of each query, (Q,), at least two classes.

    Returns:
        The mean of a - b over queries and seeds, its interval, and the mean gap of each seed.

    Raises:
        ValueError: On shapes that do not fit.

    Source:
        Zou and Donner 2008 (MOVER: intervals of sums from those of their parts); Clark 1973 (why
        both factors are random); Liang and Zeger 1986 (variance with clusters).
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(classes):
        shapes = f"{a.shape}, {b.shape} and {len(classes)} classes"
        raise ValueError(f"paired_difference: found {shapes}, expected (S, Q) twice and Q classes")
    gaps = a - b
    valued = ~np.isnan(gaps).all(axis=0)
    gaps, classes = gaps[:, valued], classes[valued]
    seeds = len(gaps)
    per_seed = np.nanmean(gaps, axis=1)
    mean = float(per_seed.mean())
    if seeds < 2:
        return Difference(mean, math.nan, math.nan, (mean,))
    groups = pd.Series(np.nanmean(gaps, axis=0)).groupby(classes)
    residuals = (
        groups.sum() - mean * groups.count()
    ).to_numpy() / groups.count().sum()  # of each class
    count = len(residuals)
    of_classes = float((residuals**2).sum()) * count / (count - 1)
    of_seeds = float(per_seed.var(ddof=1)) / seeds
    reach = math.hypot(
        _quantile(count - 1) * math.sqrt(of_classes), _quantile(seeds - 1) * math.sqrt(of_seeds)
    )
    return Difference(mean, mean - reach, mean + reach, tuple(per_seed.tolist()))


def _quantile(freedom: int) -> float:
    """Return the quantile of Student's t that leaves half of 5 % above it."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
