"""The variance of a paired difference where other classes and other seeds could have been drawn.

A gap is a value of a query under one setting minus that under another, from the same seed. Gaps are
averaged over the queries of a class, so that seeds and classes form a table. Every query has the
same weight, as in the scores of a page: the difference of two scores is the mean of the gaps, and
class c has the share w_c of the queries.

The model of the table has an effect for each class, one for each seed, and one for both:

    y(s, c) = mean + A(c) + B(s) + I(s, c)

and the variance of the weighted mean over classes, averaged over S seeds, is

    sum_c w_c^2 var A  +  var B / S  +  sum_c w_c^2 var I / S
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.95  # of the intervals
ALPHA = (1 - LEVEL) / 2  # of each side
FOLD = 3.0  # standard deviations that differ more are not pooled
ALONE = 0.25  # chance at which the variance of a gap is too large for the pooled one


@dataclass(frozen=True)
class Gap:
    """A mean paired difference, and what its variance consists of.

    The variances are NaN from one seed, and with them all that follows from them.

    Attributes:
        mean: Over queries and seeds, in the unit of the values.
        per_seed: The mean of each seed.
        of_classes: The part of the variance of `mean` that more classes alone lower.
        of_seeds: The part that more seeds alone lower.
        of_both: The part of their interaction, which more of either lowers.
        class_freedom: Degrees of freedom of the classes, 1 / sum_c w_c^2 - 1: C - 1 where all have
            the same number of queries.
        seed_freedom: Degrees of freedom of the seeds: S - 1, or more if pooled.
        classes: C.
    """

    mean: float
    per_seed: tuple[float, ...]
    of_classes: float
    of_seeds: float
    of_both: float
    class_freedom: float
    seed_freedom: float
    classes: int

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.per_seed)

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.of_classes + self.of_seeds + self.of_both)

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the standard error."""
        if self.seeds < 2:
            return math.nan
        parts = np.array([self.of_classes, self.of_seeds, self.of_both])
        return float(blend_freedom(parts, self.class_freedom, self.seed_freedom))

    @property
    def reach(self) -> float:
        """Half the width of the interval."""
        return float(stats.t.ppf(1 - ALPHA, self.freedom)) * self.error

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.mean - self.reach

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.mean + self.reach

    def p_above(self, value: float) -> float:
        """Return the one-sided p of "the difference is at most a value"."""
        return self._tail(self.mean - value)

    def p_below(self, value: float) -> float:
        """Return the one-sided p of "the difference is at least a value"."""
        return self._tail(value - self.mean)

    def _tail(self, distance: float) -> float:
        """Return the chance of a mean this far or farther from the truth, on one side."""
        if self.error == 0:  # all gaps agree
            return float(distance <= 0)
        return float(stats.t.sf(distance / self.error, self.freedom))


