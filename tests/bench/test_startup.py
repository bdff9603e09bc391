"""The start-up: a cell ends at its first step, and what DVC adds is a difference of commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.startup import ALL, FIRST_STEP, ONE, STAGES, summarise

STEP = """
import torch
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.ones(1)
torch.optim.SGD([weight], lr=1.0).step()
raise SystemExit("a step was made")
"""


@pytest.mark.parametrize(("code", "error"), [(STEP, ""), ("", "no step was made\n")])
def test_a_process_ends_at_its_first_step(tmp_path: Path, code: str, error: str) -> None:
    (tmp_path / "program.py").write_text(code)
    command = [sys.executable, "-W", "ignore", "-c", FIRST_STEP, "program"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (bool(error), error)


def test_what_dvc_adds_is_the_difference_between_one_stage_and_all() -> None:
    begin, each = 1.5, 0.25
    seconds = {
        "python": [0.3, 0.1, 0.2],
        ONE: [begin + each, begin + each + 9, begin + each + 1],
        ALL: [begin + STAGES * each, begin + STAGES * each + 9, begin + STAGES * each + 1],
    }
    rows = {row["implementation"]: row for row in summarise(seconds)}
    assert all((row["table"], row["rounds"]) == ("startup", 3) for row in rows.values())
    figures = {name: (row["seconds"], row["least_seconds"]) for name, row in rows.items()}
    assert figures == {
        "python": (0.2, 0.1),
        "DVC before the first stage": (begin + 1, begin),
        "DVC for each stage": (each, each),
    }
