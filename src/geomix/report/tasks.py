"""What a verdict is about: a score of each query, and which queries belong together.

Lineages are judged in three ways: by the mean of both directions, which is what val chose by, and
by each direction.

Samples of one class resemble each other, and so do nodes below one parent. Another draw of the data
would have other classes, or other parents: these are what an interval takes as random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from geomix.config.base import Task as Trained
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.report.gap import Gap, average_gaps, measure_gap
from geomix.report.lineage import DIRECTIONS, LINEAGE_SCORE

CLASSES = "test class", "test classes"
PARENTS = "parent node", "parent nodes"
BOTH = "leaf to ancestors and back"
METRICS = {"map_at_r": "MAP@R", "recall_at_1": "R@1"}  # of classes

Values = Sequence[np.ndarray]  # of each part


@dataclass(frozen=True, eq=False)
class Part:
    """Queries of one kind.

    Attributes:
        metric: An array of each cell in per_query.npz.
        groups: Of each test query, (Q,): its class, or the parent of its node.
    """

    metric: str
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """What is scored.

    Attributes:
        name: What it is called in a table.
        metric: A column of metrics.csv: the mean of those of its parts.
        score: What the metric is called.
        parts: The kinds of query, each with the same weight.
        unit: What one group of queries is called, and several.
    """

    name: str
    metric: str
    score: str
    parts: tuple[Part, ...]
    unit: tuple[str, str]

    @property
    def ignores_queries(self) -> bool:
        """Whether a ranking that ignores the query can do well."""
        return self.unit == PARENTS

    def read(self, stack: Callable[[str], np.ndarray]) -> Values:
        """Read the values of each part, by what returns those of a metric."""
        return [stack(part.metric) for part in self.parts]

    def compare(self, a: Values, b: Values, settings: Sequence[Values] = ()) -> Gap:
        """Compare two settings.

        Args:
            a: Of each part the value of each query, (S, Q), S seeds; NaN where a query has none.
            b: Likewise.
            settings: Those of all settings, to pool the variance over seeds.
        """
        gaps = []
        for number, part in enumerate(self.parts):
            means = [np.nanmean(one[number], axis=1) for one in settings]
            pooled = np.stack(means) if means else None  # (G, S)
            gaps.append(measure_gap(a[number], b[number], part.groups, pooled))
        return average_gaps(gaps)


def list_tasks(packed: Packed, trained: Trained, metric: str) -> list[Task]:
    """List what is scored of a data set.

    Args:
        packed: The data set.
        trained: What its cells were trained for.
        metric: Of classes. Lineages have average precision, in two directions: from held-out leaves
            to their ancestors, and from train's inner nodes to the leaves below them. The mean of
            both comes first, as val chose by it.

    Raises:
        InputError: If it was known distances, of which there is no verdict.
    """
    if trained == "class":
        labels = packed.samples["label"].to_numpy()[packed.queries("test")]
        return [Task("classes", metric, METRICS[metric], (Part(metric, labels),), CLASSES)]
    if trained != "lineage":
        raise InputError(f"loss: found {trained}, expected classes or lineages for a verdict")
    sides = {"leaf_ancestors": "test", "inner_leaves": "train"}  # where the queries are
    parts = {one: Part(one, find_parents(packed, side)) for one, side in sides.items()}
    return [
        Task(BOTH, LINEAGE_SCORE, "MAP", tuple(parts.values()), PARENTS),
        *(Task(DIRECTIONS[one], one, "MAP", (part,), PARENTS) for one, part in parts.items()),
    ]


def find_parents(packed: Packed, split: str) -> np.ndarray:
    """Return a number for the parent of each sample's node, (n,); roots have one in common."""
    nodes = packed.lineages[packed.rows(split)].node
    parents = [packed.lineages.paths[node][:-1] for node in nodes]
    numbers, _ = pd.factorize(pd.Series(parents, dtype=object))
    return np.asarray(numbers)