def measure_gap(
    a: np.ndarray, b: np.ndarray, classes: np.ndarray, settings: np.ndarray | None = None
) -> Gap:
    """Compare the same queries under two settings.

    Args:
        a: A value of each query, (S, Q), S seeds; NaN where the query has none.
        b: Likewise, for the same queries; seed s stands beside seed s. Queries without a value in
            some seed, in a or b, are left out.
        classes: The class of each query, (Q,).
        settings: Mean values of G settings, a and b among them, by seed, (G, S), to pool the
            variance of the seeds as `pool_seeds` does. Without them it is that of a - b alone.

    Returns:
        The mean of a - b with its variance.

    Raises:
        ValueError: On shapes that do not fit, and on fewer than two classes with values.
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(classes):
        shapes = f"{a.shape}, {b.shape} and {len(classes)} classes"
        raise ValueError(f"measure_gap: found {shapes}, expected (S, Q) twice and Q classes")
    if settings is not None and settings.shape[-1] != len(a):
        found = f"settings of {settings.shape[-1]} seeds"
        raise ValueError(f"measure_gap: found {found}, expected {len(a)}")
    gaps = a - b
    valued = ~np.isnan(gaps).any(axis=0)
    _, places, counts = np.unique(classes[valued], return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError(
            f"measure_gap: found {len(counts)} classes with values, expected 2 or more"
        )
    table = np.stack([np.bincount(places, row) for row in gaps[:, valued]]) / counts  # (S, C)
    shares = counts / counts.sum()
    per_seed = table @ shares
    seeds = len(table)
    spread, seed_freedom = None, seeds - 1.0
    if settings is not None and seeds > 1:
        spread, seed_freedom = pool_seeds(settings, float(per_seed.var(ddof=1)))
    of_classes, of_seeds, of_both = split_variance(table, shares, spread).tolist()
    return Gap(
        mean=float(per_seed.mean()),
        per_seed=tuple(per_seed.tolist()),
        of_classes=of_classes,
        of_seeds=of_seeds,
        of_both=of_both,
        class_freedom=count_classes(shares) - 1,
        seed_freedom=seed_freedom,
        classes=len(counts),
    )


def average_gaps(gaps: Sequence[Gap]) -> Gap:
    """Average the gaps of several kinds of query, each kind with the same weight.

    Kinds have classes of their own, and so variances of classes and of the interaction add as those
    of independent draws. The seeds are the same networks: their standard deviations add, as if
    they moved together, which is the most that they can.

    Args:
        gaps: Of the same seeds in the same order.

    Returns:
        The mean of the gaps with its variance. The reciprocal degrees of freedom of the classes
        are weighted by the parts of the variance, as in `blend_freedom`.
    """
    if len(gaps) == 1:
        return gaps[0]
    of_classes = np.array([gap.of_classes for gap in gaps])
    equal = np.full(len(gaps), 1 / len(gaps))
    shares = of_classes / of_classes.sum() if of_classes.sum() > 0 else equal
    freedoms = np.array([gap.class_freedom for gap in gaps])
    return Gap(
        mean=float(np.mean([gap.mean for gap in gaps])),
        per_seed=tuple(np.mean([gap.per_seed for gap in gaps], axis=0).tolist()),
        of_classes=float(of_classes.sum()) / len(gaps) ** 2,
        of_seeds=float(np.mean([math.sqrt(gap.of_seeds) for gap in gaps])) ** 2,
        of_both=sum(gap.of_both for gap in gaps) / len(gaps) ** 2,
        class_freedom=float(1 / (shares / freedoms).sum()),
        seed_freedom=min(gap.seed_freedom for gap in gaps),
        classes=sum(gap.classes for gap in gaps),
    )


def count_classes(shares: np.ndarray) -> float:
    """Return how many classes of equal size would vary as much: 1 / sum_c w_c^2.

    Args:
        shares: Of the queries in each class, w, (C,), with the sum 1.
    """
    return float(1 / (shares**2).sum())


def split_variance(
    tables: np.ndarray, shares: np.ndarray, spread: float | np.ndarray | None = None
) -> np.ndarray:
    """Estimate the parts of the variance of the mean of a table.

    Where all classes have the same share the total is, with the mean squares of a two-way table,

        (MS_class + MS_seed - MS_both) / (C S),    at least MS_class / (C S) and MS_seed / (C S)

    Adding the first two alone would count the interaction twice, and the noise of queries with it.
    With shares w, q = sum_c w_c^2, and r a row of the table minus its weighted mean, let

        v(r) = sum_c w_c^2 r_c^2 / (1 - 2 w_c + q)

    For classes of one variance the expectation of r_c^2 is that variance times 1 - 2 w_c + q: so v
    estimates the variance of a row's weighted mean without bias. The three terms are then

        MS_class / (C S)    becomes    v(mean over seeds)
        MS_seed / (C S)     becomes    variance over seeds of the weighted means / S
        MS_both / (C S)     becomes    sum over seeds of v(row - mean over seeds) / (S (S - 1))

    Args:
        tables: Mean gaps, (..., S, C).
        shares: Of the queries in each class, w, (C,), with the sum 1.
        spread: The variance over seeds of the weighted means, one for all tables or (...), if
            known from elsewhere.

    Returns:
        Of the variance of the mean the parts of classes, seeds and both, (3, ...), none below 0;
        NaN from one seed.

    Source:
        Cornfield and Tukey 1956 (expected mean squares); Bell and McCaffrey 2002 (the divisor).
    """
    seeds = tables.shape[-2]
    if seeds < 2:
        return np.full((3, *tables.shape[:-2]), math.nan)
    averages = tables.mean(axis=-2)  # (..., C)
    class_term = _vary(averages, shares)
    if spread is None:
        seed_term = (tables @ shares).var(axis=-1, ddof=1) / seeds
    else:
        seed_term = np.broadcast_to(spread, class_term.shape) / seeds
    rest = tables - averages[..., None, :]
    both_term = _vary(rest, shares).sum(axis=-1) / (seeds * (seeds - 1))
    larger = np.maximum(class_term, seed_term)
    total = np.maximum(class_term + seed_term - both_term, larger)
    of_classes = np.maximum(class_term - both_term, 0)
    of_seeds = np.maximum(seed_term - both_term, 0)
    return np.stack([of_classes, of_seeds, total - of_classes - of_seeds])


def _vary(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Estimate the variance of the weighted mean of each row, (..., C), from its values."""
    squares = shares**2
    residuals = rows - (rows @ shares)[..., None]
    return (residuals**2) @ (squares / (1 - 2 * shares + squares.sum()))


