"""What a comparison allows one to say: helps, hurts, equal within the margin, or not decidable.

A setting is compared with one or several controls by `measure_gap`. Its gain is its difference from
the best of them, whichever that is in truth, and every verdict is about this gain.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from geomix.report.gap import ALPHA, Gap

CHANCE = 0.8  # of finding a difference, where the smallest one is named
# Each of two one-sided tests must succeed, so that both do with at least that chance.
BOTH = (1 + CHANCE) / 2
MANY = 1000  # seeds or classes


@dataclass(frozen=True)
class Need:
    """What would decide: more seeds if they can, else more classes, else both.

    Attributes:
        seeds: How many more; about, as the variances are estimates.
        classes: How many more test classes, likewise.
    """

    seeds: int
    classes: int

    @property
    def words(self) -> str:
        """The need, as the end of a sentence."""
        return self.describe("test class", "test classes")

    def describe(self, unit: str, units: str) -> str:
        """Return the need, as the end of a sentence.

        Args:
            unit: What one class is called.
            units: What several are called.
        """
        seeds = f"{_about(self.seeds)} more seed{'s' if self.seeds > 1 else ''}"
        classes = f"{_about(self.classes)} more {units if self.classes > 1 else unit}"
        if self.classes == 0:
            return seeds if self.seeds else f"no more seeds or {units}"
        if self.seeds == 0:
            return f"{classes}; no number of seeds is enough"
        return f"{seeds} together with {classes}"


def _about(count: int) -> str:
    """Write a number that is estimated; beyond what anyone would add, its bound."""
    return f"about {count}" if count <= MANY else f"more than {MANY:,}"


@dataclass(frozen=True)
class Contrast:
    """The gain of a setting over the best of its controls.

    Attributes:
        gaps: The setting minus each control, the named control first.
        margin: The smallest difference that matters, in the unit of the values.
        p_helps: One-sided p of "some control is at least as good".
        p_hurts: One-sided p of "the named control is no better".
        p_equal: p of "the gain is not within the margin", the larger of two one-sided ones.
        questions: How many the p-values are corrected for.
    """

    gaps: tuple[Gap, ...]
    margin: float
    p_helps: float
    p_hurts: float
    p_equal: float
    questions: int = 1

    @property
    def low(self) -> float:
        """The lower end of the interval of the gain."""
        return float(np.min([gap.low for gap in self.gaps]))  # NaN if one is

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.gaps[0].high

    @property
    def decisive(self) -> Gap:
        """The gap that decides, which pages show: an interval of one control, and symmetric.

        It is the one from the named control. Where that control is beaten, the one whose interval
        reaches lowest: each control must be beaten.
        """
        named = self.gaps[0]
        return min(self.gaps, key=lambda gap: gap.low) if named.low > 0 else named

    @property
    def smallest(self) -> float:
        """The smallest difference from the control that decides that would have been found."""
        return find_smallest(self.decisive, self.questions)

    @property
    def need(self) -> Need:
        """What would tell a difference from that control as large as the margin from none."""
        return find_need(self.decisive, self.margin, self.questions)

    @property
    def verdict(self) -> str:
        """What the p-values allow one to say; a gain too small to matter is called equal."""
        if math.isnan(self.low):
            return "one seed, not tested"
        if self.p_equal < ALPHA:
            return "equal within the margin"
        if self.p_helps < ALPHA:
            return "helps"
        return "hurts" if self.p_hurts < ALPHA else "not decidable"


def contrast_controls(gaps: Sequence[Gap], margin: float) -> Contrast:
    """Judge a setting against all of its controls (an intersection-union test).

    The setting helps only if it is better than each control, so its p is the largest, and the lower
    limit of its gain is the lowest, without a correction. Nothing bounds the gain from above better
    than the limit against one control, and that one must be named beforehand: the lowest of the
    upper limits would be too low by chance. So the setting hurts if it is worse than the named
    control. It is equal if every lower limit is above -margin, and the upper limit against the
    named control below the margin.

    Args:
        gaps: The setting minus each control; the named control first.
        margin: The smallest difference that matters, above 0, in the unit of the values.

    Raises:
        ValueError: Without a gap, or on a margin that is not above 0.

    Source:
        Berger 1982 (intersection-union tests); Schuirmann 1987 (two one-sided tests).
    """
    if not gaps or not margin > 0:
        found = f"{len(gaps)} gaps and the margin {margin}"
        raise ValueError(f"contrast_controls: found {found}, expected a gap and a margin above 0")
    named = gaps[0]
    inside = [*(gap.p_above(-margin) for gap in gaps), named.p_below(margin)]
    return Contrast(
        tuple(gaps),
        margin,
        p_helps=float(np.max([gap.p_above(0) for gap in gaps])),
        p_hurts=named.p_below(0),
        p_equal=float(np.max(inside)),
    )


def correct_holm(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Correct the p-values for the number of questions, and what could have been found with it.

    Each of the three claims is a family of its own over the questions. As a gain cannot be above
    and below 0, nor within the margin and beyond it, a false claim of any kind is made with a
    chance of at most 3 * 2.5 % over all questions, and of a false direction with at most 5 %.

    Args:
        contrasts: Of all questions named beforehand, those without an answer (NaN) too.
    """
    claims = ("p_helps", "p_hurts", "p_equal")
    tables = [adjust_holm([getattr(one, claim) for one in contrasts]) for claim in claims]
    rows = zip(*tables, strict=True)
    return [
        replace(one, **dict(zip(claims, row, strict=True)), questions=len(contrasts))
        for one, row in zip(contrasts, rows, strict=True)
    ]


