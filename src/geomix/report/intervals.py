"""Is the difference real? Paired bootstrap over query classes and seeds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from geomix.errors import InputError


@dataclass(frozen=True)
class Difference:
    """A difference of means with its 95 % interval, and the number of seeds behind it."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Say what the interval allows to say; never more than "not tested" from one seed."""
        if self.seeds < 2:
            return "one seed, not tested"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference found"


def paired_difference(a: np.ndarray, b: np.ndarray, classes: np.ndarray, resamples: int, seed: int = 0) -> Difference:
    """Compare the same queries under two geometries.

    Query classes and seeds are resampled together, with replacement: queries of a class are near copies of each other
    and share the network, so they are no independent draws.

    Args:
        a: A value of each query, (S, Q), S seeds; NaN where the query has none.
        b: Likewise, for the same queries; seed s stands beside seed s.
        classes: The class of each query, (Q,).
        resamples: Draws behind the interval.
        seed: Of the draws.

    Returns:
        Mean of a - b over queries and seeds, and the 2.5 and 97.5 percentiles of its resampled values.

    Raises:
        InputError: On shapes that do not fit.

    Source:
        Efron and Tibshirani 1993, chapter 13 (percentile interval), with classes and seeds as crossed units.
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(classes):
        shapes = f"{a.shape}, {b.shape} and {len(classes)} classes"
        raise InputError(f"paired_difference: found {shapes}, expected (S, Q) twice and Q classes")
    gaps = pd.DataFrame((a - b).T).groupby(classes)
    sums, counts = gaps.sum().to_numpy(), gaps.count().to_numpy()  # (C, S)
    count, seeds = sums.shape
    random = np.random.default_rng(seed)
    class_weights = random.multinomial(count, np.full(count, 1 / count), resamples)  # (B, C)
    seed_weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)  # (B, S)
    totals = ((class_weights @ sums) * seed_weights).sum(1) / ((class_weights @ counts) * seed_weights).sum(1)
    low, high = np.percentile(totals, [2.5, 97.5])
    return Difference(float(sums.sum() / counts.sum()), float(low), float(high), seeds)