def blend_freedom(parts: np.ndarray, class_freedom: float, seed_freedom: float) -> np.ndarray:
    """Return the degrees of freedom of a sum of variances.

    Their reciprocal is the mean of the two reciprocals, weighted by the parts of the variance; the
    interaction goes with the seeds. Satterthwaite's formula weights by the squares of the parts.
    With three seeds that vary much its intervals of 95 % cover 92 %: where the seeds agree by luck,
    it gives their part no weight, and hands out the degrees of freedom of the classes.

    Args:
        parts: From `split_variance`, (3, ...).
        class_freedom: Degrees of freedom of the classes.
        seed_freedom: Degrees of freedom of the seeds.

    Returns:
        Degrees of freedom, (...), between the two; those of the seeds where nothing varies.
    """
    total = parts.sum(axis=0)
    varies = total > 0
    share = np.where(varies, parts[0], 0) / np.where(varies, total, 1)
    return 1 / (share / class_freedom + (1 - share) / seed_freedom)


def pool_seeds(settings: np.ndarray, spread: float) -> tuple[float, float]:
    """Estimate the variance over seeds of a gap from all settings that were run with these seeds.

    A seed raises or lowers all settings together, which cancels in a gap. What is left varies by

        2 sum residual^2 / ((G - 1) (S - 1)),    residual = value - mean of setting - mean of seed

    around the mean of all, with (G - 1)(S - 1) degrees of freedom. Two settings give the variance
    of their gap. Settings of very different standard deviations have no common variance. With few
    seeds they often differ so by chance: eight that are alike pass in 13 % of draws of 3 seeds, in
    53 % of 5 and in 95 % of 10.

    Where the two compared vary more than the others, and not so much that this shows, the pooled
    variance is too small: of 10 seeds that vary twice as much, intervals of 95 % cover 87 %. So the
    gap's own variance is a witness. Where it is above the pooled one by more than one gap in four
    would be by chance, it stands alone, and these intervals cover 94 %.

    Args:
        settings: Mean values by setting and seed, (G, S), at least two of each.
        spread: The variance of the gap itself over the seeds, with S - 1 degrees of freedom.

    Returns:
        The variance of a gap in one seed, and its degrees of freedom: the pooled one; or that of
        the gap itself where the standard deviations of the residuals differ more than threefold,
        or where it is much larger.

    Raises:
        ValueError: On fewer than two settings or seeds.

    Source:
        Bancroft 1964 (to pool unless a test at 25 % speaks against it).
    """
    if settings.ndim != 2 or min(settings.shape) < 2:
        raise ValueError(f"pool_seeds: found {settings.shape}, expected (G, S), both 2 or more")
    count, seeds = settings.shape
    centred = settings - settings.mean(axis=1, keepdims=True)
    squares = ((centred - centred.mean(axis=0)) ** 2).sum(axis=1)  # of each setting
    freedom = (count - 1) * (seeds - 1)
    pooled = 2 * float(squares.sum()) / freedom
    if squares.max() > FOLD**2 * squares.min() or spread > pooled * _bound_ratio(seeds, freedom):
        return spread, seeds - 1
    return pooled, freedom


@cache
def _bound_ratio(seeds: int, freedom: int) -> float:
    """Return the ratio of equal variances that one estimate in four is above."""
    return float(stats.f.isf(ALONE, seeds - 1, freedom))
