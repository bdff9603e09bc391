"""Time and memory of several implementations of one case.

Time: after one call of each, the implementations run in turn, round by round (A B C A B C ...), so
that what else the machine does meets all of them alike. A ratio is the median over rounds of the
ratio within a round. Rounds are run until a budget of seconds is spent. A call of less than 2 ms is
repeated within its round; one of less than 0.1 s is first called once more, untimed, as it would
otherwise wait for memory that a long call before it gave back.

Memory: one call in a fresh process, after a call on tiny inputs that loads libraries and starts
threads. Extra memory is the highest resident size during the call less the resident size before it
(VmHWM less VmRSS of /proc/self/status, Linux). The high-water mark is set back just before the call
(5 to /proc/self/clear_refs); where that is not allowed it may be older than the call, and the
figure is an upper bound. Large blocks are mapped one by one (MALLOC_MMAP_THRESHOLD_), so that holes
of the heap, which can double the figure, do not count. A whole process is weighed by the high-water
mark itself, Python and its libraries included, with the allocator as it is.
"""

import argparse
import gc
import importlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from bench import ROOT

Call = Callable[[], Any]
# To warm up before memory is measured; to measure time; to measure memory.
Size = Literal["tiny", "timed", "whole"]
Row = dict[str, Any]

SHORTEST = 0.002  # seconds of a call that is timed alone
LEAST, MOST = 5, 201  # rounds
BRIEF = 0.1  # seconds of a call that is warmed up twice, and again in each round
LARGE = 2**17  # bytes of a block that is mapped alone
# Names of implementations.
DEFINITION = "float64 definition"
RELEASED = "released formula"
RELEASED_WAY = "released way"
PEER = "pytorch-metric-learning"
LISTS = f"{PEER}, lists of max R"
COSINE, HYPERBOLIC, HYBRID = OURS = ("geomix cosine", "geomix hyperbolic", "geomix hybrid")
FORMS = ("geomix encoded", "geomix decoded")


@dataclass(frozen=True)
class Implementation:
    """One way to compute a case.

    Attributes:
        name: Its name.
        build: Makes the inputs of a size, and returns a call that computes.
        scale: How many times the work of "timed" the whole case is.
        check: Returns the difference of a result of "timed" from a definition in float64.
    """

    name: str
    build: Callable[[Size], Call]
    scale: float = 1.0
    check: Callable[[Any], float] | None = None


@dataclass(frozen=True)
class Ratio:
    """What is divided by what.

    Attributes:
        implementation: The name of the first.
        baseline: The name of the second.
        difference: Returns the difference of their results, where they should be equal.
    """

    implementation: str
    baseline: str
    difference: Callable[[Any, Any], float] | None = None


@dataclass(frozen=True)
class Case:
    """What is computed, how, and what is compared.

    Attributes:
        table: The table of its rows.
        name: Its name.
        implementations: Ways to compute it.
        ratios: What is compared; a row each.
        memory: Whether memory is measured.
        size: Columns of the rows, such as (("n", 900), ("d", 128)).
        alone: Above 0, time too is measured in fresh processes, this many of each implementation,
            and whole processes are weighed.
    """

    table: str
    name: str
    implementations: tuple[Implementation, ...]
    ratios: tuple[Ratio, ...]
    memory: bool = True
    size: tuple[tuple[str, int], ...] = ()
    alone: int = 0


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    quick: bool
    out: Path
    threads: int
    budget: float


