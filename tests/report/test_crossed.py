"""Variances of paired differences: unbiased, and their intervals cover the truth."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from geomix.report.crossed import (
    ALPHA,
    Gap,
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


WORLDS = [World(*sds) for sds in itertools.product((0, 1), (0, 0.5, 1, 3), (0, 0.5), (0, 1))][1:]
SIZES = {
    "8 equal": np.full(8, 10),
    "8 unequal": np.random.default_rng(8).integers(2, 21, 8),
    "100 equal": np.full(100, 10),
    "100 unequal": np.random.default_rng(100).integers(2, 21, 100),
}


def cover(
    world: World, draws: int, seeds: int, sizes: np.ndarray, random: np.random.Generator
) -> float:
    """Return the share of intervals that hold the truth."""
    shares = sizes / sizes.sum()
    tables = world.draw(random, draws, seeds, sizes)
    parts = split_variance(tables, shares)
    freedom = blend_freedom(parts, count_classes(shares) - 1, seeds - 1)
    reach = stats.t.ppf(1 - ALPHA, freedom) * np.sqrt(parts.sum(axis=0))
    misses = np.abs((tables @ shares).mean(axis=1) - TRUTH) > reach + 1e-12
    return 1 - float(misses.mean())


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_interval_covers_the_truth_whatever_varies(seeds: int, sizes: str) -> None:
    random, draws = np.random.default_rng(0), 200
    # One draw in a hundred thousand of a true coverage of 93 or 98 % is beyond these.
    least, most = (
        stats.binom.ppf(p, draws, c) / draws for p, c in [(1e-5, 0.93), (1 - 1e-5, 0.98)]
    )
    found = {world: cover(world, draws, seeds, SIZES[sizes], random) for world in WORLDS}
    assert min(found.values()) >= least
    both = [share for world, share in found.items() if world.of_classes and world.of_seeds]
    sharp = math.sqrt(0.98 * 0.02 / (draws * len(both)))
    assert np.mean(both) <= min(most, 0.98 + 4 * sharp)
    assert np.mean(list(found.values())) >= 0.93


def test_three_seeds_that_vary_most_are_covered_too() -> None:
    world, random = World(1, 3, 0, 0), np.random.default_rng(0)
    covered = cover(world, 20_000, 3, SIZES["100 equal"], random)
    assert covered >= 0.935  # Satterthwaite's weights: 0.922; three standard errors are 0.005


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
    pool = pool_seeds(settings)
    assert pool == pytest.approx(((settings[0] - settings[1]).var(ddof=1), 3))


def test_pooling_estimates_the_variance_of_a_gap_without_bias() -> None:
    random = np.random.default_rng(2)
    shared = 5 * random.normal(size=(2000, 1, 8))  # of the seeds, which cancels in a gap
    pools = [pool_seeds(table) for table in shared + 0.5 * random.normal(size=(2000, 4, 8))]
    found = [pool for pool in pools if pool]
    assert len(found) > 1900  # few are apart by chance
    assert np.mean([spread for spread, _ in found]) == pytest.approx(2 * 0.25, rel=0.02)
    assert {freedom for _, freedom in found} == {21}


def test_settings_of_very_different_spread_are_not_pooled() -> None:
    steady = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1], [-1, 1, 0, 0], [0, 0, -1, 1]])
    assert pool_seeds(steady) == pytest.approx((2 * 8 / 9, 9))
    apart = np.array([[1.0, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])
    apart[:2] *= 2.9
    assert pool_seeds(apart) is not None
    apart[:2] *= 3.1 / 2.9
    assert pool_seeds(apart) is None


def test_a_pooled_variance_takes_the_place_of_one_that_is_small_by_luck() -> None:
    a, b = np.zeros((3, 8)) + 4.9, np.zeros((3, 8))  # the same gap in every seed
    settings = np.array([[1.0, 0, -1], [1, -1, 0], [0, 1, -1]])
    spread, freedom = pool_seeds(settings) or (math.nan, math.nan)
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
        pool_seeds(np.zeros((1, 3)))


def test_a_gap_knows_its_error() -> None:
    gap = Gap(0.1, (0.0, 0.2), 0.09, 0.04, 0.03, 7, 1, 8)
    assert gap.error == pytest.approx(0.4)
    assert gap.freedom == pytest.approx(1 / (0.09 / 0.16 / 7 + 0.07 / 0.16 / 1))
