"""Benchmark of the default flow: each stage's processes, their start-up apart.

`python -m bench.end_to_end`

`make repro` runs in a scratch clone of the last commit, in which nothing was run before. There
`python` notes what each process of a stage takes; nothing else differs. `--quick` runs the flow in
a small setting.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.clones import SMALL, build_clone
from bench.command import parse_options, run_benchmark
from bench.measure import Row
from stages import run

CASE, QUICK = "make repro", "make repro, small setting"
ALL, WHOLE, BETWEEN = "all stages", "the whole flow", "DVC and make, no stage at work"
# Stands for python in the clone.
PYTHON = """\
#!/bin/sh
case "$1 $2" in "-m stages."*) exec {python} {timed} {log} "$@" ;; esac
exec {python} "$@"
"""
# Runs a stage, and adds a line to the log: what it was, from when to when on the clock of the
# system, the seconds of its start-up, and the highest memory of the process or of a worker.
# Start-up is what passes before Python runs, and all imports, wherever they stand.
TIMED = """\
import builtins, json, os, resource, runpy, sys, time


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


with open("/proc/self/stat") as file:
    begin = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
start_up = now() - begin
inside = False
find = builtins.__import__


def timed_import(*arguments, **named):
    global inside, start_up
    if inside:
        return find(*arguments, **named)
    inside, start = True, now()
    try:
        return find(*arguments, **named)
    finally:
        inside = False
        start_up += now() - start


log, _, name, *_ = sys.argv[1:]
sys.argv = sys.argv[3:]
sys.path[0] = os.getcwd()
builtins.__import__ = timed_import
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
finally:
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    found = {"arguments": sys.argv, "begin": begin, "end": now(), "start_up": start_up}
    with open(log, "a") as file:
        file.write(json.dumps(found | {"peak": peak / 1024}) + chr(10))
"""

Process = Mapping[str, Any]  # a line of the log


def time_python(folder: Path, clone: Path) -> Path:
    """Put a python into the environment of a clone that notes stages; return its log."""
    timed, log = folder / "timed.py", folder / "log"
    timed.write_text(TIMED)
    log.touch()
    names = {"python": sys.executable, "timed": timed, "log": log}
    program = PYTHON.format(**{name: shlex.quote(str(path)) for name, path in names.items()})
    python = clone / ".venv/bin/python"
    python.unlink()
    python.write_text(program)
    python.chmod(0o755)
    return log


def time_flow(quick: bool) -> tuple[float, list[Process]]:
    """Run the flow; return the seconds that passed, and the processes of its stages."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = build_clone(Path(scratch) / "clone", SMALL if quick else {})
        log = time_python(Path(scratch), clone)
        start = time.monotonic()
        subprocess.run(
            ["make", "--silent", "repro"],
            cwd=clone,
            env=os.environ | {"PYTHONPATH": str(clone / "src")},
            stdout=sys.stderr,
            check=True,
        )
        seconds = time.monotonic() - start
        return seconds, [json.loads(line) for line in log.read_text().splitlines()]


def name_stage(arguments: Sequence[str]) -> str:
    """Name a stage, and of a cell or a page the study: runs/<dataset>/<study>/<cell>."""
    module = arguments[0].removeprefix("stages.")
    out = arguments[arguments.index("--out") + 1] if "--out" in arguments else ""
    parts = Path(out).parts
    study = parts[2] if module in ("train", "evaluate", "page") and len(parts) > 2 else ""
    return f"{module} {study}".strip()


def summarise(seconds: float, processes: Sequence[Process], case: str) -> list[Row]:
    """Return a row for each stage, one for all of them, and two for what passed on the clock.

    Args:
        seconds: That the flow took.
        processes: Of its stages.
        case: The name of the case.
    """
    stages: dict[str, list[Process]] = {}
    for process in sorted(processes, key=lambda one: float(one["begin"])):
        stages.setdefault(name_stage(process["arguments"]), []).append(process)
    groups = [*stages.items(), (ALL, list(processes))]
    rows: list[Row] = [
        {
            "implementation": name,
            "seconds": sum(one["end"] - one["begin"] for one in group),
            "startup_seconds": sum(one["start_up"] for one in group),
            "processes": len(group),
            "peak_mib": max(one["peak"] for one in group),
        }
        for name, group in groups
    ]
    at_work = sum(end - begin for begin, end in join_spans(processes))
    rows.append({"implementation": BETWEEN, "seconds": seconds - at_work})
    rows.append({"implementation": WHOLE, "seconds": seconds})
    return [{"table": "flow", "case": case, "rounds": 1} | row for row in rows]


def join_spans(processes: Sequence[Process]) -> Iterator[tuple[float, float]]:
    """Yield the spans of time in which at least one process ran."""
    spans = sorted((float(one["begin"]), float(one["end"])) for one in processes)
    begin, end = spans[0]
    for start, stop in spans[1:]:
        if start > end:
            yield begin, end
            begin, end = start, stop
        end = max(end, stop)
    yield begin, end


def main() -> None:
    """Measure and write."""
    options = parse_options(threads=1)  # of a cell; cells run on all cores
    case = QUICK if options.quick else CASE
    run_benchmark("end_to_end", [], options, lambda: summarise(*time_flow(options.quick), case))


if __name__ == "__main__":
    run(main)
