"""The run on a GPU: what a step's outcome is, and that one step stops no other."""

import json
import sys
from pathlib import Path

import pytest

from bench import ROOT, device
from geomix.errors import InputError


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("print('fine')", "passed"),
        ("print('fine'); raise SystemExit(2)", "failed: exit code 2"),
        ("print('fine', flush=True); import time; time.sleep(9)", "stopped after 1 s"),
    ],
)
def test_an_outcome_is_that_of_the_command(tmp_path: Path, program: str, outcome: str) -> None:
    log = tmp_path / "step.log"
    assert device.log_command([sys.executable, "-c", program], ROOT, log, 1.0) == outcome
    assert log.read_text().startswith("fine")


def test_a_step_without_time_is_not_run_and_all_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "LIMITS", {"tests": 0.0, "train": 9.0, "photographs": 9.0})
    monkeypatch.setitem(
        device.STEPS, "train", lambda out, mirror, left: f"failed within {left:.0f}"
    )
    monkeypatch.setattr(sys, "argv", ["device", "--out", str(tmp_path)])
    device.main()
    record = json.loads((tmp_path / "device.json").read_text())
    outcomes = {name: step["outcome"] for name, step in record["steps"].items()}
    assert outcomes == {
        "tests": "not run: no time left",
        "train": "failed within 9",
        "photographs": "not run: no --mirror",
    }
    assert len(record["origin"]["commit"]) == 40
    assert record["origin"]["torch"]


def test_the_repository_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["device", "--out", str(ROOT)])
    with pytest.raises(InputError, match="--out: found the repository"):
        device.main()
