"""Systems at what val chose for them, each beside a reference that was tuned alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from geomix.report.contrasts import adjust_holm
from geomix.report.gap import LEVEL, Gap, measure_gap
from geomix.report.results import Results, over_seeds, own, stack_queries
from geomix.report.settled import System

ENSEMBLE = "ensemble: "  # before the name of an ensemble
SEEDS = "seed"  # the pair of a system with itself


@dataclass(frozen=True)
class Compared:
    """A difference from another system, with a p that is corrected for the number of rows.

    Attributes:
        name: Of the other.
        gap: The system minus that one.
        p: Two-sided, of "there is no difference"; NaN from one seed.
    """

    name: str
    gap: Gap
    p: float

    @property
    def verdict(self) -> str:
        """What p allows one to say."""
        if np.isnan(self.p):
            return "one seed, not tested"
        if self.p >= 1 - LEVEL:
            return "not shown"
        return "higher" if self.gap.mean > 0 else "lower"


@dataclass(frozen=True)
class Row:
    """A system at what val chose for it.

    Attributes:
        system: With its labels.
        scores: Mean test row over seeds.
        score: Of these the one that is compared.
        spread: Its standard deviation over seeds; NaN from one.
        published: That score as published, of one seed.
        reference: Beside its reference; none for that itself.
        twin: Beside the same system in the limit of curvature 0, where it has one.
    """

    system: System
    scores: Mapping[str, Any]
    score: float
    spread: float
    published: float
    reference: Compared | None
    twin: Compared | None

    @property
    def name(self) -> str:
        """That of the system."""
        return self.system.system

    @property
    def verdict(self) -> str:
        """Of the difference from its reference."""
        return self.reference.verdict if self.reference else "reference"


@dataclass(frozen=True)
class Fused:
    """Two winners that are fused at search.

    Attributes:
        kind: similarities or features.
        pair: What the members differ in.
        members: Their names.
        weight: Of the second, which val chose.
        score: Mean test score over seeds.
        spread: Its standard deviation over seeds.
        reference: Beside the reference, one network.
        same: Beside two seeds of one system, which take as many networks; none for these.
    """

    kind: str
    pair: str
    members: list[str]
    weight: float
    score: float
    spread: float
    reference: Gap
    same: Gap | None


class Scores:
    """Test scores of the winners, of ensembles too, with labels given or hidden."""

    def __init__(self, results: Results, labels: str, metric: str, classes: np.ndarray) -> None:
        """Collect them.

        Args:
            results: Of all winners.
            labels: Which of them.
            metric: What is compared, a column.
            classes: The class of each test query, (Q,).
        """
        rows = own(results.metrics, "test")
        rows = rows[rows["labels"] == labels].sort_values("seed", kind="stable")
        self.metric, self.classes = metric, classes
        self.means = over_seeds(rows, ["system", "geometry"]).set_index("system", drop=False)
        cells = rows.groupby("system", sort=False)["cell"].agg(list)
        self.values = {
            str(name): stack_queries(results, places, metric).astype(np.float64)
            for name, places in cells.items()
        }
        alone = [one for name, one in self.values.items() if not name.startswith(ENSEMBLE)]
        self.by_seed = np.stack([np.nanmean(one, axis=1) for one in alone])  # (G, S)

    def compare(self, name: str, other: str) -> Gap:
        """Return a system minus another; the variance over seeds is pooled over all systems."""
        pooled = self.by_seed if len(self.by_seed) > 1 else None
        return measure_gap(self.values[name], self.values[other], self.classes, pooled)

    def read(self, name: str) -> tuple[float, float]:
        """Return the mean score over seeds and its standard deviation."""
        row = self.means.loc[name]
        return float(row[self.metric]), float(row[f"{self.metric}_sd"])


def two_sided(gap: Gap) -> float:
    """Return the two-sided p of "there is no difference"; NaN from one seed."""
    sides = gap.p_above(0), gap.p_below(0)
    return float(np.minimum(2 * np.min(sides), 1))  # NaN stays


def compare_winners(
    scores: Scores, systems: Sequence[System], reference: str, published: Mapping[str, float]
) -> list[Row]:
    """Compare the winners of one kind of labels with their references and their flat twins.

    Args:
        scores: Of all winners of these labels.
        systems: Those that were tuned.
        reference: What those are compared with that name no other.
        published: The score as published by name.

    Returns:
        Rows by falling score; their p are not corrected yet. What has the settings of the reference
        is one too.
    """
    names = {one.system: one for one in systems}
    base = names[reference].comparable
    copies = {one.system for one in systems if not one.tuned and one.comparable == base}
    references = {*copies, *(one.reference for one in systems)}

    def beside(name: str, other: str | None) -> Compared | None:
        """Compare with another, if it was tuned."""
        if other is None or other not in names:
            return None
        gap = scores.compare(name, other)
        return Compared(other, gap, two_sided(gap))

    rows = []
    for one in systems:
        name = one.system
        score, spread = scores.read(name)
        other = None if name in references else one.reference or reference
        rows.append(
            Row(
                system=one,
                scores=scores.means.loc[name].to_dict(),
                score=score,
                spread=spread,
                published=published.get(name, float("nan")),
                reference=beside(name, other),
                twin=beside(name, one.twin),
            )
        )
    return sorted(rows, key=lambda row: -row.score)


def correct_rows(rows: Sequence[Row]) -> list[Row]:
    """Correct the p of all rows by Holm: of the references, and of the twins by themselves."""
    by_reference = _correct([row.reference for row in rows])
    by_twin = _correct([row.twin for row in rows])
    return [
        replace(row, reference=reference, twin=twin)
        for row, reference, twin in zip(rows, by_reference, by_twin, strict=True)
    ]


def _correct(family: Sequence[Compared | None]) -> list[Compared | None]:
    """Correct the p of a family; what was not compared stays."""
    adjusted = iter(adjust_holm([one.p for one in family if one]))
    return [replace(one, p=next(adjusted)) if one else None for one in family]


def compare_fused(scores: Scores, metrics: pd.DataFrame, reference: str) -> list[Fused]:
    """Compare the ensembles with the reference, and with two seeds of one system.

    Args:
        scores: Of the winners with labels given.
        metrics: Results of all winners.
        reference: With labels given.
    """
    if "weight" not in metrics:
        return []
    found = []
    for row in metrics[metrics["weight"].notna()].drop_duplicates("system").to_dict("records"):
        name = str(row["system"])
        kind, _, pair = name.removeprefix(ENSEMBLE).partition(", ")
        same = f"{ENSEMBLE}{kind}, {SEEDS}"
        score, spread = scores.read(name)
        found.append(
            Fused(
                kind=kind,
                pair=pair,
                members=str(row["geometry"]).split("+"),
                weight=float(row["weight"]),
                score=score,
                spread=spread,
                reference=scores.compare(name, reference),
                same=scores.compare(name, same) if same in scores.values and name != same else None,
            )
        )
    return found
