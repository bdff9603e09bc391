"""The values that validation chose, and where they lie among the values that were tried."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype

from geomix.report.results import SCORE


@dataclass(frozen=True)
class Place:
    """Where a chosen value lies among the values of its axis.

    Attributes:
        geometry: Which chose.
        axis: The key that varied.
        value: The choice.
        kind: inside; edge, beyond which a better value may lie; limit, which is 0; or category, of
            values that have no order.
        score: Its mean val score: recall at 1 of classes.
        score_sd: Its standard deviation over seeds.
        inner: The value next to an edge, if there is one.
        inner_score: Its score.
        inner_sd: The standard deviation of that.
    """

    geometry: str
    axis: str
    value: Any
    kind: Literal["inside", "edge", "limit", "category"]
    score: float
    score_sd: float
    inner: Any = None
    inner_score: float = math.nan
    inner_sd: float = math.nan


def choose(summary: pd.DataFrame, axes: Sequence[str], score: str = SCORE) -> pd.DataFrame:
    """Choose for each geometry the values with the highest mean val score, the lowest in a tie.

    Without any score the lowest values are taken, too.

    Args:
        summary: From `over_seeds` of val rows, by geometry and axes.
        axes: The columns that vary; without any, each geometry has one row, which is chosen.
        score: The column of the scores.

    Returns:
        The chosen rows, one for each geometry.
    """
    ordered = summary.sort_values(list(axes), kind="stable") if axes else summary
    known = ordered[["geometry"]].assign(score=ordered[score].fillna(-math.inf))
    best = known.groupby("geometry", sort=False)["score"].idxmax()
    return summary.loc[best.reindex(summary["geometry"].unique()).dropna()]


def place_choices(
    summary: pd.DataFrame, chosen: pd.DataFrame, axes: Sequence[str], score: str = SCORE
) -> Iterator[Place]:
    """Yield for each geometry and axis where the chosen value lies; nothing without a score.

    Args:
        summary: As for `choose`.
        chosen: From `choose`.
        axes: The columns that vary.
        score: The column of the scores.
    """
    for _, choice in chosen[chosen[score].notna()].iterrows():
        for axis in axes:
            pinned = ["geometry", *(other for other in axes if other != axis)]
            line = summary[(summary[pinned] == choice[pinned]).all(axis=1)]
            yield _place(line.sort_values(axis, ignore_index=True), choice, axis, score)


def _place(line: pd.DataFrame, choice: pd.Series, axis: str, score: str) -> Place:
    """Place a choice among the rows of its axis, in rising order."""
    value, last = choice[axis], len(line) - 1
    known = (choice["geometry"], axis, value)
    scores = (choice[score], choice[f"{score}_sd"])
    if not is_numeric_dtype(line[axis]):
        return Place(*known, "category", *scores)
    if value == 0:
        return Place(*known, "limit", *scores)
    place = list(line[axis]).index(value)
    if 0 < place < last:
        return Place(*known, "inside", *scores)
    if last == 0:
        return Place(*known, "edge", *scores)
    inner = line.loc[1 if place == 0 else last - 1]
    return Place(*known, "edge", *scores, inner[axis], inner[score], inner[f"{score}_sd"])
