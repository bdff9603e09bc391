"""Files of settings: of systems, of trials and of winners, each with its place and identity."""

import json
from pathlib import Path
from typing import Any

import pytest

from geomix.config.settings import read_cells
from tests.conftest import ROOT

SETTINGS = {"tau": 0.05, "optim.learning_rate": 0.004, "head.norm": "none", "relevance": "class"}


@pytest.fixture(autouse=True)
def start_in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def write(folder: Path, name: str, **content: Any) -> None:
    text = json.dumps({"geometry": "euclidean", "settings": SETTINGS, **content})
    (folder / f"{name}.json").write_text(text)


def test_the_trials_of_a_round_lie_in_folders_of_their_numbers(tmp_path: Path) -> None:
    for number in (1, 0):
        write(tmp_path, f"{number:02d}", trial=f"{number:02d}")
    (tmp_path / "history.csv").touch()
    cells = read_cells(None, tmp_path, {}, "tune.glyphs")
    assert [cell.place(0) for cell in cells] == ["00/0", "01/0"]
    identity = cells[1].identity(0)
    assert (identity["trial"], identity["tau"], identity["head.norm"]) == ("01", 0.05, "none")
    assert identity["optim.learning_rate"] == 0.004
    assert cells[0].params.optim.learning_rate == 0.004
    assert cells[0].params.head.norm == "none"


def test_a_winner_lies_where_a_cell_of_a_study_does(tmp_path: Path) -> None:
    write(tmp_path, "winner")
    [cell] = read_cells(None, tmp_path, {}, "tune.glyphs")
    assert cell.place(12) == "12"
    assert cell.identity(12)["seed"] == 12
    assert "trial" not in cell.identity(12)
    assert cell.identity(12)["head.norm"] == "none"


def test_what_a_trial_sets_wins_over_the_data_set(tmp_path: Path) -> None:
    write(tmp_path, "00", trial="00", settings=SETTINGS | {"relevance": "lineage", "epochs": 3})
    [cell] = read_cells(None, tmp_path, {}, "tune.wordnet")
    assert (cell.params.epochs, cell.params.head.norm) == (3, "none")
    assert (cell.params.backbone.name, cell.params.head.outputs) == ("mlp", 16)


def test_a_system_is_named_by_its_file_and_what_training_knows(tmp_path: Path) -> None:
    write(tmp_path, "hidden", system="infonce", labels="hidden")
    [cell] = read_cells(None, tmp_path, {}, None)
    assert cell.place(1) == "hidden/1"
    identity = cell.identity(1)
    assert (identity["system"], identity["labels"], identity["tau"]) == ("infonce", "hidden", 0.05)
    assert "head.norm" not in identity
