"""What was asked for: bounds on measured quantities. The page prints them beside what was measured, met or missed."""

import math
from dataclasses import dataclass
from typing import Any

from geomix.report.changes import RULES


@dataclass(frozen=True)
class Limit:
    """A bound on a column of the rows that it names."""

    bench: str
    table: str
    implementation: str
    baseline: str | None
    column: str
    at_least: float | None = None
    at_most: float | None = None
    within: str = ""
    """Text that the name of the case has."""

    def applies(self, bench: str, row: dict[str, Any]) -> bool:
        """Say whether a row of a bench is meant; one without the quantity is not, unless that is a difference."""
        named = (bench, row["table"], row["implementation"]) == (
            self.bench,
            self.table,
            self.implementation,
        )
        measured = self.column == "difference" or not math.isnan(row.get(self.column, math.nan))
        return (
            named
            and measured
            and self.within in row["case"]
            and self.baseline in (None, row["baseline"])
        )

    def met(self, value: float) -> bool:
        """Say whether a value is within the bound; NaN never is."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    def words(self) -> str:
        """Write the bound."""
        return (
            f"at least {self.at_least:.3g}"
            if self.at_least is not None
            else f"at most {self.at_most:.4g}"
        )


PEER = "pytorch-metric-learning"
LISTS = f"{PEER}, lists of max R"
MIB = 2**20
UNBOUNDED = {
    "uniform",
    "cluster",
    "mixed_importance",
    "doubly_contrastive",
}  # the yardstick; rules of clusters or gradients

LIMITS = (
    Limit(
        "loss",
        "pairwise",
        "released formula",
        "geomix",
        "ratio",
        at_least=25,
        within="hybrid, 9 views",
    ),
    Limit(
        "loss",
        "pairwise",
        "released formula",
        "geomix",
        "ratio",
        at_least=20,
        within="hybrid, 2 views",
    ),
    Limit(
        "loss",
        "pairwise",
        "released formula",
        "geomix",
        "baseline_extra_mib",
        at_most=100e6 / MIB,
        within="hybrid",
    ),
    Limit("loss", "supervised", PEER, "geomix cosine", "ratio", at_least=1, within="supervised"),
    Limit("loss", "supervised", "geomix hyperbolic", "geomix cosine", "ratio", at_most=1.5),
    Limit("loss", "accuracy", "geomix", None, "difference", at_most=1e-4),
    *(
        Limit("negatives", "rules", rule, "uniform", "ratio", at_most=4 / 3)
        for rule in RULES
        if rule not in UNBOUNDED
    ),
    Limit("search", "gallery", "released formula", "geomix hyperbolic", "ratio", at_least=50),
    Limit("search", "gallery", "geomix hybrid", "geomix hyperbolic", "ratio", at_most=4),
    Limit("search", "check", "geomix hyperbolic", None, "difference", at_most=0),
    Limit("search", "check", "geomix cosine", None, "difference", at_most=0),
    Limit("search", "check", "geomix hybrid", None, "difference", at_most=0),
    Limit("search", "large", "geomix hyperbolic", None, "seconds", at_most=30),
    Limit("search", "large", "geomix hyperbolic", None, "peak_mib", at_most=1.5e9 / MIB),
    Limit("metrics", "metrics", LISTS, "geomix cosine", "ratio", at_least=1),
    Limit("metrics", "metrics", "geomix hyperbolic", "geomix cosine", "ratio", at_most=1.5),
    Limit("metrics", "metrics", LISTS, "geomix cosine", "difference", at_most=1e-6),
    Limit("images", "batch", "torchvision", "geomix encoded", "ratio", at_least=1),
    Limit("images", "pack", "geomix encoded", None, "seconds", at_most=240),
    Limit("images", "pack", "geomix decoded", None, "seconds", at_most=240),
    Limit("images", "pack", "geomix encoded", None, "peak_mib", at_most=1e9 / MIB),
    Limit("images", "pack", "geomix decoded", None, "peak_mib", at_most=1e9 / MIB),
)
