"""Gaps between geometries beyond those of seeds: jackknife, made-up comparisons, one seed."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.report.overlaps import Overlaps, jackknife

CLASSES = np.arange(40)


def write_overlaps(folder: Path, seeds: int, apart: float) -> Overlaps:
    """Write comparisons in which two geometries share less than two seeds do, by `apart`."""
    random = np.random.default_rng(0)
    networks = list(product(("a", "b"), range(seeds)))
    rows, values = [], []
    for (one, s), (other, t) in combinations(networks, 2):
        shared = 0.6 - apart * (one != other) + 0.5 * (s == t) + 0.02 * random.normal(size=40)
        rows.append(("network", "tau", one, s, other, t, shared.mean(), 0.5))
        values.append(shared)
    for seed in range(seeds):
        for one, other, share in (("a", "b", 0.2), ("b", "a", 0.4)):
            rows.append(("view", "tau", one, seed, other, seed, share, 0.9))
            values.append(np.full(40, share))
    pair = ["first", "first_seed", "second", "second_seed"]
    names = ["kind", "study", *pair, "jaccard", "correlation"]
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=names).to_csv(folder / "overlap.csv", index=False)
    np.savez(folder / "overlap.npz", jaccard=np.stack(values))
    return Overlaps(folder, CLASSES)


@pytest.mark.parametrize(
    ("apart", "verdict"), [(0.1, "more"), (0.0, "no difference"), (-0.1, "less")]
)
def test_a_gap_is_what_seeds_share_minus_what_geometries_share(
    tmp_path: Path, apart: float, verdict: str
) -> None:
    found = write_overlaps(tmp_path, 3, apart).compare("tau", "a", "b")
    assert found.gap is not None
    assert found.gap.mean == pytest.approx(apart, abs=0.01)
    assert found.gap.mean == pytest.approx(found.within - found.between)
    assert found.verdict == verdict
    assert found.viewed == pytest.approx(0.3)  # both ways round


def test_the_order_of_two_geometries_does_not_matter(tmp_path: Path) -> None:
    overlaps = write_overlaps(tmp_path, 3, 0.1)
    one, other = (overlaps.compare("tau", *pair) for pair in (("a", "b"), ("b", "a")))
    assert one.gap is not None
    assert other.gap is not None
    assert (one.gap.low, one.between) == pytest.approx((other.gap.low, other.between))


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_not_tested(tmp_path: Path, seeds: int) -> None:
    found = write_overlaps(tmp_path, seeds, 0.1).compare("tau", "a", "b")
    assert found.gap is None
    assert found.verdict == "not tested"
    assert np.isnan(found.within) == (seeds == 1)


def test_the_jackknife_is_that_of_the_definition() -> None:
    random = np.random.default_rng(1)
    pairs = {pair: random.normal(size=5) for pair in combinations(range(4), 2)}
    values = jackknife(pairs, range(4))
    mean = np.mean(list(pairs.values()), axis=0)
    np.testing.assert_allclose(values.mean(0), mean)
    without = np.mean([pairs[0, 1], pairs[0, 3], pairs[1, 3]], axis=0)
    np.testing.assert_allclose(values[2], 4 * mean - 3 * without)
