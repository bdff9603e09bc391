"""Verdicts: the words follow from the interval, and are seldom wrong where the truth is known."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from geomix.report.contrasts import (
    Contrast,
    Need,
    adjust_holm,
    contrast_controls,
    correct_holm,
    find_need,
    find_smallest,
)
from geomix.report.gap import (
    ALPHA,
    Gap,
    blend_freedom,
    count_classes,
    measure_gap,
    pool_seeds,
    split_variance,
)


def gap_of(
    mean: float,
    of_classes: float = 0.0,
    of_seeds: float = 1.0,
    of_both: float = 0.0,
    seeds: int = 5,
) -> Gap:
    """Return a gap with given standard errors, of 20 equal classes."""
    variances = (of_classes**2, of_seeds**2, of_both**2)
    return Gap(mean, (mean,) * seeds, *variances, 19, seeds - 1, 20)


@pytest.mark.parametrize(
    # t(.975, S - 1) and t(1 - .025 / 6, S - 1), any table
    ("seeds", "questions", "quantile", "expected"),
    [
        (3, 1, 4.302653, 3.26),
        (5, 1, 2.776445, 1.68),
        (10, 1, 2.262157, 1.00),
        (3, 6, 10.885867, 8.02),
        (5, 6, 4.851008, 2.76),
        (10, 6, 3.364203, 1.37),
    ],
)
def test_the_smallest_difference_is_found_in_80_of_100_draws(
    seeds: int, questions: int, quantile: float, expected: float
) -> None:
    random, draws = np.random.default_rng(0), 20_000
    truth = find_smallest(gap_of(0, of_seeds=1 / math.sqrt(seeds), seeds=seeds), questions)
    assert truth == pytest.approx(expected, abs=0.01)  # in standard deviations of one seed
    gaps = truth + random.normal(size=(draws, seeds))
    bound = quantile * gaps.std(axis=1, ddof=1) / math.sqrt(seeds)
    found = (gaps.mean(axis=1) > bound).mean()
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / draws))


def test_the_smallest_difference_is_a_root_of_the_noncentral_t() -> None:
    for gap in (gap_of(0, 1, 2, 1), gap_of(0, 1, 0, 0), gap_of(0, 0.1, 3, 0, seeds=3)):
        bound = stats.t.ppf(0.975, gap.freedom)
        chance = stats.nct.sf(bound, gap.freedom, find_smallest(gap) / gap.error)
        assert chance == pytest.approx(0.8, abs=1e-8)


def test_the_smallest_difference_at_the_ends() -> None:
    assert find_smallest(gap_of(0.3, of_seeds=0)) == 0
    assert math.isnan(find_smallest(gap_of(0, math.nan, math.nan, math.nan, seeds=1)))
    lopsided = replace(gap_of(0, of_classes=1, of_seeds=0), class_freedom=0.02)
    assert find_smallest(lopsided) == math.inf


def step_by_step(gap: Gap, margin: float, seeds: bool, classes: bool) -> int:
    """Return the number of steps until the margin is found, one seed or class at a time."""
    for more in itertools.count():
        s = 1 + more * seeds / gap.seeds
        c = 1 + more * classes / gap.classes
        grown = Gap(
            gap.mean,
            gap.per_seed,
            gap.of_classes / c,
            gap.of_seeds / s,
            gap.of_both / s / c,
            gap.classes * c - 1,
            gap.seeds * s - 1,
            gap.classes,
        )
        if find_smallest(grown, chance=0.9) <= margin:
            return more
    raise AssertionError


def test_more_seeds_are_as_many_as_the_margin_takes() -> None:
    gap = gap_of(0, of_classes=0.3, of_seeds=1, of_both=0.5)
    found = []
    for margin in np.geomspace(1.2, 4.5, 24).tolist():
        need = find_need(gap, margin)
        assert need == Need(step_by_step(gap, margin, True, False), 0)
        found.append(need.seeds)
    assert {1, 2, 3, 5} <= set(found)
    assert found[0] > 20


def test_where_classes_alone_are_too_few_more_seeds_do_not_decide() -> None:
    gap = gap_of(0, of_classes=1, of_seeds=0.2, of_both=0.2)
    need = find_need(gap, 1.5)
    assert need == Need(0, step_by_step(gap, 1.5, False, True))
    assert need.classes > 10
    assert need.words == f"about {need.classes:,} more test classes; no number of seeds is enough"


def test_where_neither_is_enough_both_must_grow() -> None:
    gap = gap_of(0, of_classes=1, of_seeds=1)
    need = find_need(gap, 1)
    assert need.classes == 4 * need.seeds  # 20 classes stand beside 5 seeds
    scale = 1 + need.seeds / 5
    less = scale - 1 / 5
    enough = gap_of(0, of_classes=1 / math.sqrt(scale), of_seeds=1 / math.sqrt(scale))
    assert find_smallest(enough, chance=0.9) > 0.98  # these have fewer degrees of freedom
    grown = replace(enough, class_freedom=20 * scale - 1, seed_freedom=5 * scale - 1)
    assert find_smallest(grown, chance=0.9) <= 1
    fewer = gap_of(0, of_classes=1 / math.sqrt(less), of_seeds=1 / math.sqrt(less))
    fewer = replace(fewer, class_freedom=20 * less - 1, seed_freedom=5 * less - 1)
    assert find_smallest(fewer, chance=0.9) > 1


@pytest.mark.parametrize(
    ("truth", "right", "share"), [(0.0, "equal within the margin", 0.8), (1.0, "helps", 0.9)]
)
def test_with_the_seeds_of_the_need_a_question_of_six_is_decided(
    truth: float, right: str, share: float
) -> None:
    random, draws = np.random.default_rng(0), 4000
    seeds = 3 + find_need(gap_of(0, of_seeds=1 / math.sqrt(3), seeds=3), 1, questions=6).seeds
    gaps = truth + random.normal(size=(draws, seeds))
    words = []
    for mean, error in zip(gaps.mean(axis=1), gaps.std(axis=1, ddof=1), strict=True):
        gap = gap_of(mean, of_seeds=error / math.sqrt(seeds), seeds=seeds)
        others = [contrast_controls([gap_of(0, of_seeds=9, seeds=3)], 1)] * 5
        words.append(correct_holm([contrast_controls([gap], 1), *others])[0].verdict)
    assert words.count(right) / draws == pytest.approx(share, abs=0.03)


def test_the_need_at_the_ends() -> None:
    assert find_need(gap_of(0), 100) == Need(0, 0)
    assert find_need(gap_of(0, math.nan, math.nan, math.nan, seeds=1), 1) == Need(1, 0)
    pooled = replace(gap_of(0), seed_freedom=16)
    assert 0 < find_need(pooled, 2).seeds <= find_need(gap_of(0), 2).seeds


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (Need(0, 0), "no more seeds or test classes"),
        (Need(1, 0), "about 1 more seed"),
        (Need(7, 0), "about 7 more seeds"),
        (Need(0, 1), "about 1 more test class; no number of seeds is enough"),
        (Need(3, 12), "about 3 more seeds together with about 12 more test classes"),
        (Need(1001, 0), "more than 1,000 more seeds"),
    ],
)
def test_words_of_a_need(need: Need, words: str) -> None:
    assert need.words == words


@pytest.mark.parametrize(
    ("mean", "error", "verdict"),
    [
        (5, 1, "helps"),
        (-5, 1, "hurts"),
        (0, 0.1, "equal within the margin"),
        (0.5, 0.1, "equal within the margin"),  # surely above 0, and too small to matter
        (-0.5, 0.1, "equal within the margin"),
        (1, 0.1, "helps"),  # surely above 0, perhaps above the margin
        (-1, 0.1, "hurts"),
        (0, 1, "not decidable"),
        (1, 1, "not decidable"),
        (0, 0, "equal within the margin"),
        (2, 0, "helps"),
        (0, math.nan, "one seed, not tested"),
    ],
)
def test_verdicts(mean: float, error: float, verdict: str) -> None:
    seeds = 1 if math.isnan(error) else 5
    gap = gap_of(mean, error if seeds == 1 else 0, error, seeds=seeds)
    assert contrast_controls([gap], 1).verdict == verdict


@pytest.mark.parametrize(("share", "other"), [(0.7, 0.4), (0.55, 0.5), (0.505, 0.5), (0.5, 0.5)])
def test_made_up_hits_read_the_right_words_both_ways(share: float, other: float) -> None:
    draws = np.random.default_rng(0).random(size=(5, 4000))
    a, b = (draws < share).astype(float), (draws < other).astype(float)
    classes = np.arange(4000) % 50
    pair = measure_gap(a, b, classes), measure_gap(b, a, classes)
    words = tuple(contrast_controls([gap], 0.02).verdict for gap in pair)
    apart = share - other > 0.02
    assert words == (("helps", "hurts") if apart else ("equal within the margin",) * 2)


def test_one_control_is_a_plain_test() -> None:
    gap = gap_of(1.5, 0.4, 0.6)
    one = contrast_controls([gap], 1)
    assert (one.decisive, one.low, one.high) == (gap, gap.low, gap.high)
    t = 1.5 / math.sqrt(0.52)
    assert one.p_helps == pytest.approx(stats.t.sf(t, gap.freedom))
    assert one.p_hurts == pytest.approx(stats.t.cdf(t, gap.freedom))
    outside = (1.5 - 1) / math.sqrt(0.52)
    assert one.p_equal == pytest.approx(stats.t.cdf(outside, gap.freedom))
    assert one.smallest == find_smallest(gap)
    assert one.need == find_need(gap, 1)


def test_of_several_controls_the_hardest_counts() -> None:
    near, far, wide = gap_of(2, of_seeds=0.2), gap_of(9, of_seeds=0.2), gap_of(8, of_seeds=4)
    assert contrast_controls([far, near], 1).verdict == "helps"
    assert contrast_controls([far, near], 1).low == near.low
    assert contrast_controls([far, near], 1).decisive is near
    worst = contrast_controls([far, near, wide], 1)
    assert worst.verdict == "not decidable"
    assert (worst.low, worst.high, worst.p_helps) == (wide.low, far.high, wide.p_above(0))
    assert (worst.smallest, worst.need) == (find_smallest(wide), find_need(wide, 1))


def test_the_named_control_decides_unless_it_is_beaten() -> None:
    near, lower = gap_of(0.1, of_seeds=0.2), gap_of(-9, of_seeds=0.2)
    assert contrast_controls([near, lower], 1).decisive is near
    beaten = gap_of(9, of_seeds=0.2)
    assert contrast_controls([beaten, near, lower], 1).decisive is lower
    one_seed = replace(lower, of_seeds=math.nan)
    assert contrast_controls([one_seed, beaten], 1).decisive is one_seed


def test_equal_needs_every_lower_limit_and_the_upper_one_of_the_named_control() -> None:
    same, far = gap_of(0, of_seeds=0.2), gap_of(9, of_seeds=0.2)
    worse = gap_of(-9, of_seeds=0.2)
    assert contrast_controls([same, far], 1).verdict == "equal within the margin"
    assert contrast_controls([far, same], 1).verdict == "not decidable"
    assert contrast_controls([same, worse], 1).verdict == "not decidable"
    assert contrast_controls([worse, same], 1).verdict == "hurts"
    inverse = contrast_controls([same, worse], 1)
    assert inverse.p_equal == pytest.approx(worse.p_above(-1))


def test_one_control_without_an_interval_leaves_the_whole_untested() -> None:
    single = gap_of(0, math.nan, math.nan, math.nan, seeds=1)
    for gaps in ([gap_of(5), single], [single, gap_of(5)]):
        assert contrast_controls(gaps, 1).verdict == "one seed, not tested"


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="found 0 gaps and the margin 1"):
        contrast_controls([], 1)
    with pytest.raises(ValueError, match="found 1 gaps and the margin 0"):
        contrast_controls([gap_of(1)], 0)


def test_holm_steps_down() -> None:
    # By hand: .01 * 4, .02 * 3, .03 * 2 raised to .06, .9 * 1.
    assert adjust_holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert adjust_holm([0.4, 0.4, 0.6]) == pytest.approx([1, 1, 1])
    assert adjust_holm([0.02]) == [0.02]
    assert adjust_holm([]) == []
    with_none = adjust_holm([math.nan, 0.01])
    assert math.isnan(with_none[0])
    assert with_none[1] == pytest.approx(0.02)


def test_holm_rejects_by_its_definition() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        p = random.random(5) ** 3
        rejected = set()
        for step, place in enumerate(np.argsort(p)):
            if p[place] >= 0.05 / (5 - step):
                break
            rejected.add(int(place))
        assert {k for k, one in enumerate(adjust_holm(p.tolist())) if one < 0.05} == rejected


def test_correction_takes_back_what_one_of_many_questions_may_find_by_chance() -> None:
    weak, strong, none = (contrast_controls([gap_of(mean)], 1) for mean in (3, 20, 0.1))
    assert (weak.verdict, strong.verdict, none.verdict) == ("helps", "helps", "not decidable")
    corrected = correct_holm([weak, strong, none, none])
    words = [one.verdict for one in corrected]
    assert words == ["not decidable", "helps", "not decidable", "not decidable"]
    assert corrected[0].low == weak.low
    assert corrected[0].smallest == find_smallest(weak.decisive, 4) > weak.smallest
    assert corrected[0].need == find_need(weak.decisive, 1, 4)
    assert corrected[0].p_helps == pytest.approx(3 * weak.p_helps)
    assert corrected[1].p_helps == pytest.approx(4 * strong.p_helps)
    assert corrected[3].p_hurts == min(1, 4 * none.p_hurts)
    assert corrected[2].p_equal == corrected[3].p_equal


def test_equal_evidence_gets_equal_verdicts_after_correction() -> None:
    one: Contrast = contrast_controls([gap_of(3.6)], 1)
    assert len({x.verdict for x in correct_holm([one, one, one])}) == 1


def draw_gaps(
    random: np.random.Generator, means: tuple[float, ...], seeds: int, classes: int
) -> list[Gap]:
    """Draw the gaps of a setting from controls, whose errors share those of the setting."""
    shape = (1 + len(means), seeds, classes)
    values = (
        random.normal(size=(shape[0], 1, classes))
        + random.normal(size=(shape[0], seeds, 1)) / math.sqrt(classes / seeds)
        + random.normal(size=shape)
    )
    places = np.arange(classes)
    return [measure_gap(values[0] + mean, values[1 + k], places) for k, mean in enumerate(means)]


@pytest.mark.parametrize(
    ("gains", "margin", "wrong"),
    [
        ((0, 9, 9), 0.01, "helps"),  # the best of the controls is as good
        ((9, 0, 0), 0.01, "helps"),  # two are, and the one that was named is not
        ((0, 0, 9), 0.01, "hurts"),
        ((2, 9, 9), 2, "equal within the margin"),  # better by as much as the margin
        ((0, 9, -2), 2, "equal within the margin"),
    ],
)
@pytest.mark.parametrize(("seeds", "classes"), [(3, 30), (5, 8)])
def test_a_verdict_against_several_controls_is_seldom_wrong(
    gains: tuple[float, ...], margin: float, wrong: str, seeds: int, classes: int
) -> None:
    random, draws = np.random.default_rng(0), 150
    errors = 0
    for _ in range(draws):
        gaps = draw_gaps(random, gains, seeds, classes)
        errors += contrast_controls(gaps, margin).verdict == wrong
    # One draw in ten thousand of a true share of 5 % is above this.
    assert errors <= stats.binom.ppf(1 - 1e-4, draws, 0.05)


def p_helps_of_draws(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the p of "helps" of many draws, as `contrast_controls` would.

    Args:
        values: Mean values by class of a setting and its controls, (draws, G, S, C).
        shares: Of the queries in each class, (C,).
    """
    means = values @ shares
    p = np.zeros(len(values))
    for control in range(1, values.shape[1]):
        tables = values[:, 0] - values[:, control]
        alone = (tables @ shares).var(axis=1, ddof=1).tolist()
        pools = [pool_seeds(*one) for one in zip(means, alone, strict=True)]
        spread, freedom = np.array(pools).T
        parts = split_variance(tables, shares, spread)
        blended = blend_freedom(parts, count_classes(shares) - 1, freedom)
        gains = (tables @ shares).mean(axis=1)
        p = np.maximum(p, stats.t.sf(gains / np.sqrt(parts.sum(axis=0)), blended))
    return p


