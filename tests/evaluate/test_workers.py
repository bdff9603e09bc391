"""Work side by side: in order, in as many processes as there are cores, none left behind."""

import os
import signal
import subprocess
import sys

import pytest

from geomix.evaluate.workers import count_processes, map_in_order

# Each item is answered with the number of the process that worked.
KILLED = """
import os, signal
from geomix.evaluate.workers import map_in_order
if __name__ == "__main__":
    for worker in map_in_order(os.readlink, ["/proc/self"] * 50, 2):
        print(worker, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("processes", [0, 1])
def test_what_needs_no_second_process_is_done_by_this_one(processes: int) -> None:
    found = list(map_in_order(os.readlink, ["/proc/self"] * 5, processes))
    assert found == [str(os.getpid())] * 5


def test_two_processes_answer_in_order() -> None:
    commands = ["sleep 1; echo a $PPID", "echo b $PPID"]
    found = [line.split() for line in map_in_order(subprocess.getoutput, commands, 2)]
    assert [name for name, _ in found] == ["a", "b"]
    assert str(os.getpid()) not in {worker for _, worker in found}


def test_workers_end_with_the_process_that_started_them_even_if_it_is_killed() -> None:
    """They hold its standard output, so this waits for them."""
    command = [sys.executable, "-c", KILLED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.strip().isdigit()


def test_cores_are_for_this_process_unless_make_runs_others_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert count_processes() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5})
    assert count_processes() == 3
