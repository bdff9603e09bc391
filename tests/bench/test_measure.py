"""Measuring: in turn, by the median of ratios within a round, memory of the call alone."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import ROOT, measure
from bench.measure import Case, Implementation, Options, Ratio, measure_case, time_rounds


@pytest.mark.parametrize(("brief", "turn"), [(0.0, "abc"), (10.0, "aabbcc")])
def test_calls_run_in_turn_after_a_warm_up(
    monkeypatch: pytest.MonkeyPatch, brief: float, turn: str
) -> None:
    order: list[str] = []
    monkeypatch.setattr(measure, "SHORTEST", 0.0)  # no repeats
    monkeypatch.setattr(measure, "BRIEF", brief)  # those below it are called once more, untimed

    def call(name: str) -> str:
        order.append(name)
        return name

    seconds, results = time_rounds({name: partial(call, name) for name in "abc"}, 0.0, "")
    rounds = len(seconds["a"])
    assert rounds == measure.LEAST
    assert order[-len(turn) * rounds :] == list(turn) * rounds
    assert results == {"a": "a", "b": "b", "c": "c"}


def test_a_ratio_is_the_median_over_rounds_and_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ratios 2, 4, 10.
    times = {"slow": np.array([2.0, 8.0, 30.0]), "fast": np.array([1.0, 2.0, 3.0])}
    results = {"slow": 7.0, "fast": 5.0}
    monkeypatch.setattr(measure, "time_rounds", lambda *_: (dict(times), results))

    def build(size: str) -> Any:
        return lambda: None

    slow = Implementation("slow", build, scale=3.0)
    fast = Implementation("fast", build, check=lambda result: result / 10)
    pair = Ratio("slow", "fast", lambda a, b: a - b)
    size = (("n", 9),)
    case = Case("pairwise", "a case", (slow, fast), (pair,), memory=False, size=size)
    ratio, check = measure_case("loss", case, Options(True, Path(), 1, 0.0))
    assert ratio["ratio"] == 12.0
    assert (ratio["seconds"], ratio["baseline_seconds"], ratio["rounds"]) == (24.0, 2.0, 3)
    assert (ratio["difference"], ratio["n"]) == (2.0, 9)
    assert "extra_mib" not in ratio
    assert (check["table"], check["implementation"], check["difference"]) == ("check", "fast", 0.5)


# Freed memory may serve again, and is then no growth: a process of its own has none, as in use.
CALL = """
import json
import numpy as np
from bench.measure import weigh

before = np.ones(2**24)  # 128 MiB
del before

def call():
    first = np.ones(2**23)  # 64 MiB
    total = first.sum()
    del first
    return float(total + np.ones(2**22).sum())  # 32 MiB

print(json.dumps(weigh(call)))
"""


def test_memory_of_a_call_is_its_peak_not_what_came_before_or_stays() -> None:
    command = [sys.executable, "-c", CALL]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found, result = json.loads(done.stdout)
    assert result == 2**23 + 2**22
    assert found["extra_mib"] == pytest.approx(64, abs=6)
    assert found["peak_mib"] > found["extra_mib"]
