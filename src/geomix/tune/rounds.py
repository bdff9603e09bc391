"""Rounds of trials as folders: a file of settings for each trial, and the history before them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomix.config.tuning import Ranges
from geomix.errors import InputError
from geomix.files import new_folder, read_json, write_json
from geomix.tune.history import DIGITS, Trial, choose_best, read_history, write_history

HISTORY = "history.csv"
FIRST = 1  # the round whose settings come from the table
Score = tuple[float, float, str]  # mean and its standard error, NaN where training failed; why


def write_round(
    out: Path,
    geometry: str,
    settings: Sequence[Mapping[str, Any]],
    history: Sequence[Trial],
    ranges: Ranges,
) -> None:
    """Write the settings of a round: 00.json and so on, and history.csv, the trials before it.

    Args:
        out: The target folder.
        geometry: Its name.
        settings: Of each trial, what is searched, by dotted key.
        history: All trials of the rounds before.
        ranges: What is searched.
    """
    with new_folder(out) as folder:
        for number, one in enumerate(settings):
            trial = f"{number:02d}"
            content = {"geometry": geometry, "trial": trial, "settings": dict(one)}
            write_json(folder / f"{trial}.json", content)
        (folder / HISTORY).write_bytes(write_history(history, ranges))


def write_winner(out: Path, geometry: str, history: Sequence[Trial], ranges: Ranges) -> None:
    """Write winner.json, the settings with the highest score, and history.csv, all trials.

    Raises:
        InputError: If training failed in all.
    """
    best = choose_best(history)
    with new_folder(out) as folder:
        content = {"geometry": geometry, "settings": best.settings}
        write_json(folder / "winner.json", content)
        (folder / HISTORY).write_bytes(write_history(history, ranges))


def list_trials(folder: Path) -> list[str]:
    """List the trials of a round in the order of their numbers.

    Raises:
        InputError: If there is none.
    """
    names = sorted(path.stem for path in folder.glob("*.json"))
    if not names:
        raise InputError(f"{folder}: not found; expected it from an earlier stage (dvc repro)")
    return names


def extend_history(folder: Path, scores: Mapping[str, Score], ranges: Ranges) -> list[Trial]:
    """Return the history of a round with its own trials after it.

    Args:
        folder: Of the round.
        scores: Of its trials, by number.
        ranges: What is searched.

    Raises:
        InputError: If a file is missing, or is of another search.
    """
    history = read_history(folder / HISTORY, ranges)
    number = history[-1].round + 1 if history else FIRST
    for trial in list_trials(folder):
        settings = read_json(folder / f"{trial}.json")["settings"]
        if missing := [key for key in ranges if key not in settings]:
            found = f"found no {', '.join(missing)}, expected the keys of this search"
            raise InputError(f"{folder}/{trial}.json: settings: {found}")
        mean, error, failure = scores[trial]
        searched = {key: settings[key] for key in ranges}
        history.append(
            Trial(number, trial, searched, _round_score(mean), _round_score(error), failure)
        )
    return history


def _round_score(value: float) -> float:
    """Round as history.csv does, so that a trial is the same before and after it was written."""
    return float(f"{value:.{DIGITS}g}")
