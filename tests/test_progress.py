"""Progress: a bar in a terminal, else lines, and none for what is short."""

import sys

import pytest

from geomix import progress
from geomix.progress import Lines, open_bar


def test_without_a_terminal_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(open_bar(range(3), desc="pack")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_without_a_terminal_long_work_writes_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MINUTE", 0.0)
    with open_bar(total=4, desc="train", unit="img") as bar:
        for loss in (2, 1):
            bar.set_postfix(loss=loss, refresh=False)
            bar.update(2)
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.partition(" [")[0] for line in lines] == [
        "train:   0% 0/4",
        "train:  50% 2/4",
        "train: 100% 4/4",
    ]
    assert "loss=2" in lines[1]


def test_in_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with open_bar(range(3), leave=False) as bar:
        assert not isinstance(bar, Lines)
