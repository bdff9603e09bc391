"""Variances of paired differences: unbiased, and their intervals cover the truth."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from geomix.report.gap import (
    ALPHA,
    Gap,
    average_gaps,
    blend_freedom,
    count_classes,
    measure_gap,
    pool_seeds,
    split_variance,
)

TRUTH = 0.3


@dataclass(frozen=True)
class World:
    """Standard deviations of the effects, where seeds are in units of what classes do to a mean."""

    of_classes: float
    of_seeds: float
    of_both: float
    of_queries: float

    def draw(
        self, random: np.random.Generator, draws: int, seeds: int, sizes: np.ndarray
    ) -> np.ndarray:
        """Draw tables of mean gaps, (draws, S, C), around the truth."""
        shares, classes = sizes / sizes.sum(), len(sizes)
        of_seeds = self.of_seeds * math.sqrt(seeds * (shares**2).sum())
        within = np.sqrt(self.of_both**2 + self.of_queries**2 / sizes)
        return (
            TRUTH
            + self.of_classes * random.normal(size=(draws, 1, classes))
            + of_seeds * random.normal(size=(draws, seeds, 1))
            + within * random.normal(size=(draws, seeds, classes))
        )


WORLDS = [
    World(of_classes, of_seeds, *rest)
    for of_classes, of_seeds, rest in itertools.product(
        (0, 1), (0, 0.5, 1, 3), ((0, 0), (0, 1), (0.5, 1))
    )
][1:]
SIZES = {
    "8 equal": np.full(8, 10),
    "8 unequal": np.random.default_rng(8).integers(2, 21, 8),
    "60 equal": np.full(60, 10),
    "60 unequal": np.random.default_rng(60).integers(2, 21, 60),
}


DRAWS = 4000


def count_draws(sizes: np.ndarray) -> int:
    """Return how many tables are drawn: of few classes more, as they are cheap."""
    return max(DRAWS, 160_000 // len(sizes))


def cover(
    world: World,
    seeds: int,
    sizes: np.ndarray,
    random: np.random.Generator,
    blend: Callable[..., np.ndarray] = blend_freedom,
) -> float:
    """Return the share of intervals that hold the truth."""
    tables, shares = world.draw(random, count_draws(sizes), seeds, sizes), sizes / sizes.sum()
    parts = split_variance(tables, shares)
    freedom = blend(parts, count_classes(shares) - 1, seeds - 1)
    return share_covered((tables @ shares).mean(axis=1) - TRUTH, parts, freedom)


def share_covered(misses: np.ndarray, parts: np.ndarray, freedom: np.ndarray) -> float:
    """Return the share of intervals that are longer than the mean is off."""
    reach = stats.t.ppf(1 - ALPHA, freedom) * np.sqrt(parts.sum(axis=0))
    return float((np.abs(misses) <= reach + 1e-12).mean())


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_interval_covers_the_truth_whatever_varies(seeds: int, sizes: str) -> None:
    random = np.random.default_rng(0)
    found = {world: cover(world, seeds, SIZES[sizes], random) for world in WORLDS}
    assert min(found.values()) >= 0.93
    both = [share for world, share in found.items() if world.of_classes and world.of_seeds]
    assert max(both) <= 0.98


def satterthwaite(parts: np.ndarray, class_freedom: float, seed_freedom: float) -> np.ndarray:
    """Return his degrees of freedom of the sum of two variances."""
    of_classes, of_seeds = parts[0], parts[1] + parts[2]
    squares = of_classes**2 / class_freedom + of_seeds**2 / seed_freedom
    return (of_classes + of_seeds) ** 2 / squares


@pytest.mark.parametrize("sizes", SIZES)
def test_three_seeds_that_vary_most_are_covered_by_these_degrees_of_freedom_alone(
    sizes: str,
) -> None:
    world = World(1, 3, 0, 0)
    covered, short = (
        cover(world, 3, SIZES[sizes], np.random.default_rng(0), blend)
        for blend in (blend_freedom, satterthwaite)
    )
    assert covered >= 0.94
    assert short <= 0.932


def cover_pooled(
    world: World, fold: float, seeds: int, sizes: np.ndarray, random: np.random.Generator
) -> float:
    """Return the share of intervals with pooled seeds that hold the truth.

    Args:
        world: Of each gap between two settings; half of its variance is that of a setting.
        fold: How many times as much as the six others the two compared vary over seeds.
        seeds: Of all settings.
        sizes: Queries in each class.
        random: Where draws come from.
    """
    shares = sizes / sizes.sum()
    unit = math.sqrt(seeds * (shares**2).sum() / 2) * world.of_seeds
    shared = 3 * random.normal(size=(DRAWS, 1, seeds, 1))  # which cancels in a gap
    effects = fold * unit * random.normal(size=(DRAWS, 2, seeds, 1))
    of_classes = random.normal(size=(DRAWS, 2, 1, len(sizes))) * world.of_classes
    rest = random.normal(size=(DRAWS, 2, seeds, len(sizes))) * world.of_both
    compared = shared + effects + (of_classes + rest) / math.sqrt(2)
    noise = world.of_both * math.sqrt((shares**2).sum() / 2)
    others = math.hypot(unit, noise) * random.normal(size=(DRAWS, 6, seeds)) + shared[..., 0]
    settings = np.concatenate([compared @ shares, others], axis=1)  # (draws, G, S)
    tables = compared[:, 0] - compared[:, 1]
    alone = (tables @ shares).var(axis=1, ddof=1)
    pools = [pool_seeds(*one) for one in zip(settings, alone.tolist(), strict=True)]
    spread, freedom = np.array(pools).T
    parts = split_variance(tables, shares, spread)
    blended = blend_freedom(parts, count_classes(shares) - 1, freedom)
    return share_covered((tables @ shares).mean(axis=1), parts, blended)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sizes", ["8 unequal", "60 unequal"])
@pytest.mark.parametrize("fold", [1, 2])
def test_the_interval_with_pooled_seeds_covers_the_truth_too(
    seeds: int, sizes: str, fold: float
) -> None:
    random = np.random.default_rng(0)
    worlds = [World(0, 1, 0.1, 0), World(1, 0.5, 0.5, 0), World(1, 1, 0, 0), World(1, 3, 0.5, 0)]
    found = {world: cover_pooled(world, fold, seeds, SIZES[sizes], random) for world in worlds}
    assert min(found.values()) >= 0.93
    assert max(share for world, share in found.items() if world.of_classes) <= 0.98


def by_definition(table: np.ndarray) -> dict[str, float]:
    """Return the mean squares of a two-way table with one value a cell, value by value."""
    seeds, classes = table.shape
    grand = table.mean()
    of_classes = sum((table[:, c].mean() - grand) ** 2 for c in range(classes))
    of_seeds = sum((table[s].mean() - grand) ** 2 for s in range(seeds))
    of_both = sum(
        (table[s, c] - table[s].mean() - table[:, c].mean() + grand) ** 2
        for s in range(seeds)
        for c in range(classes)
    )
    return {
        "class": seeds * of_classes / (classes - 1),
        "seed": classes * of_seeds / (seeds - 1),
        "both": of_both / ((seeds - 1) * (classes - 1)),
    }


@pytest.mark.parametrize(
    ("world", "kept"),
    [
        (World(1, 1, 0.5, 0), "sum"),
        (World(0, 1, 3, 0), "seed"),
        (World(1, 0, 3, 0), "class"),
    ],
)
def test_with_equal_classes_the_parts_are_those_of_the_mean_squares(
    world: World, kept: str
) -> None:
    random = np.random.default_rng(0)
    tables = world.draw(random, 200, 4, np.full(6, 5))
    seen = 0
    for table in tables:
        terms = {name: square / 24 for name, square in by_definition(table).items()}
        total = terms["class"] + terms["seed"] - terms["both"]
        expected = max(total, terms["class"], terms["seed"])
        parts = split_variance(table, np.full(6, 1 / 6))
        assert parts.sum() == pytest.approx(expected)
        assert parts[0] == pytest.approx(max(terms["class"] - terms["both"], 0))
        assert parts[1] == pytest.approx(max(terms["seed"] - terms["both"], 0))
        assert parts[2] == pytest.approx(expected - parts[0] - parts[1])
        seen += expected == {**terms, "sum": total}[kept]
    assert seen > 20


def test_the_variance_of_unequal_classes_is_estimated_without_bias() -> None:
    sizes = np.array([1, 1, 2, 3, 5, 9, 20])
    shares, random = sizes / sizes.sum(), np.random.default_rng(0)
    tables = World(1, 1, 0.5, 0).draw(random, 40_000, 3, sizes)
    q = (shares**2).sum()
    parts = split_variance(tables, shares).mean(axis=1)
    # The interaction has the variance .25 in a cell; the floor at 0 raises the parts a little.
    assert parts == pytest.approx([q, q, 0.25 * q / 3], rel=0.03)
    means = (tables @ shares).mean(axis=1)
    assert parts.sum() == pytest.approx(means.var(), rel=0.03)


def test_a_class_divided_by_its_queries_counts_as_classes_of_its_share() -> None:
    assert count_classes(np.full(7, 1 / 7)) == pytest.approx(7)
    assert count_classes(np.array([0.5, 0.25, 0.25])) == pytest.approx(1 / 0.375)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((3.0, 0.0, 0.0), 9.0),
        ((0.0, 1.0, 2.0), 2.0),
        ((1.0, 0.5, 0.5), 1 / (0.5 / 9 + 0.5 / 2)),
        ((0.0, 0.0, 0.0), 2.0),
    ],
)
def test_degrees_of_freedom_are_a_weighted_harmonic_mean(
    parts: tuple[float, ...], expected: float
) -> None:
    assert blend_freedom(np.array(parts), 9, 2) == pytest.approx(expected)


def draw_queries(seeds: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the values of two settings for unequal classes in mixed order."""
    random = np.random.default_rng(5)
    classes = random.permutation(np.repeat([7, 3, 4, 9, 1], [2, 5, 3, 8, 4]))
    a, b = random.normal(size=(2, seeds, len(classes)))
    return a + 0.2 * classes / 9, b, classes