def draw_values(
    gains: Sequence[float], seeds: int, sizes: np.ndarray, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the values of a setting and of controls that it gains this much over, and shares."""
    random, shares = np.random.default_rng(0), sizes / sizes.sum()
    count, classes = 1 + len(gains), len(sizes)
    unit = math.sqrt((shares**2).sum())  # of the mean over classes
    values = (
        random.normal(size=(draws, count, 1, classes))
        + math.sqrt(seeds) * unit * random.normal(size=(draws, count, seeds, 1))
        + random.normal(size=(draws, count, seeds, classes))
    )
    values[:, 1:] -= unit * np.array(gains)[:, None, None]
    return values, shares


EQUAL_TO_ONE = [(0, 9, 9), (0, 3, 3), (0, 0, 9), (0, 1, 1)]
MANY = np.random.default_rng(40).integers(2, 21, 40)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sizes", [np.full(8, 10), MANY], ids=["few", "many"])
@pytest.mark.parametrize("gains", EQUAL_TO_ONE)
def test_a_setting_that_equals_one_control_and_beats_the_others_seldom_helps(
    seeds: int, sizes: np.ndarray, gains: Sequence[float]
) -> None:
    values, shares = draw_values(gains, seeds, sizes, 4000)
    assert (p_helps_of_draws(values, shares) < ALPHA).mean() <= 0.05


def test_draws_are_judged_as_contrasts_are() -> None:
    values, shares = draw_values((1, 2, 4), 5, MANY, 20)
    queries = np.repeat(np.arange(len(MANY)), MANY)
    for table, p in zip(values, p_helps_of_draws(values, shares), strict=True):
        settings = table @ shares
        first, *controls = table[:, :, queries]
        gaps = [measure_gap(first, control, queries, settings) for control in controls]
        assert contrast_controls(gaps, 1).p_helps == pytest.approx(p)
