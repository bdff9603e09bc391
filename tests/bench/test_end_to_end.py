"""The benchmark of the flow: python in the clone notes stages, and rows add them up."""

import json
import subprocess
from pathlib import Path
from typing import Any

from bench import end_to_end
from bench.clones import lay, link_environment

SLEEPY = """
import sys, time
import stages.heavy
if __name__ == "__main__":
    time.sleep(0.1)
    sys.exit(3)
"""


def process(name: str, begin: float, end: float, **more: Any) -> end_to_end.Process:
    arguments = [f"stages.{name}", "--out", more.pop("out", "reports/x")]
    found = {"arguments": arguments, "begin": begin, "end": end, "start_up": 0.5, "peak": 100.0}
    return found | more


def test_stages_are_named_with_their_study() -> None:
    for arguments, name in (
        (["stages.train", "--out", "runs/glyphs/tau/dot-0.1-0-2"], "train tau"),
        (["stages.evaluate", "--out", "results/glyphs/tau"], "evaluate tau"),
        (["stages.page_control", "--out", "reports"], "page_control"),
        (["stages.check"], "check"),
    ):
        assert end_to_end.name_stage(arguments) == name


def test_rows_add_up_the_processes_of_a_stage_and_what_passed_on_the_clock() -> None:
    processes = [
        process("train", 2, 6, out="runs/a/tau/x", peak=300.0),
        process("check", 0, 1),
        process("train", 3, 5, out="runs/a/tau/y", start_up=1.0),
        process("report", 8, 9),
    ]
    rows = end_to_end.summarise(10.0, processes, "case")
    assert [row["implementation"] for row in rows] == [
        "check",
        "train tau",
        "report",
        end_to_end.ALL,
        end_to_end.BETWEEN,
        end_to_end.WHOLE,
    ]
    train, every, between, whole = rows[1], rows[3], rows[4], rows[5]
    assert (train["seconds"], train["startup_seconds"], train["processes"]) == (6, 1.5, 2)
    assert (train["peak_mib"], every["peak_mib"], every["processes"]) == (300, 300, 4)
    # at work from 0 to 1, 2 to 6 and 8 to 9
    assert (between["seconds"], whole["seconds"]) == (4, 10)


def test_python_in_the_clone_notes_stages_and_nothing_else(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    link_environment(clone / ".venv")
    (clone / "stages").mkdir()
    (clone / "stages/__init__.py").touch()
    (clone / "stages/heavy.py").write_text("import time; time.sleep(0.2)")
    (clone / "stages/sleepy.py").write_text(SLEEPY)
    log = end_to_end.time_python(tmp_path, clone)
    python = str(clone / ".venv/bin/python")
    started = subprocess.run([python, "-c", "print(1)"], cwd=clone, capture_output=True, check=True)
    assert started.stdout == b"1\n"
    command = [python, "-m", "stages.sleepy", "--out", "a"]
    assert subprocess.run(command, cwd=clone, check=False).returncode == 3
    [line] = log.read_text().splitlines()
    found = json.loads(line)
    assert found["arguments"] == ["stages.sleepy", "--out", "a"]
    assert 0.2 <= found["start_up"] < found["end"] - found["begin"]
    assert found["end"] - found["begin"] >= 0.3
    assert found["peak"] > 1


def test_settings_are_laid_over_what_is_there() -> None:
    params = {"a": {"b": 1, "c": 2}, "d": 3}
    lay(params, {"a": {"b": [4]}, "e": {"f": 5}})
    assert params == {"a": {"b": [4], "c": 2}, "d": 3, "e": {"f": 5}}