def set_threads(threads: int) -> None:
    """Set the number of threads of torch and faiss."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def with_gradient(loss: Callable[[], Tensor], *learned: Tensor) -> Call:
    """Return a call that returns a loss and its gradient with regard to the first of `learned`.

    Args:
        loss: Computes the loss.
        learned: Tensors whose gradients are computed; some may have none.
    """

    def call() -> tuple[float, Tensor]:
        value = loss()
        return value.item(), torch.autograd.grad(value, learned, allow_unused=True)[0]

    return call


def measure_case(bench: str, case: Case, options: Options) -> list[Row]:
    """Measure a case.

    Args:
        bench: The module of the case, such as loss.
        case: Of `cases(options.quick)` of that module.
        options: Of the command line.

    Returns:
        Rows of a CSV, one for each ratio and each check; what was not measured is missing.
    """
    if case.alone:
        return _measure_alone(bench, case, options)
    calls = {one.name: one.build("timed") for one in case.implementations}
    seconds, results = time_rounds(calls, options.budget, case.name)
    for one in case.implementations:
        seconds[one.name] = seconds[one.name] * one.scale
    del calls
    memory = {}
    if case.memory:
        for one in tqdm(case.implementations, desc=f"{case.name}, memory", leave=False):
            memory[one.name] = run_alone(bench, case, one, options)["extra_mib"]
    rows = []
    for ratio in case.ratios:
        first, second = ratio.implementation, ratio.baseline
        row = _row(case, first, second) | _compare_times(seconds[first], seconds[second])
        if memory:
            row |= _compare_memory(memory[first], memory[second])
        if ratio.difference:
            row["difference"] = ratio.difference(results[first], results[second])
        rows.append(row)
    checks = [(one, one.check) for one in case.implementations if one.check]
    return rows + [_check_row(case, one.name, check(results[one.name])) for one, check in checks]


def time_rounds(
    calls: Mapping[str, Call], budget: float, title: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Time calls in turn.

    Args:
        calls: By name.
        budget: Seconds to spend, about; at least 5 rounds are run, at most 201.
        title: Of the progress bar.

    Returns:
        By name the seconds of each round, (rounds,), and the result of the first call.
    """
    results, repeats, brief = {}, {}, set()
    for name, call in calls.items():
        start = time.perf_counter()
        results[name] = call()
        spent = time.perf_counter() - start
        if spent < BRIEF:  # much of it is the start
            brief.add(name)
            start = time.perf_counter()
            call()
            spent = time.perf_counter() - start
        repeats[name] = max(1, math.ceil(SHORTEST / max(spent, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    end = time.perf_counter() + budget
    try:
        for count in tqdm(range(MOST), desc=title, leave=False, mininterval=0.5):
            if count >= LEAST and time.perf_counter() > end:
                break
            for name, call in calls.items():
                if name in brief:
                    call()
                start = time.perf_counter()
                for _ in range(repeats[name]):
                    call()
                seconds[name].append((time.perf_counter() - start) / repeats[name])
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}, results


def run_alone(
    bench: str, case: Case, implementation: Implementation, options: Options
) -> dict[str, float]:
    """Run one implementation once in a fresh process.

    Returns:
        seconds; extra_mib and peak_mib, see the top of this file; difference, where it is checked
        and run alone.
    """
    names = (bench, case.table, case.name, implementation.name)
    command = [sys.executable, "-m", "bench.measure", *names, "--threads", str(options.threads)]
    allocator = {} if case.alone else {"MALLOC_MMAP_THRESHOLD_": str(LARGE)}
    done = subprocess.run(
        command + ["--quick"] * options.quick,
        cwd=ROOT,
        env=os.environ | allocator,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure_alone(bench: str, case: Case, options: Options) -> list[Row]:
    rows = []
    for one in case.implementations:
        progress = tqdm(range(case.alone), desc=f"{case.name}, {one.name}", leave=False)
        runs = [run_alone(bench, case, one, options) for _ in progress]
        row = _row(case, one.name) | {
            "rounds": len(runs),
            "seconds": float(np.median([run["seconds"] for run in runs])),
            "peak_mib": max(run["peak_mib"] for run in runs),
        }
        rows.append(row)
        if one.check:
            rows.append(_check_row(case, one.name, max(run["difference"] for run in runs)))
    return rows


def _row(case: Case, implementation: str, baseline: str | None = None) -> Row:
    row = {"table": case.table, "case": case.name, "implementation": implementation}
    return row | ({"baseline": baseline} if baseline else {}) | dict(case.size)


def _compare_times(first: np.ndarray, second: np.ndarray) -> Row:
    return {
        "ratio": float(np.median(first / second)),
        "rounds": len(first),
        "seconds": float(np.median(first)),
        "baseline_seconds": float(np.median(second)),
    }


def _compare_memory(first: float, second: float) -> Row:
    ratio = first / second if second else math.nan
    return {"memory_ratio": ratio, "extra_mib": first, "baseline_extra_mib": second}


def _check_row(case: Case, implementation: str, difference: float) -> Row:
    found = {"table": "check", "difference": difference}
    return _row(case, implementation, DEFINITION) | found


def read_memory() -> tuple[int, int]:
    """Return the highest and the present resident size of this process, in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {line[0]: int(line[1]) * 1024 for line in lines if line[0] in ("VmHWM:", "VmRSS:")}
    return sizes["VmHWM:"], sizes["VmRSS:"]


def weigh(call: Call) -> tuple[dict[str, float], Any]:
    """Return time and memory of one call, and its result."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        message = "warning: the high-water mark of memory could not be set back"
        print(f"{message}: figures are upper bounds", file=sys.stderr)
    _, before = read_memory()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    peak, _ = read_memory()
    extra = peak - before
    return {"seconds": seconds, "extra_mib": extra / 2**20, "peak_mib": peak / 2**20}, result


def main() -> None:
    """Run one implementation of one case in this process and print what it took, as JSON."""
    parser = argparse.ArgumentParser()
    for name in ("bench", "table", "case", "implementation"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    set_threads(given.threads)
    cases: list[Case] = importlib.import_module(f"bench.{given.bench}").cases(given.quick)
    case = next(case for case in cases if (case.table, case.name) == (given.table, given.case))
    implementation = next(one for one in case.implementations if one.name == given.implementation)
    implementation.build("tiny")()
    found, result = weigh(implementation.build("whole"))
    if case.alone and implementation.check:
        found["difference"] = implementation.check(result)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
