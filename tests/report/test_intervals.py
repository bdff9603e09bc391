"""Intervals: the mean is exact, the interval is that of a slow bootstrap, and one seed proves nothing."""

import numpy as np
import pytest

from geomix.errors import InputError
from geomix.report.intervals import Difference, paired_difference


def bootstrap_by_definition(gaps: np.ndarray, classes: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    names = np.unique(classes)
    means = []
    for _ in range(resamples):
        drawn = random.choice(names, len(names))
        seeds = random.choice(len(gaps), len(gaps))
        values = np.concatenate([gaps[s, classes == name] for s in seeds for name in drawn])
        means.append(np.nanmean(values))
    return float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def sample(effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(60), random.integers(2, 9, 60))
    difficulty = random.normal(0, 0.3, 60)[classes]
    b = (random.random((3, len(classes))) < 0.5 + difficulty).astype(float)
    a = np.clip(b + (random.random(b.shape) < effect), 0, 1)
    return a, b, classes


def test_the_mean_is_that_of_all_queries_and_seeds() -> None:
    a, b, classes = sample(0.3)
    a[:, 5] = np.nan  # a query without a value
    found = paired_difference(a, b, classes, 200)
    assert found.mean == pytest.approx(np.nanmean(a - b))
    assert found.low < found.mean < found.high
    assert found.seeds == 3


def test_the_interval_equals_a_slow_bootstrap() -> None:
    a, b, classes = sample(0.3)
    found = paired_difference(a, b, classes, 4000)
    low, high = bootstrap_by_definition(a - b, classes, 2000, seed=1)
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_equal_geometries_differ_by_nothing() -> None:
    a, _, classes = sample(0.3)
    found = paired_difference(a, a, classes, 200)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "no difference found"


def test_swapping_the_two_turns_the_sign() -> None:
    a, b, classes = sample(0.3)
    there, back = paired_difference(a, b, classes, 500), paired_difference(b, a, classes, 500)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


@pytest.mark.parametrize(
    ("low", "high", "seeds", "verdict"),
    [
        (0.01, 0.02, 2, "higher"),
        (-0.02, -0.01, 3, "lower"),
        (-0.01, 0.02, 3, "no difference found"),
        (0.01, 0.02, 1, "one seed, not tested"),
    ],
)
def test_verdicts(low: float, high: float, seeds: int, verdict: str) -> None:
    assert Difference((low + high) / 2, low, high, seeds).verdict == verdict


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"found \(2, 4\), \(2, 4\) and 3 classes"):
        paired_difference(np.zeros((2, 4)), np.zeros((2, 4)), np.zeros(3), 100)
