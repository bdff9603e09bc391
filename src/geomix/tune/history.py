"""The trials of a search with their scores: history.csv, the winner, and what is as good."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomix.config.tuning import Ranges
from geomix.errors import InputError
from geomix.tune.ranges import read_value, write_value

DIGITS = 9  # significant figures of a score: later ones are rounding
BEFORE = ("round", "trial")
AFTER = ("score", "standard_error", "failure")


@dataclass(frozen=True)
class Trial:
    """A setting that was trained, and how it scored on val.

    Attributes:
        round: 1, 2 or 3.
        trial: Its number in the round, such as 07.
        settings: What was searched, by dotted key.
        score: A share in [0, 1]; NaN where training failed.
        standard_error: Of the score, over val classes.
        failure: Why training failed; empty where it did not.
    """

    round: int
    trial: str
    settings: dict[str, Any]
    score: float
    standard_error: float
    failure: str = ""


def write_history(trials: Sequence[Trial], ranges: Ranges) -> bytes:
    """Write trials as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*BEFORE, *ranges, *AFTER])
    for one in trials:
        settings = [write_value(one.settings[key]) for key in ranges]
        scores = [_write_number(one.score), _write_number(one.standard_error)]
        writer.writerow([one.round, one.trial, *settings, *scores, one.failure])
    return text.getvalue().encode()


def read_history(path: Path, ranges: Ranges) -> list[Trial]:
    """Read the trials that `write_history` wrote.

    Raises:
        InputError: If the file is missing, or is of another search.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; expected it from an earlier stage (dvc repro)"
        ) from None
    try:
        return [_read_trial(row, ranges) for row in rows]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: {error}: expected the keys and values of this search") from None


def _read_trial(row: dict[str, str], ranges: Ranges) -> Trial:
    """Read a row."""
    return Trial(
        round=int(row["round"]),
        trial=row["trial"],
        settings={key: read_value(one, row[key]) for key, one in ranges.items()},
        score=_read_number(row["score"]),
        standard_error=_read_number(row["standard_error"]),
        failure=row["failure"],
    )


def _write_number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.{DIGITS}g}"


def _read_number(text: str) -> float:
    return float(text) if text else math.nan


def list_trained(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose training did not fail."""
    return [one for one in trials if not math.isnan(one.score)]


def choose_best(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the highest score, the earliest in a tie.

    Raises:
        InputError: If training failed in all.
    """
    trained = list_trained(trials)
    if not trained:
        failure = trials[0].failure if trials else "there is none"
        raise InputError(f"found no trial that could be trained ({failure}), expected one")
    return max(trained, key=lambda one: one.score)  # the first of those that are equal


def list_plateau(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials within one standard error of the best, in their order.

    A trial is on the plateau where score >= best - se(best): the data of val cannot tell it from
    the best one.

    Source:
        The one-standard-error rule, Breiman et al. 1984, Classification and regression trees,
        section 3.4.3.
    """
    best = choose_best(trials)
    least = best.score - best.standard_error
    return [one for one in list_trained(trials) if one.score >= least or one == best]


def list_best_so_far(trials: Sequence[Trial]) -> list[float]:
    """Return after each trial the best score up to there; NaN before the first that was trained."""
    best, found = math.nan, []
    for one in trials:
        best = max(best, one.score) if not math.isnan(best) else one.score
        found.append(best)
    return found
