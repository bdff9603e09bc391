"""Why some rows of the systems are as they are, told from their settings and figures."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry
from geomix.report.results import BASELINES
from geomix.report.settled import System

# Rules that correct for false negatives, which there are none of where labels are given.
CORRECTIONS = ("debiased", "false_negative_elimination", "positive_unlabelled", "cluster")
# Embeddings that spread over less than this part of the untrained network's angle coincide.
STILL = 0.1
TOO_HIGH = 10  # times the share of false negatives that there are, and a prior is called too high


@dataclass(frozen=True)
class Untrained:
    """Rows that are no better than the untrained network.

    Attributes:
        score: Test score of that.
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


def find_untrained(means: pd.DataFrame, baselines: pd.DataFrame, score: str) -> Untrained:
    """Find the rows below the untrained network.

    Args:
        means: Rows of `over_seeds` on test, named by the index.
        baselines: From `average_baselines` on test.
        score: The column that is compared.
    """
    start = baselines.set_index("geometry").loc[BASELINES["untrained"]]
    below = means[means[score] < start[score]]
    still = below[below["spread_degrees"] < STILL * start["spread_degrees"]]["spread_degrees"]
    return Untrained(start[score], start["spread_degrees"], list(below.index), still.to_dict())


def list_corrections(systems: Iterable[System]) -> list[str]:
    """Return the rows that correct for false negatives, by rule or by tau_plus."""
    return [
        one.system
        for one in systems
        if one.negatives["rule"] in CORRECTIONS or one.negatives.get("tau_plus")
    ]


def find_priors(systems: Iterable[System], classes: np.ndarray, lower: Collection[str]) -> Priors:
    """Find the rows that correct for far more false negatives than there are.

    Args:
        systems: Those with labels hidden.
        classes: Of the samples of train, (N,), at least 2.
        lower: The rows that are lower than their reference.
    """
    counts = np.unique(classes, return_counts=True)[1]
    share = float((counts * (counts - 1)).sum() / (len(classes) * (len(classes) - 1)))
    rules = {one.system: one.negatives for one in systems}
    priors = {name: rule.get("tau_plus") or rule.get("prior") or 0 for name, rule in rules.items()}
    high = {name: prior for name, prior in priors.items() if prior > TOO_HIGH * share}
    return Priors(share, high, [name for name in high if name in lower])


def is_unit_fed(system: System, geometries: Mapping[str, Geometry]) -> bool:
    """Whether all balls of a system are fed with unit vectors, so that it ranks as cosine does.

    Args:
        system: Its own geometry counts, if it has one.
        geometries: Those of params.yaml.
    """
    own = system.settings.get("geometry", {}).get(system.geometry)
    shared = geometries.get(system.geometry, {})
    spaces = own or {name: dict(space) for name, space in shared.items()}
    balls = [space for space in spaces.values() if space["space"] == "ball"]
    return bool(balls) and all(space.get("normalize") for space in balls)
