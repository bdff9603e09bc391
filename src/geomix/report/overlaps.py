"""How far the hardest negatives of two geometries differ, beyond those of two seeds of one.

With J(A s, B t) what the network of geometry A and seed s shares with that of B and t, anchor by
anchor, the gap of a pair of seeds s, t is

    ( J(A s, A t) + J(B s, B t) ) / 2  -  ( J(A s, B t) + J(A t, B s) ) / 2

No comparison is within a seed, as networks of one seed share their start and their batches. The
mean over pairs of seeds is a U-statistic; its jackknife over seeds gives a value for each seed,
n mean - (n - 1) mean without the seed, and anchors are grouped by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.report.gap import Gap, measure_gap


@dataclass(frozen=True)
class Overlap:
    """What two geometries share.

    Attributes:
        first: A geometry.
        second: Another.
        between: Mean share of networks of both, with different seeds.
        within: That of two seeds of one, mean of both geometries; NaN from one seed.
        correlation: Mean rank correlation of networks of both.
        correlation_within: That of two seeds of one.
        viewed: Mean share where both geometries rank the outputs of one network; NaN if not asked.
        viewed_correlation: Their rank correlation.
        gap: within minus between; none from fewer than three seeds.
    """

    first: str
    second: str
    between: float
    within: float
    correlation: float
    correlation_within: float
    viewed: float
    viewed_correlation: float
    gap: Gap | None

    @property
    def verdict(self) -> str:
        """more, less, or no difference found; one without an interval: not tested."""
        if self.gap is None:
            return "not tested"
        return "more" if self.gap.low > 0 else "less" if self.gap.high < 0 else "no difference"


class Overlaps:
    """All comparisons of two rankings, with a value for each anchor."""

    def __init__(self, folder: Path, classes: np.ndarray) -> None:
        """Read what analyze wrote.

        Args:
            folder: With overlap.csv and overlap.npz.
            classes: Of the anchors, (A,).
        """
        self.table = pd.read_csv(folder / "overlap.csv")
        with np.load(folder / "overlap.npz", allow_pickle=False) as arrays:
            self.values = {name: arrays[name].astype(np.float64) for name in arrays}
        self.classes = classes

    def geometries(self, study: str) -> list[str]:
        """List the geometries of a study, in its order."""
        rows = self.table[(self.table["study"] == study) & (self.table["kind"] == "network")]
        return list(dict.fromkeys([*rows["first"], *rows["second"]]))

    def find(self, kind: str, study: str, first: str, second: str) -> pd.DataFrame:
        """Return the rows that compare two geometries, in either order."""
        table = self.table[(self.table["kind"] == kind) & (self.table["study"] == study)]
        ordered = (table["first"] == first) & (table["second"] == second)
        return table[ordered | ((table["first"] == second) & (table["second"] == first))]

    def mean(self, kind: str, study: str, first: str, second: str, value: str) -> float:
        """Return the mean over anchors and pairs of different seeds; of a view, over networks."""
        rows = self.find(kind, study, first, second)
        if kind == "network":
            rows = rows[rows["first_seed"] != rows["second_seed"]]
        return float(rows[value].mean())

    def compare(self, study: str, first: str, second: str) -> Overlap:
        """Compare two geometries of a study."""
        within = {
            value: np.mean(
                [self.mean("network", study, one, one, value) for one in (first, second)]
            )
            for value in ("jaccard", "correlation")
        }
        return Overlap(
            first,
            second,
            between=self.mean("network", study, first, second, "jaccard"),
            within=float(within["jaccard"]),
            correlation=self.mean("network", study, first, second, "correlation"),
            correlation_within=float(within["correlation"]),
            viewed=self.mean("view", study, first, second, "jaccard"),
            viewed_correlation=self.mean("view", study, first, second, "correlation"),
            gap=self._measure(study, first, second),
        )

    def compare_all(self, study: str) -> list[Overlap]:
        """Compare all geometries of a study two by two."""
        pairs = combinations(self.geometries(study), 2)
        return [self.compare(study, first, second) for first, second in pairs]

    def _measure(self, study: str, first: str, second: str) -> Gap | None:
        seeds = sorted(set(self.find("network", study, first, second)["first_seed"]))
        if len(seeds) < 3:
            return None
        gaps = {
            pair: (
                self._share(study, (first, pair[0]), (first, pair[1]))
                + self._share(study, (second, pair[0]), (second, pair[1]))
                - self._share(study, (first, pair[0]), (second, pair[1]))
                - self._share(study, (first, pair[1]), (second, pair[0]))
            )
            / 2
            for pair in combinations(seeds, 2)
        }
        values = jackknife(gaps, seeds)
        return measure_gap(values, np.zeros_like(values), self.classes)

    def _share(self, study: str, one: tuple[str, int], other: tuple[str, int]) -> np.ndarray:
        """Return what two networks share of each anchor's hardest negatives, (A,)."""
        rows = self.find("network", study, one[0], other[0])
        seeds = rows[["first", "first_seed", "second", "second_seed"]].apply(tuple, axis=1)
        at = rows.index[seeds.isin([(*one, *other), (*other, *one)])]
        values: np.ndarray = self.values["jaccard"][at[0]]
        return values


def jackknife(pairs: dict[tuple[int, int], np.ndarray], seeds: Sequence[int]) -> np.ndarray:
    """Return pseudo-values of a mean over pairs of seeds.

    Args:
        pairs: Values (A,) of each pair of seeds.
        seeds: At least three.

    Returns:
        (S, A); their mean over seeds is the mean over pairs.
    """
    whole = np.mean(list(pairs.values()), axis=0)
    without = [
        np.mean([value for pair, value in pairs.items() if seed not in pair], axis=0)
        for seed in seeds
    ]
    count = len(seeds)
    return np.stack([count * whole - (count - 1) * one for one in without])
