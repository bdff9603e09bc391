"""Trials: written and read back, the winner, the plateau, the best so far."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from geomix.config.tuning import Among, Ranges
from geomix.errors import InputError
from geomix.tune.history import (
    Trial,
    choose_best,
    list_best_so_far,
    list_plateau,
    read_history,
    write_history,
)
from geomix.tune.table import draw_table
from tests.tune.conftest import make_trials


def scored(*scores: float, error: float = 0.01) -> list[Trial]:
    return [Trial(1, f"{at:02d}", {"tau": 0.1}, score, error) for at, score in enumerate(scores)]


def test_a_history_read_back_is_the_same(ranges: Ranges, tmp_path: Path) -> None:
    trials = make_trials(draw_table(ranges, 8, 0))
    trials = [replace(one, score=float(f"{one.score:.9g}")) for one in trials]
    failed = replace(trials[3], score=math.nan, standard_error=math.nan, failure='loss, "nan"')
    trials[3] = failed
    path = tmp_path / "history.csv"
    path.write_bytes(write_history(trials, ranges))
    found = read_history(path, ranges)
    assert [str(one) for one in found] == [str(one) for one in trials]  # nan is not nan
    path.write_bytes(write_history([], ranges))
    assert read_history(path, ranges) == []


def test_the_columns_of_a_history_are_round_trial_keys_and_scores(ranges: Ranges) -> None:
    trials = make_trials(draw_table(ranges, 2, 0))
    header, first, _ = write_history(trials, ranges).decode().splitlines()
    assert header == ",".join(["round", "trial", *ranges, "score", "standard_error", "failure"])
    assert first.startswith("1,00,")


def test_a_history_of_another_search_is_refused(ranges: Ranges, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(write_history(make_trials(draw_table(ranges, 2, 0)), ranges))
    with pytest.raises(InputError, match=r"history.csv: 'lam': expected the keys and values of"):
        read_history(path, {**ranges, "lam": ranges["tau"]})
    with pytest.raises(InputError, match=r"history.csv: found .*, expected one of other, another"):
        read_history(path, {**ranges, "head.norm": Among(among=["other", "another"])})
    with pytest.raises(InputError, match="none.csv: not found; expected it from an earlier stage"):
        read_history(tmp_path / "none.csv", ranges)


def test_the_winner_is_the_highest_and_the_earliest_of_equals() -> None:
    assert choose_best(scored(0.1, 0.3, math.nan, 0.3, 0.2)).trial == "01"


def test_without_a_trial_that_was_trained_there_is_no_winner() -> None:
    failed = [replace(one, failure="loss nan") for one in scored(math.nan, math.nan)]
    with pytest.raises(InputError, match=r"found no trial that could be trained \(loss nan\)"):
        choose_best(failed)
    with pytest.raises(InputError, match="found no trial"):
        choose_best([])


def test_the_plateau_is_within_one_standard_error_of_the_best() -> None:
    trials = scored(0.50, 0.495, 0.48, 0.49, math.nan)
    assert [one.trial for one in list_plateau(trials)] == ["00", "01", "03"]
    assert [one.trial for one in list_plateau(scored(0.5, 0.499, error=math.nan))] == ["00"]


def test_the_best_so_far_never_falls_and_ignores_failures() -> None:
    found = list_best_so_far(scored(math.nan, 0.2, 0.1, math.nan, 0.3))
    assert math.isnan(found[0])
    assert found[1:] == [0.2, 0.2, 0.2, 0.3]
