"""What p of negatives is by geometry and temperature, and what of it the paper's statement says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.report.gap import Gap, measure_gap
from geomix.report.text import figures, number, percent

MEASURES = ("tau", "effective_negatives", "total", "hardest", "share", "heaviest_share", "pull")
STATED = {
    "hardest": "p of the hardest negative is larger",
    "share": "the hardest negative has more of the weight of its term",
    "pull": "negatives pull more, in all",
}


@dataclass(frozen=True)
class Roles:
    """Which geometries the statements are about.

    Attributes:
        curved: The one said to be different.
        reference: What it is compared with: cosine, or else the first without curvature.
        control: A flat distance, which tells curvature from free radii; none where there is none.
    """

    curved: str
    reference: str
    control: str | None


@dataclass(frozen=True)
class Statement:
    """A statement of the paper, tested.

    Attributes:
        measure: hardest, share or pull.
        where: Under which condition it is tested.
        same_tau: Whether that is one temperature for all.
        values: By geometry, as shown.
        gaps: Of the curved geometry minus each other.
        write: A difference for people.
    """

    measure: str
    where: str
    same_tau: bool
    values: dict[str, str]
    gaps: dict[str, Gap]
    write: Callable[[Gap], str]

    @property
    def text(self) -> str:
        """What is said, and under which condition."""
        return f"{STATED[self.measure]}, {self.where}"

    @property
    def larger(self) -> bool:
        """Whether it holds against the reference."""
        return next(iter(self.gaps.values())).low > 0

    @property
    def verdict(self) -> str:
        """Whether it holds, and whether it holds of curvature."""
        first = next(iter(self.gaps.values()))
        if first.seeds < 2:
            return "one seed, not tested"
        if first.high < 0:
            return "no, it is smaller"
        if first.low <= 0:
            return "not decided"
        short = [name for name, gap in self.gaps.items() if gap.low <= 0]
        return f"yes, but not against {short[0]}" if short else "yes"


class Weights:
    """What analyze measured of p, a row for each network and each way to look at it."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Read what analyze wrote: weights.csv, weights.npz, hardest.npz."""
        table = pd.read_csv(folder / "weights.csv")
        taus = {name: values["tau"] for name, values in facts["chosen"].items()}
        chosen = np.isclose(table["tau"], table["trained"].map(taus))
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            self.values = {name: arrays[name].astype(np.float64) for name in arrays}
        self.values["share"] = divide(self.values["hardest"], self.values["total"])
        self.table = table.assign(chosen=chosen, share=self.values["share"].mean(1))
        with np.load(folder / "hardest.npz", allow_pickle=False) as arrays:
            self.classes = arrays["weighed"]

    def rows(self, condition: str, **of: Any) -> pd.DataFrame:
        """Return the rows of a condition with some values, by seed."""
        table = self.table[self.table["condition"] == condition]
        for name, value in of.items():
            table = table[np.isclose(table[name], value) if name == "tau" else table[name] == value]
        return table.sort_values("seed", kind="stable")

    @property
    def taus(self) -> list[float]:
        """The temperatures that networks were trained with."""
        return sorted(self.rows("trained")["tau"].unique())

    @property
    def geometries(self) -> list[str]:
        """The geometries, in the order of their study."""
        return list(self.table["trained"].unique())

    def average(self, condition: str, **of: Any) -> list[dict[str, Any]]:
        """Average over seeds: a row for each network's geometry, view and temperature."""
        table = self.rows(condition, **of)
        by = ["trained", "viewed", *(["tau"] if condition == "trained" else [])]
        means = table.groupby(by, sort=False)[list({*MEASURES} - {*by})].mean()
        rows: list[dict[str, Any]] = means.reset_index().to_dict("records")
        return rows

    def density(self, name: str, rows: pd.DataFrame) -> np.ndarray:
        """Return the share of pairs in each bin, of some rows together."""
        counts = self.values[name][rows.index].sum(0)
        shares: np.ndarray = counts / counts.sum()
        return shares

    def compare(self, measure: str, rows: pd.DataFrame, others: pd.DataFrame) -> Gap:
        """Compare a measure of each anchor, seed by seed: rows minus others."""
        a, b = (self.values[measure][table.index] for table in (rows, others))
        return measure_gap(a, b, self.classes)

    def state(
        self, where: str, measure: str, roles: Roles, rows: Mapping[str, pd.DataFrame]
    ) -> Statement:
        """Test whether a measure is larger in the curved geometry.

        Args:
            where: Under which condition.
            measure: hardest, share or pull.
            roles: Who is compared.
            rows: By geometry, seed by seed.
        """
        others = [name for name in (roles.reference, roles.control) if name]
        shares = measure != "pull"
        show = percent if shares else figures
        return Statement(
            measure,
            where,
            len({float(one["tau"].iloc[0]) for one in rows.values()}) == 1,
            {name: show(float(rows[name][measure].mean())) for name in (roles.curved, *others)},
            {name: self.compare(measure, rows[roles.curved], rows[name]) for name in others},
            _points if shares else _plain,
        )


