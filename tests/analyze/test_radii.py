"""Radii: their histogram, the ambiguity of images, and correlations with intervals over classes."""

import numpy as np
import pytest
from scipy import stats

from geomix.analyze.radii import correlate_ranks, count_radii, measure_ambiguity, weigh_ranks


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_every_radius_is_counted_once() -> None:
    counts = count_radii(np.array([0, 0.01, 1, 2, 2.0]), 2.0)
    assert len(counts) == 40
    assert counts[[0, 20, 39]].tolist() == [2, 1, 2]
    assert counts.sum() == 5


def ambiguity_by_definition(
    features: np.ndarray, labels: np.ndarray, row: int, neighbours: int
) -> float:
    cosines = [
        (float(one @ features[row] / np.linalg.norm(one) / np.linalg.norm(features[row])), at)
        for at, one in enumerate(features)
        if at != row
    ]
    nearest = [at for _, at in sorted(cosines, reverse=True)[:neighbours]]
    return float(np.mean([labels[at] != labels[row] for at in nearest]))


def test_ambiguity_is_the_share_of_other_classes_among_neighbours() -> None:
    features = draw().normal(size=(40, 3))
    labels = np.arange(40) % 4
    rows = np.arange(1, 40, 3)
    found = measure_ambiguity(features, labels, rows, neighbours=7)
    expected = [ambiguity_by_definition(features, labels, int(row), 7) for row in rows]
    assert found.tolist() == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_ambiguity_does_not_see_radii() -> None:
    random = draw()
    features, labels = random.normal(size=(40, 3)), np.arange(40) % 4
    scaled = features * random.uniform(0.1, 9, (40, 1))
    rows = np.arange(40)
    expected = measure_ambiguity(features, labels, rows)
    np.testing.assert_array_equal(measure_ambiguity(scaled, labels, rows), expected)


def test_classes_apart_have_no_ambiguity() -> None:
    features = np.kron(np.eye(3), np.ones((12, 1))) + 0.01 * draw().normal(size=(36, 3))
    labels = np.repeat([0, 1, 2], 12)
    assert not measure_ambiguity(features, labels, np.arange(36)).any()
    assert measure_ambiguity(features, np.arange(36), np.arange(36)).all()


def test_correlation_is_spearmans_with_each_sample_as_often_as_it_is_drawn() -> None:
    random = draw()
    a, b = random.normal(size=30), random.integers(0, 4, 30)
    weights = random.integers(0, 3, (5, 30))
    found = weigh_ranks(a, b, weights)
    for row, one in zip(weights, found, strict=True):
        repeated = stats.spearmanr(np.repeat(a, row), np.repeat(b, row)).statistic
        assert one == pytest.approx(repeated)


def test_seeds_are_averaged_and_kept() -> None:
    radii = draw().normal(size=(2, 60))
    values = np.stack([radii[0], -radii[1]])
    found = correlate_ranks(radii, values, np.arange(60) // 3, draw())
    assert found.per_seed == pytest.approx((1, -1))
    assert found.mean == pytest.approx(0)


def test_samples_of_a_cluster_are_not_independent() -> None:
    random = draw()
    radii = random.normal(size=20)
    values = radii + random.normal(size=20)
    apart = correlate_ranks(radii[None], values[None], np.arange(20), draw())
    a, b = (np.repeat(side, 12)[None] for side in (radii, values))
    together = correlate_ranks(a, b, np.repeat(np.arange(20), 12), draw())
    blind = correlate_ranks(a, b, np.arange(240), draw())
    assert together.mean == pytest.approx(apart.mean)
    assert together.high - together.low == pytest.approx(apart.high - apart.low)
    assert blind.high - blind.low < 0.5 * (together.high - together.low)


def test_the_interval_holds_the_truth_at_its_rate() -> None:
    random, held = draw(), 0
    for _ in range(60):
        shared = random.normal(size=(2, 40))
        a, b = (np.repeat(one, 3) + 0.5 * random.normal(size=120) for one in shared)
        found = correlate_ranks(a[None], b[None], np.repeat(np.arange(40), 3), random)
        held += found.low <= 0 <= found.high
    assert 50 <= held < 60


def test_equal_radii_have_no_correlation() -> None:
    values = draw().normal(size=(2, 9))
    found = correlate_ranks(np.full((2, 9), 2.3), values, np.arange(9), draw())
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(1, 4\), \(1, 4\) and 3 clusters"):
        correlate_ranks(np.ones((1, 4)), np.ones((1, 4)), np.arange(3), draw())
