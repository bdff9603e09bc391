"""The bench of kills: a group of processes is killed, and differing files are named."""

import signal
import subprocess
import time
from pathlib import Path

from bench import kills


def test_a_kill_takes_all_below_a_process(tmp_path: Path) -> None:
    started = subprocess.Popen(
        ["sh", "-c", f"(sleep 0.4; touch {tmp_path}/late) & wait"], start_new_session=True
    )
    kills.kill(started, 0.05)
    assert started.returncode == -signal.SIGKILL
    time.sleep(0.5)
    assert not (tmp_path / "late").exists()


def test_a_process_that_ended_before_its_moment_is_left_alone() -> None:
    started = subprocess.Popen(["sh", "-c", "exit 4"], start_new_session=True)
    kills.kill(started, 5)
    assert started.returncode == 4


def test_files_that_differ_or_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/one").write_text("1")
    (tmp_path / "dvc.lock").write_text("stages: {a: 1, b: {c: 2, d: 3}}")
    (tmp_path / "other").write_text("not written by a flow")
    before = dict(kills.hash_files(tmp_path))
    assert sorted(before) == ["dvc.lock", "runs/a/one"]
    (tmp_path / "dvc.lock").write_text("stages: {b: {c: 2, d: 3}, a: 1}")  # the same stages
    (tmp_path / "runs/a/one").write_text("3")
    (tmp_path / "runs/a/two").write_text("4")
    after = dict(kills.hash_files(tmp_path))
    assert kills.list_differences(before, after) == ["runs/a/one", "runs/a/two"]
    assert kills.list_differences(before, before) == []
    (tmp_path / "dvc.lock").write_text("stages: {a: 1, b: {c: 2, d: 4}}")
    assert kills.list_differences(after, dict(kills.hash_files(tmp_path))) == ["dvc.lock"]
