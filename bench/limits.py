"""What was asked for: bounds on measured quantities, which the page prints, met or missed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.measure import (
    COSINE,
    FORMS,
    HYBRID,
    HYPERBOLIC,
    LISTS,
    OURS,
    PEER,
    RELEASED,
    RELEASED_WAY,
)
from geomix.report.changes import RULES


@dataclass(frozen=True)
class Limit:
    """A bound on a column of some rows.

    Attributes:
        bench: The benchmark.
        table: The table of the rows.
        implementation: Theirs.
        baseline: Theirs; None for any.
        column: What is bounded.
        at_least: The bound from below, or None.
        at_most: The bound from above, or None.
        within: A part of the names of the cases.
    """

    bench: str
    table: str
    implementation: str
    baseline: str | None
    column: str
    at_least: float | None = None
    at_most: float | None = None
    within: str = ""

    def applies(self, bench: str, row: Mapping[str, Any]) -> bool:
        """Say whether a row of a benchmark is meant.

        One without the quantity is not, unless that is a difference.
        """
        measured = not math.isnan(row.get(self.column, math.nan))
        return self.names(bench, row) and (measured or self.column == "difference")

    def names(self, bench: str, row: Mapping[str, Any]) -> bool:
        """Say whether a row of a benchmark is meant once it is measured."""
        return (
            (bench, row["table"], row["implementation"])
            == (self.bench, self.table, self.implementation)
            and self.baseline in (None, row["baseline"])
            and self.within in row["case"]
        )

    def met(self, value: float) -> bool:
        """Say whether a value is within the bound; NaN never is."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    def words(self) -> str:
        """Write the bound."""
        if self.at_least is not None:
            return f"at least {self.at_least:.3g}"
        return f"at most {self.at_most:.4g}"


MIB = 2**20
# The yardstick, and rules of clusters or gradients: nothing was asked of them.
UNBOUNDED = {"uniform", "cluster", "mixed_importance", "doubly_contrastive"}
BOUNDED = [rule for rule in RULES if rule not in UNBOUNDED]
IN_LOSS = ("loss", "pairwise", RELEASED, "geomix")
IN_TRAINING = ("train", "training", RELEASED_WAY, "geomix")

LIMITS = (
    Limit(*IN_LOSS, "ratio", at_least=90, within="hybrid, 9 views"),
    Limit(*IN_LOSS, "ratio", at_least=100, within="hybrid, 2 views"),
    Limit(*IN_LOSS, "baseline_extra_mib", at_most=30, within="hybrid"),
    Limit("loss", "supervised", PEER, COSINE, "ratio", at_least=1, within="supervised"),
    Limit("loss", "supervised", HYPERBOLIC, COSINE, "ratio", at_most=1.5),
    Limit("loss", "accuracy", "geomix", None, "difference", at_most=1e-4),
    *(Limit("negatives", "steps", rule, "uniform", "ratio", at_most=1.1) for rule in BOUNDED),
    Limit("search", "gallery", RELEASED, HYPERBOLIC, "ratio", at_least=40),
    Limit("search", "gallery", HYBRID, HYPERBOLIC, "ratio", at_most=4),
    *(Limit("search", "check", name, None, "difference", at_most=0) for name in OURS),
    Limit("search", "large", HYPERBOLIC, None, "seconds", at_most=30),
    Limit("search", "large", HYPERBOLIC, None, "peak_mib", at_most=1.5e9 / MIB),
    Limit("metrics", "metrics", LISTS, COSINE, "ratio", at_least=1),
    Limit("metrics", "metrics", HYPERBOLIC, COSINE, "ratio", at_most=1.5),
    Limit("metrics", "metrics", LISTS, COSINE, "difference", at_most=1e-6),
    Limit("images", "batch", "torchvision", "geomix encoded", "ratio", at_least=1),
    *(Limit("images", "pack", name, None, "seconds", at_most=240) for name in FORMS),
    *(Limit("images", "pack", name, None, "peak_mib", at_most=1e9 / MIB) for name in FORMS),
    Limit(*IN_TRAINING, "baseline_network", at_least=0.9, within="CPU"),
    Limit(*IN_TRAINING, "ratio", at_least=3, within="CUDA"),
    Limit(*IN_TRAINING, "baseline_utilisation", at_least=0.4, within="CUDA"),
)
