"""Kill a flow at random moments, run it again, and compare every byte with an undisturbed run.

`python -m bench.kills repro --moments 20`, in a small setting; `--empty-locks` empties the locks
after each kill. In place of a target of make, repro or tune, it takes one of DVC, such as
evaluate@compare. Prints a line for each moment; the last one counts those that ended alike.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.clones import SMALL, build_clone, list_locks
from geomix.config.read import read_yaml
from stages import Arguments, run

STAGE = 'python -m stages.mend && dvc repro "$1"'  # as make does
WRITTEN = ("data", "runs", "results", "reports")


def main() -> None:
    """Run a target undisturbed, then kill it at each moment."""
    arguments = Arguments(description="Writes nothing into the repository.")
    arguments.add_argument("target", help="repro or tune, by make; or a stage, by dvc repro")
    arguments.add_argument("--moments", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments.add_argument("--empty-locks", action="store_true", help="after each kill")
    given = arguments.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        clone = build_clone(Path(place) / "clone", SMALL)
        first = shutil.copytree(clone, Path(place) / "undisturbed", symlinks=True)
        start = time.monotonic()
        if (code := start_flow(first, given.target).wait()) != 0:
            raise SystemExit(f"{given.target}: exit code {code}, undisturbed")
        lasted = time.monotonic() - start
        expected, alike = dict(hash_files(first)), 0
        print(f"undisturbed: {lasted:.0f} s, {len(expected)} files", flush=True)
        for number in range(given.moments):
            moment = moments.uniform(0, lasted)
            again = shutil.copytree(clone, Path(place) / "again", symlinks=True)
            kill(start_flow(again, given.target), moment)
            for lock in list_locks(again) if given.empty_locks else ():
                lock.write_text("")
            code = start_flow(again, given.target).wait()
            other = list_differences(expected, dict(hash_files(again)))
            alike += not code and not other
            found = ", ".join(other[:3]) or "alike"
            print(f"{number + 1}: killed after {moment:.1f} s: {code}, {found}", flush=True)
            shutil.rmtree(again)
    print(f"{alike} of {given.moments} ended with the bytes of the undisturbed run")


def start_flow(folder: Path, target: str) -> subprocess.Popen[bytes]:
    """Start a target in a process group of its own, with the code of that folder."""
    made = target in ("repro", "tune")
    path = os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]])
    return subprocess.Popen(
        ["make", "-s", target] if made else ["sh", "-c", STAGE, "sh", target],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(started: subprocess.Popen[bytes], moment: float) -> None:
    """Kill the whole group of a process after so many seconds, if it still runs."""
    try:
        started.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def hash_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield all that a flow writes: its name, and the SHA-256 of its bytes.

    Stages stand in a lock in the order in which DVC ran them, which is another each time. Locks are
    compared without it.
    """
    files = [path for name in WRITTEN for path in (folder / name).rglob("*") if path.is_file()]
    for path in sorted(files):
        yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()
    for lock in list_locks(folder):
        content = json.dumps(read_yaml(lock), sort_keys=True).encode()
        yield str(lock.relative_to(folder)), hashlib.sha256(content).hexdigest()


def list_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """List the files that are in one alone, or differ."""
    return sorted({name for name, _ in expected.items() ^ found.items()})


if __name__ == "__main__":
    run(main)
