"""Why some rows of the systems are as they are, told from their settings and figures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry
from geomix.config.studies import Study, flatten
from geomix.report.results import BASELINES, SCORE

# Rules that correct for false negatives, which there are none of where labels are given.
CORRECTIONS = ("debiased", "false_negative_elimination", "positive_unlabelled", "cluster")
# Embeddings that spread over less than this part of the untrained network's angle coincide.
STILL = 0.1
TOO_HIGH = 10  # times the share of false negatives that there are, and a prior is called too high


@dataclass(frozen=True)
class Untrained:
    """Rows that are no better than the untrained network.

    Attributes:
        score: Test recall at 1 of that.
        degrees: How far its embeddings point from their mean direction.
        below: The rows below it.
        still: Of these, the degrees of those whose embeddings all but coincide.
    """

    score: float
    degrees: float
    below: list[str]
    still: dict[str, float]


@dataclass(frozen=True)
class Priors:
    """Rows whose prior of false negatives is far too high.

    Attributes:
        share: Of the other samples of train, those of the anchor's class.
        high: The priors that are more than ten times that, by row.
        lowered: Those of these rows that are lower than the reference.
    """

    share: float
    high: dict[str, float]
    lowered: list[str]


@dataclass(frozen=True)
class Edge:
    """A tuned row whose value lies at an edge of the grid it was chosen from."""

    system: str
    study: str
    axis: str
    value: Any


def find_untrained(means: pd.DataFrame, baselines: pd.DataFrame) -> Untrained:
    """Find the rows below the untrained network.

    Args:
        means: Rows of `over_seeds` on test, named by the index.
        baselines: From `average_baselines` on test.
    """
    start = baselines.set_index("geometry").loc[BASELINES["untrained"]]
    below = means[means[SCORE] < start[SCORE]]
    still = below[below["spread_degrees"] < STILL * start["spread_degrees"]]["spread_degrees"]
    return Untrained(start[SCORE], start["spread_degrees"], list(below.index), still.to_dict())


def list_corrections(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the rows that correct for false negatives, by rule or by tau_plus.

    Args:
        settings: By row.
    """
    rules = {name: one.get("negatives") or {} for name, one in settings.items()}
    return [
        name
        for name, rule in rules.items()
        if rule.get("rule") in CORRECTIONS or rule.get("tau_plus")
    ]


def find_priors(
    settings: Mapping[str, Mapping[str, Any]], classes: np.ndarray, lower: Collection[str]
) -> Priors:
    """Find the rows that correct for far more false negatives than there are.

    Args:
        settings: Of the rows with labels hidden, by row.
        classes: Of the samples of train, (N,), at least 2.
        lower: The rows that are lower than their reference.
    """
    counts = np.unique(classes, return_counts=True)[1]
    share = float((counts * (counts - 1)).sum() / (len(classes) * (len(classes) - 1)))
    rules = {name: one.get("negatives") or {} for name, one in settings.items()}
    priors = {name: rule.get("tau_plus") or rule.get("prior") or 0 for name, rule in rules.items()}
    high = {name: prior for name, prior in priors.items() if prior > TOO_HIGH * share}
    return Priors(share, high, [name for name in high if name in lower])


def list_spaces(geometry: Geometry) -> dict[str, dict[str, Any]]:
    """Return the spaces of a geometry of params.yaml as a system's file has them."""
    return {name: dict(space) for name, space in geometry.items()}


def find_unit_fed(spaces: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Return the rows all of whose balls are fed with unit vectors, so that they rank as cosine.

    Args:
        spaces: The spaces of each row, by name.
    """
    balls = {
        name: [space for space in own.values() if space["space"] == "ball"]
        for name, own in spaces.items()
    }
    return [
        name
        for name, found in balls.items()
        if found and all(space.get("normalize") for space in found)
    ]


def find_edges(
    tuned: Mapping[str, tuple[str, Mapping[str, Any]]], studies: Mapping[str, Study]
) -> list[Edge]:
    """Find the tuned rows at an edge of the grid they were chosen from.

    Args:
        tuned: The study and the settings of each tuned row.
        studies: By name.
    """
    return [
        Edge(system, name, axis, flatten(settings)[axis])
        for system, (name, settings) in tuned.items()
        for axis, values in studies[name].axes.items()
        if _is_edge(flatten(settings).get(axis), values)
    ]


def _is_edge(value: Any, values: Sequence[Any]) -> bool:
    """Whether a value is the first or the last of a grid of numbers."""
    numbers = all(isinstance(one, int | float) for one in values)
    return numbers and value in (min(values), max(values))