def divide(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Return values of anchors whose mean is R, the sum of parts over the sum of wholes.

    They are R + (part - R * whole) / mean whole, so that an interval of their mean is that of R to
    first order (the delta method). A ratio of each anchor would be that of two rounding errors
    where an anchor has hardly any weight.

    Args:
        parts: A row for each network, (N, A).
        wholes: Likewise.
    """
    mean = wholes.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = parts.mean(1, keepdims=True) / mean
        values: np.ndarray = ratio + (parts - ratio * wholes) / mean
    return values


def list_statements(weights: Weights, roles: Roles, effective: float) -> list[Statement]:
    """List the statements of the paper on p(x-), each under the conditions that tell its reason."""
    names = [name for name in (roles.curved, roles.reference, roles.control) if name]
    conditions: dict[str, dict[str, pd.DataFrame]] = {
        f"at tau {number(tau)}": {
            name: weights.rows("trained", trained=name, tau=tau) for name in names
        }
        for tau in weights.taus
    }
    conditions["at the tau that val chose for each"] = {
        name: weights.rows("trained", trained=name, chosen=True) for name in names
    }
    conditions[f"at {number(effective)} effective negatives"] = {
        name: weights.rows("matched", trained=name) for name in names
    }
    statements = []
    for measure in STATED:
        for where, rows in conditions.items():
            if _measured(measure, rows):
                statements.append(weights.state(where, measure, roles, rows))
    return statements


def view_one(weights: Weights, roles: Roles, effective: float) -> list[Statement]:
    """List the statements on one network whose outputs each geometry looks at."""
    statements = []
    names = [name for name in (roles.curved, roles.reference, roles.control) if name]
    for condition, own, where in (
        ("viewed", "trained", "at its tau"),
        ("viewed matched", "matched", f"at {number(effective)} effective negatives"),
    ):
        for trained in weights.geometries:
            rows = {
                name: weights.rows(own, trained=trained, viewed=name, **_chosen(own))
                if name == trained
                else weights.rows(condition, trained=trained, viewed=name)
                for name in names
            }
            if _measured("hardest", rows):
                place = f"on outputs of {trained} {where}"
                statements.append(weights.state(place, "hardest", roles, rows))
    return statements


def _measured(measure: str, rows: Mapping[str, pd.DataFrame]) -> bool:
    """Say whether a measure is known of all: a temperature may not match, a pull have no cosine."""
    return all(len(one) and one[measure].notna().all() for one in rows.values())


def _chosen(condition: str) -> dict[str, bool]:
    return {"chosen": True} if condition == "trained" else {}


def _points(gap: Gap) -> str:
    return _interval(gap, 100, "+.1f")


def _plain(gap: Gap) -> str:
    return _interval(gap, 1, "+.3g")


def _interval(gap: Gap, factor: float, form: str) -> str:
    ends: Sequence[float] = (gap.mean, gap.low, gap.high)
    mean, low, high = (format(factor * value, form) for value in ends)
    return mean if np.isnan(gap.low) else f"{mean} [{low}, {high}]"
