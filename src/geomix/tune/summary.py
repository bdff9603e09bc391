"""What a search found, for its page: all trials, and where the winner lies in what was searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from geomix.config.tuning import Among, Range, Ranges
from geomix.tune.history import Trial, choose_best, list_best_so_far, list_plateau
from geomix.tune.ranges import locate, write_value

EDGE = 0.05  # a value is at an edge that is nearer than this share of the range


@dataclass(frozen=True)
class Place:
    """Where the winner's value of a key lies.

    Attributes:
        key: Dotted.
        value: Of the winner, as text.
        searched: The range or the values, as text.
        plateau: The values of trials within one standard error of the winner, as text.
        kind: inside, or at an edge, beyond which a better value may lie; category: no order.
    """

    key: str
    value: str
    searched: str
    plateau: str
    kind: Literal["inside", "edge", "category"]


def tabulate_trials(ranges: Ranges, history: Sequence[Trial]) -> pd.DataFrame:
    """Return a row for each trial, in their order.

    Columns are round, trial, the keys as text, score and standard_error (NaN where training
    failed), failure, best_so_far, and whether a trial is the winner or on the plateau.
    """
    winner, plateau = choose_best(history), list_plateau(history)
    rows: list[dict[str, Any]] = [
        {
            "round": one.round,
            "trial": one.trial,
            **{key: write_value(one.settings[key]) for key in ranges},
            "score": one.score,
            "standard_error": one.standard_error,
            "failure": one.failure,
            "best_so_far": best,
            "winner": one is winner,
            "plateau": one in plateau,
        }
        for one, best in zip(history, list_best_so_far(history), strict=True)
    ]
    return pd.DataFrame(rows)


def place_winner(ranges: Ranges, history: Sequence[Trial]) -> list[Place]:
    """Say for each key where the winner's value lies, and how wide the plateau around it is."""
    winner, plateau = choose_best(history), list_plateau(history)
    return [
        Place(
            key=key,
            value=write_value(winner.settings[key]),
            searched=_write_range(one),
            plateau=_write_values(one, [trial.settings[key] for trial in plateau]),
            kind=_find_kind(one, winner.settings[key]),
        )
        for key, one in ranges.items()
    ]


def _find_kind(one: Range | Among, value: Any) -> Literal["inside", "edge", "category"]:
    """Say whether a value lies at an edge."""
    if isinstance(one, Among):
        return "category"
    place = locate(one, value)
    return "edge" if min(place, 1 - place) < EDGE else "inside"


def _write_range(one: Range | Among) -> str:
    if isinstance(one, Among):
        return ", ".join(map(write_value, one.among))
    return f"{write_value(one.low)} to {write_value(one.high)}{', log' if one.log else ''}"


def _write_values(one: Range | Among, values: Sequence[Any]) -> str:
    """Write the values of a plateau: from the lowest to the highest, or those that occur."""
    if isinstance(one, Among):
        return ", ".join(write_value(value) for value in one.among if value in values)
    ends = list(dict.fromkeys([min(values), max(values)]))
    return " to ".join(map(write_value, ends))
