"""A search as tests need it: ranges, and trials whose scores are a known function of settings."""

import math
from typing import Any

import pytest

from geomix.config.tuning import Among, Range, Ranges
from geomix.tune.history import Trial

RANGES: Ranges = {
    "tau": Range(low=0.01, high=1, log=True),
    "optim.warmup": Range(low=0, high=0.5),
    "head.norm": Among(among=["none", "batch", "layer"]),
    "geometry.ball.distance.clip_radius": Among(among=[None, 2.3]),
}


def score_of(settings: dict[str, Any]) -> float:
    """Return a score that is highest at tau 0.2 with batch norm; warmup and clip do nothing."""
    return (
        0.5
        - 0.2 * abs(math.log10(settings["tau"] / 0.2))
        + 0.05 * (settings["head.norm"] == "batch")
    )


def make_trials(settings: list[dict[str, Any]], number: int = 1) -> list[Trial]:
    """Return the trials of a round."""
    return [
        Trial(number, f"{place:02d}", one, score_of(one), 0.01)
        for place, one in enumerate(settings)
    ]


@pytest.fixture
def ranges() -> Ranges:
    """Return what is searched."""
    return RANGES