def adjust_holm(p: Sequence[float]) -> list[float]:
    """Return p-values that may be compared with the level of a single test.

    Of m sorted p-values number k, from 0, is multiplied by m - k, and none is below the one before.
    A test that was not done (NaN) counts, and keeps NaN.

    Source:
        Holm 1979.
    """
    order = np.argsort(p, kind="stable")  # NaN last
    scaled = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(one) for one in adjusted]


def find_smallest(gap: Gap, questions: int = 1, chance: float = CHANCE) -> float:
    """Return the smallest true difference that would have been found with 80 % chance.

    Found means that its p-value, corrected for the number of questions, lies below the level. Of m
    questions the first step of Holm's correction is taken, the level divided by m: what is found at
    it is found whatever the other questions say. With f degrees of freedom the mean over its error
    is a noncentral t, and the difference is the error times the noncentrality d with

        P(T_f(d) > t_f(1 - 2.5 % / m)) = 80 %

    Args:
        gap: Measured.
        questions: m.
        chance: Of finding it.

    Returns:
        In the unit of the values; NaN from one seed; infinite below half a degree of freedom, where
        one class has nearly all queries.

    Accuracy:
        1e-8, relative.
    """
    if math.isnan(gap.error) or gap.error == 0:
        return gap.error
    if gap.freedom < 0.5:
        return math.inf
    return _find_shift(gap.freedom, ALPHA / questions, chance) * gap.error


def _find_shift(freedom: float, level: float, chance: float) -> float:
    """Return the noncentrality that a one-sided test of this level finds with this chance."""
    bound = stats.t.isf(level, freedom)

    def miss(shift: float) -> float:
        """Return by how much the chance is below the wanted one."""
        return chance - float(stats.nct.sf(bound, freedom, shift))

    top = bound + 1.0
    while miss(top) > 0:
        top *= 2
    return float(brentq(miss, 0, top, rtol=1e-10))


def find_need(gap: Gap, margin: float, questions: int = 1) -> Need:
    """Find how many more seeds or classes would tell a difference of the margin from none.

    With as many, a difference as large as the margin is found with a chance of 90 %, and one of 0
    is called equal with a chance of 80 %: then both one-sided tests must succeed, each with 90 %.
    Each further control that comes as near lowers these chances.

    Variances are taken as estimated. n times the seeds divide the parts of the seeds and of the
    interaction by n; n times the classes those of the classes and of the interaction. Where the
    part of the classes alone is too large for the margin, no number of seeds is enough.

    Args:
        gap: Measured.
        margin: The smallest difference that matters, above 0, in the unit of the values.
        questions: How many the verdict is corrected for, as in `find_smallest`.

    Returns:
        The smallest number of seeds; if none is enough, of classes; if none is enough, of both in
        proportion. One more seed if there is but one.
    """
    if gap.seeds < 2:
        return Need(1, 0)

    def decides(seeds: float, classes: float) -> bool:
        """Say whether this many would be enough."""
        grown = _grow(gap, seeds / gap.seeds, classes / gap.classes)
        return find_smallest(grown, questions, BOTH) <= margin

    if decides(gap.seeds, gap.classes):
        return Need(0, 0)
    if decides(math.inf, gap.classes):
        return Need(_search(lambda more: decides(gap.seeds + more, gap.classes)), 0)
    if decides(gap.seeds, math.inf):
        return Need(0, _search(lambda more: decides(gap.seeds, gap.classes + more)))
    ratio = gap.classes / gap.seeds
    seeds = _search(lambda more: decides(gap.seeds + more, gap.classes + math.ceil(more * ratio)))
    return Need(seeds, math.ceil(seeds * ratio))


def _grow(gap: Gap, seeds: float, classes: float) -> Gap:
    """Return the gap of several times the seeds and the classes, with the variances per draw."""
    return replace(
        gap,
        of_classes=gap.of_classes / classes,
        of_seeds=gap.of_seeds / seeds,
        of_both=gap.of_both / (seeds * classes),
        class_freedom=(gap.class_freedom + 1) * classes - 1,
        seed_freedom=gap.seed_freedom * (gap.seeds * seeds - 1) / (gap.seeds - 1),
    )


def _search(enough: Callable[[int], bool]) -> int:
    """Return the smallest number from 1 on that is enough, where larger ones are."""
    top = 1
    while not enough(top):
        top *= 2
    low = top // 2
    while top - low > 1:
        middle = (low + top) // 2
        low, top = (low, middle) if enough(middle) else (middle, top)
    return top
