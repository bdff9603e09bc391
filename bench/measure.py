"""Time and memory of several implementations of one case.

Time: after one call of each, the implementations run in turn, round by round (A B C A B C ...), so
that what else the machine does meets all of them alike. A ratio is the median over rounds of the
ratio within a round. Rounds are run until a budget of seconds is spent. A call of less than 2 ms is
repeated within its round.

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
from tqdm import tqdm

from bench import ROOT

Call = Callable[[], Any]
Size = Literal[
    "tiny", "timed", "whole"
]  # warm up before memory is measured; measure time; measure memory
Row = dict[str, Any]

SHORTEST = 0.002  # seconds of a call that is timed alone
LEAST, MOST = 5, 201  # rounds
BRIEF = 0.1  # seconds of a call that is warmed up twice
LARGE = 2**17  # bytes of a block that is mapped alone
DEFINITION = "float64 definition"


@dataclass(frozen=True)
class Implementation:
    """One way to compute a case."""

    name: str
    build: Callable[[Size], Call]
    """Make the inputs of a size; the call computes."""
    scale: float = 1.0
    """How many times the work of "timed" the whole case is."""
    check: Callable[[Any], float] | None = None
    """Give the difference of a result of "timed" from a definition in float64."""


@dataclass(frozen=True)
class Ratio:
    """What is divided by what, by the names of implementations."""

    implementation: str
    baseline: str
    difference: Callable[[Any, Any], float] | None = None
    """Give the difference of the results, where they should be equal."""


@dataclass(frozen=True)
class Case:
    """What is computed, how, and what is compared."""

    table: str
    name: str
    implementations: tuple[Implementation, ...]
    ratios: tuple[Ratio, ...]
    memory: bool = True
    size: tuple[tuple[str, int], ...] = ()
    """Columns of the rows, such as (("n", 900), ("d", 128))."""
    alone: int = 0
    """Above 0: time too is measured in fresh processes, so many of each implementation, and whole processes are weighed."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    quick: bool
    out: Path
    threads: int
    budget: float


def set_threads(threads: int) -> None:
    """Let torch and faiss use so many threads."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def measure_case(bench: str, case: Case, options: Options) -> list[Row]:
    """Measure a case: a row for each ratio, and one for each check.

    Args:
        bench: The module of the case: loss, search or metrics.
        case: Of `cases(options.quick)` of that module.
        options: Of the command line.

    Returns:
        Rows of a CSV; quantities that were not measured are missing.
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
        memory = {
            one.name: run_alone(bench, case, one, options)["extra_mib"]
            for one in case.implementations
        }
    rows = []
    for ratio in case.ratios:
        a, b = seconds[ratio.implementation], seconds[ratio.baseline]
        row: Row = {
            "table": case.table,
            "case": case.name,
            "implementation": ratio.implementation,
            "baseline": ratio.baseline,
        }
        row |= dict(case.size) | {"ratio": float(np.median(a / b)), "rounds": len(a)}
        row |= {"seconds": float(np.median(a)), "baseline_seconds": float(np.median(b))}
        if memory:
            mine, base = memory[ratio.implementation], memory[ratio.baseline]
            row |= {
                "memory_ratio": mine / base if base else math.nan,
                "extra_mib": mine,
                "baseline_extra_mib": base,
            }
        if ratio.difference:
            row["difference"] = ratio.difference(
                results[ratio.implementation], results[ratio.baseline]
            )
        rows.append(row)
    for one in case.implementations:
        if one.check:
            rows.append(_check_row(case, one.name, one.check(results[one.name])))
    return rows


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
    results, first = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        results[name] = call()
        first[name] = time.perf_counter() - start
        if first[name] < BRIEF:  # much of it is the start
            start = time.perf_counter()
            call()
            first[name] = time.perf_counter() - start
    repeats = {
        name: max(1, math.ceil(SHORTEST / max(spent, 1e-6))) for name, spent in first.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    end = time.perf_counter() + budget
    try:
        for count in tqdm(range(MOST), desc=title, leave=False, mininterval=0.5):
            if count >= LEAST and time.perf_counter() > end:
                break
            for name, call in calls.items():
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
    command = [
        sys.executable,
        "-m",
        "bench.measure",
        bench,
        case.table,
        case.name,
        implementation.name,
    ]
    command += ["--threads", str(options.threads)] + ["--quick"] * options.quick
    allocator = {} if case.alone else {"MALLOC_MMAP_THRESHOLD_": str(LARGE)}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | allocator, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure_alone(bench: str, case: Case, options: Options) -> list[Row]:
    rows = []
    for one in case.implementations:
        runs = [
            run_alone(bench, case, one, options)
            for _ in tqdm(range(case.alone), desc=f"{case.name}, {one.name}", leave=False)
        ]
        row: Row = (
            {"table": case.table, "case": case.name, "implementation": one.name}
            | dict(case.size)
            | {"rounds": len(runs)}
        )
        row |= {
            "seconds": float(np.median([run["seconds"] for run in runs])),
            "peak_mib": max(run["peak_mib"] for run in runs),
        }
        rows.append(row)
        if one.check:
            rows.append(_check_row(case, one.name, max(run["difference"] for run in runs)))
    return rows


def _check_row(case: Case, implementation: str, difference: float) -> Row:
    names: Row = {
        "table": "check",
        "case": case.name,
        "implementation": implementation,
        "baseline": DEFINITION,
    }
    return names | dict(case.size) | {"difference": difference}


def read_memory() -> tuple[int, int]:
    """Give the highest and the present resident size of this process, in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {line[0]: int(line[1]) * 1024 for line in lines if line[0] in ("VmHWM:", "VmRSS:")}
    return sizes["VmHWM:"], sizes["VmRSS:"]


def weigh(call: Call) -> tuple[dict[str, float], Any]:
    """Give time and memory of one call, and its result."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print(
            "warning: the high-water mark of memory could not be set back: figures are upper bounds",
            file=sys.stderr,
        )
    _, before = read_memory()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    peak, _ = read_memory()
    return {
        "seconds": seconds,
        "extra_mib": (peak - before) / 2**20,
        "peak_mib": peak / 2**20,
    }, result


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
