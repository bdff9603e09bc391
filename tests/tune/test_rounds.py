"""Rounds as folders: what train reads of them, and the history that grows with each."""

import json
import math
from pathlib import Path

import pytest

from geomix.config.tuning import Ranges
from geomix.errors import InputError
from geomix.tune.history import read_history
from geomix.tune.rounds import Score, extend_history, list_trials, write_round, write_winner
from geomix.tune.table import draw_table
from tests.tune.conftest import score_of


def write_first(folder: Path, ranges: Ranges, count: int = 3) -> dict[str, Score]:
    """Write a first round, and return scores of its trials."""
    settings = draw_table(ranges, count, 0)
    write_round(folder, "power", settings, [], ranges)
    return {f"{at:02d}": (score_of(one), 0.02, "") for at, one in enumerate(settings)}


def test_a_file_has_the_geometry_the_number_and_all_settings(
    tmp_path: Path, ranges: Ranges
) -> None:
    write_first(tmp_path / "1", ranges)
    assert list_trials(tmp_path / "1") == ["00", "01", "02"]
    content = json.loads((tmp_path / "1" / "01.json").read_text())
    assert (content["geometry"], content["trial"]) == ("power", "01")
    assert content["settings"] == draw_table(ranges, 3, 0)[1]
    assert read_history(tmp_path / "1" / "history.csv", ranges) == []


def test_the_history_grows_by_a_round(tmp_path: Path, ranges: Ranges) -> None:
    scores = write_first(tmp_path / "1", ranges)
    scores["02"] = (math.nan, math.nan, "loss nan")
    first = extend_history(tmp_path / "1", scores, ranges)
    assert [(one.round, one.trial) for one in first] == [(1, "00"), (1, "01"), (1, "02")]
    assert first[1].settings == draw_table(ranges, 3, 0)[1]
    assert first[1].score == pytest.approx(scores["01"][0], abs=1e-9)
    assert (first[2].failure, math.isnan(first[2].score)) == ("loss nan", True)
    write_round(tmp_path / "2", "power", draw_table(ranges, 2, 1), first, ranges)
    second = extend_history(tmp_path / "2", {"00": (0.1, 0.1, ""), "01": (0.2, 0.1, "")}, ranges)
    assert str(second[:3]) == str(first)
    assert [(one.round, one.trial) for one in second[3:]] == [(2, "00"), (2, "01")]


def test_the_winner_has_no_number_and_the_whole_history(tmp_path: Path, ranges: Ranges) -> None:
    scores = write_first(tmp_path / "1", ranges)
    history = extend_history(tmp_path / "1", scores, ranges)
    write_winner(tmp_path / "winner", "power", history, ranges)
    best = max(scores, key=lambda trial: scores[trial][0])
    content = json.loads((tmp_path / "winner" / "winner.json").read_text())
    settings = draw_table(ranges, 3, 0)[int(best)]
    assert content == {"geometry": "power", "settings": settings}
    assert read_history(tmp_path / "winner" / "history.csv", ranges) == history


def test_a_round_that_is_missing_or_of_other_keys_is_refused(
    tmp_path: Path, ranges: Ranges
) -> None:
    with pytest.raises(InputError, match="3: not found; expected it from an earlier stage"):
        list_trials(tmp_path / "3")
    scores = write_first(tmp_path / "1", ranges)
    with pytest.raises(InputError, match="00.json: settings: found no lam, expected the keys"):
        extend_history(tmp_path / "1", scores, {**ranges, "lam": ranges["tau"]})