def test_the_mean_is_that_of_all_queries_and_the_table_that_of_the_classes() -> None:
    a, b, classes = draw_queries()
    b[:, 4] = np.nan  # a query without a value
    b[1, 6] = np.nan  # one without a value in one seed
    found = measure_gap(a, b, classes)
    kept = [place for place in range(len(classes)) if place not in (4, 6)]
    gaps, classes = (a - b)[:, kept], classes[kept]
    assert found.mean == pytest.approx(gaps.mean())
    assert found.per_seed == pytest.approx(gaps.mean(axis=1).tolist())
    names = sorted(set(classes.tolist()))
    table = np.array([[row[classes == name].mean() for name in names] for row in gaps])
    shares = np.array([(classes == name).mean() for name in names])
    parts = split_variance(table, shares)
    assert (found.of_classes, found.of_seeds, found.of_both) == pytest.approx(tuple(parts))
    assert found.class_freedom == pytest.approx(1 / sum(share**2 for share in shares) - 1)
    assert (found.seed_freedom, found.classes, found.seeds) == (2, 5, 3)


def test_with_seeds_alone_it_is_students_interval_of_their_gaps() -> None:
    gaps = np.array([0.1, 0.4, 0.25])
    a = np.zeros((3, 8)) + gaps[:, None]
    found = measure_gap(a, np.zeros((3, 8)), np.arange(8) // 2)
    reach = 4.302653 * gaps.std(ddof=1) / math.sqrt(3)  # t(.975, 2), any table
    assert (found.low, found.high) == pytest.approx((0.25 - reach, 0.25 + reach), abs=1e-6)


def test_with_classes_alone_it_is_students_interval_of_theirs() -> None:
    of_classes = np.array([0.1, 0.5, 0.2, 0.4])
    a = np.repeat(of_classes, 3) + np.zeros((2, 12))
    found = measure_gap(a, np.zeros((2, 12)), np.arange(12) // 3)
    reach = 3.182446 * of_classes.std(ddof=1) / 2  # t(.975, 3), any table
    assert (found.low, found.high) == pytest.approx((0.3 - reach, 0.3 + reach), abs=1e-6)


def test_swapping_the_two_turns_the_sign_and_order_does_not_matter() -> None:
    a, b, classes = draw_queries()
    there, back = measure_gap(a, b, classes), measure_gap(b, a, classes)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert back.p_below(0.1) == pytest.approx(there.p_above(-0.1))
    order = np.random.default_rng(0).permutation(len(classes))
    mixed = measure_gap(a[::-1, order], b[::-1, order], classes[order])
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((there.mean, there.low, there.high))


def test_p_values_agree_with_the_ends_of_the_interval() -> None:
    found = measure_gap(*draw_queries())
    assert found.p_above(found.low) == pytest.approx(0.025)
    assert found.p_below(found.high) == pytest.approx(0.025)
    assert found.p_above(found.mean) == pytest.approx(0.5)
    assert found.p_above(0) + found.p_below(0) == pytest.approx(1)


def test_equal_settings_differ_by_nothing() -> None:
    a, _, classes = draw_queries()
    found = measure_gap(a, a, classes)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert (found.p_above(0), found.p_below(0), found.p_above(-0.1)) == (1, 1, 0)


def test_one_seed_has_no_interval() -> None:
    a, b, classes = draw_queries(1)
    found = measure_gap(a, b, classes, np.stack([a.mean(axis=1), b.mean(axis=1)]))
    assert found.mean == pytest.approx((a - b).mean())
    assert all(math.isnan(x) for x in (found.error, found.freedom, found.low, found.p_above(0)))


def test_the_pooled_variance_of_two_settings_is_that_of_their_gap() -> None:
    settings = np.random.default_rng(1).normal(size=(2, 4))
    spread = (settings[0] - settings[1]).var(ddof=1)
    assert pool_seeds(settings, spread) == pytest.approx((spread, 3))


def test_pooling_estimates_the_variance_of_a_gap_without_bias() -> None:
    random = np.random.default_rng(2)
    shared = 5 * random.normal(size=(2000, 1, 8))  # of the seeds, which cancels in a gap
    tables = shared + 0.5 * random.normal(size=(2000, 4, 8))
    found = [pool for pool in (pool_seeds(table, 0) for table in tables) if pool[0]]
    assert len(found) > 1900  # few are apart by chance
    assert np.mean([spread for spread, _ in found]) == pytest.approx(2 * 0.25, rel=0.02)
    assert {freedom for _, freedom in found} == {21}


def test_settings_of_very_different_spread_are_not_pooled() -> None:
    steady = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1], [-1, 1, 0, 0], [0, 0, -1, 1]])
    assert pool_seeds(steady, 0.5) == pytest.approx((2 * 8 / 9, 9))
    apart = np.array([[1.0, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])
    apart[:2] *= 2.9
    assert pool_seeds(apart, 0.5)[1] == 9
    apart[:2] *= 3.1 / 2.9
    assert pool_seeds(apart, 0.5) == (0.5, 3)


def test_a_gap_that_varies_more_than_settings_do_is_not_pooled() -> None:
    settings = np.array([[1.0, 0, -1], [-1, 1, 0], [0, -1, 1]])
    bound = 3 * 2.0  # F(.75) of 2 and 4 degrees of freedom is 2, any table
    assert pool_seeds(settings, 0.99 * bound) == pytest.approx((3, 4))
    assert pool_seeds(settings, 1.01 * bound) == pytest.approx((1.01 * bound, 2))


def test_a_pooled_variance_takes_the_place_of_one_that_is_small_by_luck() -> None:
    a, b = np.zeros((3, 8)) + 4.9, np.zeros((3, 8))  # the same gap in every seed
    settings = np.array([[1.0, 0, -1], [1, -1, 0], [0, 1, -1]])
    spread, freedom = pool_seeds(settings, 0)
    found = measure_gap(a, b, np.arange(8) // 2, settings)
    assert found.error == pytest.approx(math.sqrt(spread / 3))
    assert found.freedom == pytest.approx(freedom)
    assert measure_gap(a, b, np.arange(8) // 2).error == 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    two = np.zeros((2, 4))
    with pytest.raises(ValueError, match=r"found \(2, 4\), \(2, 4\) and 3 classes"):
        measure_gap(two, two, np.zeros(3))
    with pytest.raises(ValueError, match="found 1 classes with values, expected 2"):
        measure_gap(two, two, np.zeros(4))
    with pytest.raises(ValueError, match="found settings of 3 seeds, expected 2"):
        measure_gap(two, two, np.arange(4), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"found \(1, 3\), expected \(G, S\)"):
        pool_seeds(np.zeros((1, 3)), 0)


def test_a_gap_knows_its_error() -> None:
    gap = Gap(0.1, (0.0, 0.2), 0.09, 0.04, 0.03, 7, 1, 8)
    assert gap.error == pytest.approx(0.4)
    assert gap.freedom == pytest.approx(1 / (0.09 / 0.16 / 7 + 0.07 / 0.16 / 1))


def test_gaps_of_two_kinds_average_with_variances_of_classes_that_add() -> None:
    first = Gap(2.0, (1.0, 3.0), 0.04, 0.09, 0.01, 10, 4, 12)
    second = Gap(-1.0, (0.0, -2.0), 0.12, 0.25, 0.03, 20, 7, 30)
    both = average_gaps([first, second])
    assert (both.mean, both.per_seed, both.classes) == (0.5, (0.5, 0.5), 42)
    parts = (both.of_classes, both.of_seeds, both.of_both)
    assert parts == pytest.approx((0.04, 0.16, 0.01))
    assert (both.class_freedom, both.seed_freedom) == (pytest.approx(16), 4)
    assert average_gaps([first]) is first
    assert math.isnan(average_gaps([replace(first, of_seeds=math.nan), second]).low)


@pytest.mark.parametrize("together", [True, False])
def test_intervals_of_two_kinds_cover(together: bool) -> None:
    random = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        seeds = random.normal(size=(2, 5))
        seeds[1] = seeds[0] if together else seeds[1]
        gaps = []
        for count, of_seed in zip((12, 25), seeds, strict=True):
            table = random.normal(size=count) + of_seed[:, None] + random.normal(size=(5, count))
            gaps.append(measure_gap(table, np.zeros_like(table), np.arange(count)))
        both = average_gaps(gaps)
        covered.append(both.low <= 0 <= both.high)
    assert np.mean(covered) >= 0.93
