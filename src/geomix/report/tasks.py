"""What a verdict is about: a score of each query, and which queries belong together.

Samples of one class resemble each other, and so do nodes below one parent. Another draw of the data
would have other classes, or other parents: these are what an interval takes as random.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from geomix.config.base import Task as Trained
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.report.lineage import DIRECTIONS

CLASSES = "test class", "test classes"
PARENTS = "parent node", "parent nodes"
METRICS = {"map_at_r": "MAP@R", "recall_at_1": "R@1"}  # of classes


@dataclass(frozen=True, eq=False)
class Task:
    """What is scored.

    Attributes:
        name: What it is called in a table.
        metric: A column of metrics.csv and an array of each cell in per_query.npz.
        score: What the metric is called.
        groups: Of each test query, (Q,): its class, or the parent of its node.
        unit: What one of these is called, and several.
    """

    name: str
    metric: str
    score: str
    groups: np.ndarray
    unit: tuple[str, str]

    @property
    def ignores_queries(self) -> bool:
        """Whether a ranking that ignores the query can do well."""
        return self.metric in DIRECTIONS


def list_tasks(packed: Packed, trained: Trained, metric: str) -> list[Task]:
    """List what is scored of a data set.

    Args:
        packed: The data set.
        trained: What its cells were trained for.
        metric: Of classes. Lineages have average precision, in two directions: from held-out leaves
            to their ancestors, and from train's inner nodes to the leaves below them.

    Raises:
        InputError: If it was known distances, of which there is no verdict.
    """
    if trained == "class":
        labels = packed.samples["label"].to_numpy()[packed.queries("test")]
        return [Task("classes", metric, METRICS[metric], labels, CLASSES)]
    if trained != "lineage":
        raise InputError(f"loss: found {trained}, expected classes or lineages for a verdict")
    sides = {"leaf_ancestors": "test", "inner_leaves": "train"}  # where the queries are
    return [
        Task(words, direction, "MAP", find_parents(packed, sides[direction]), PARENTS)
        for direction, words in DIRECTIONS.items()
    ]


def find_parents(packed: Packed, split: str) -> np.ndarray:
    """Return a number for the parent of each sample's node, (n,); roots have one in common."""
    nodes = packed.lineages[packed.rows(split)].node
    parents = [packed.lineages.paths[node][:-1] for node in nodes]
    numbers, _ = pd.factorize(pd.Series(parents, dtype=object))
    return np.asarray(numbers)
