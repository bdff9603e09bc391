"""Intervals: they cover the truth as often as they say, and one seed proves nothing."""

import math

import numpy as np
import pytest

from geomix.report.difference import Difference, compare_seeds, paired_difference


def draw(
    random: np.random.Generator, seeds: int, of_classes: float, of_seeds: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw two geometries that differ by 0.1, with effects of classes and seeds, and noise."""
    classes = np.repeat(np.arange(40), random.integers(2, 9, 40))
    gaps = (
        0.1
        + of_classes * random.normal(size=40)[classes]
        + of_seeds * random.normal(size=(seeds, 1))
    )
    b = random.normal(size=(seeds, len(classes)))
    return b + gaps + 0.1 * random.normal(size=b.shape), b, classes


@pytest.mark.parametrize(
    ("seeds", "of_classes", "of_seeds"),
    [(3, 0.1, 0.0), (3, 0.02, 0.1), (2, 0.02, 0.1), (5, 0.1, 0.03)],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    seeds: int, of_classes: float, of_seeds: float
) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = paired_difference(*draw(random, seeds, of_classes, of_seeds))
        covered += found.low <= 0.1 <= found.high
    assert covered / 400 >= 0.92  # a share of 400 with mean .95 is above it with probability .996


def test_the_interval_is_no_wider_than_it_must_be() -> None:
    random = np.random.default_rng(1)
    found = paired_difference(*draw(random, 5, 0.1, 0.0))
    assert found.high - found.low < 1.5 * 2 * 1.96 * 0.1 / math.sqrt(40)


def test_the_mean_is_that_of_all_queries_and_seeds() -> None:
    a, b, classes = draw(np.random.default_rng(2), 3, 0.1, 0.1)
    a[:, 5] = np.nan  # a query without a value
    found = paired_difference(a, b, classes)
    assert found.mean == pytest.approx(np.nanmean(a - b))
    assert found.per_seed == pytest.approx(np.nanmean(a - b, axis=1).tolist())


def test_with_seeds_alone_it_is_students_interval_of_their_gaps() -> None:
    gaps = np.array([0.1, 0.4, 0.25])
    a = np.zeros((3, 8)) + gaps[:, None]
    found = paired_difference(a, np.zeros((3, 8)), np.arange(8) // 2)
    reach = 4.302653 * gaps.std(ddof=1) / math.sqrt(3)  # t(.975, 2), any table
    assert (found.low, found.high) == pytest.approx((0.25 - reach, 0.25 + reach), rel=1e-6)


def test_equal_geometries_differ_by_nothing() -> None:
    a, _, classes = draw(np.random.default_rng(3), 2, 0.1, 0.1)
    found = paired_difference(a, a, classes)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "no difference found"


def test_swapping_the_two_turns_the_sign() -> None:
    a, b, classes = draw(np.random.default_rng(4), 2, 0.1, 0.1)
    there, back = paired_difference(a, b, classes), paired_difference(b, a, classes)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_one_seed_has_no_interval() -> None:
    a, b, classes = draw(np.random.default_rng(5), 1, 0.1, 0.1)
    found = paired_difference(a, b, classes)
    assert found.mean == pytest.approx(float((a - b).mean()))
    assert math.isnan(found.low)
    assert found.verdict == "one seed, not tested"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.02, "higher"), (-0.02, -0.01, "lower"), (-0.01, 0.02, "no difference found")],
)
def test_verdicts(low: float, high: float, verdict: str) -> None:
    assert Difference((low + high) / 2, low, high, (low, high)).verdict == verdict


def test_queries_of_one_class_have_a_mean_and_no_interval() -> None:
    a, b, _ = draw(np.random.default_rng(6), 2, 0.1, 0.1)
    a[0, 5] = np.nan
    found = compare_seeds(a, b)
    assert found.per_seed == pytest.approx(np.delete(a - b, 5, axis=1).mean(1).tolist())
    assert found.mean == pytest.approx(np.mean(found.per_seed))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.verdict == "one class, not tested"
    assert compare_seeds(a[:1], b[:1]).verdict == "one seed, not tested"
    none = compare_seeds(np.full_like(a, np.nan), b)
    assert none.verdict == "no score, not tested"
    assert len(none.per_seed) == 2


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(2, 4\), \(2, 4\) and 3 classes"):
        paired_difference(np.zeros((2, 4)), np.zeros((2, 4)), np.zeros(3))
