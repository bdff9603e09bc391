"""Kill a flow at random moments, run it again, and compare every byte with an undisturbed run.

`python -m bench.kills repro --moments 20`, in a small setting; `--empty-locks` empties the locks
after each kill. Prints a line for each moment; the last one counts those that ended alike.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench import ROOT
from stages import Arguments, run

SMALL: dict[str, Any] = {
    "epochs": 1,
    "split": {"train": 0.05, "val": 0.02, "test": 0.03},
    "backbone": {"patch": 16, "width": 16, "depth": 1, "heads": 2},
    "batch": {"classes": 8, "images": 2},
    "baselines": {"seeds": ["0"]},
    "study": {
        "compare": {"run": {"geometries": ["euclidean", "hyperbolic_free"], "seeds": ["0"]}},
        "tau": {"run": {"geometries": ["euclidean", "flat_free"], "seeds": ["0"]}},
        "curvature": {"over": {"curvature": [0, 1]}},
        "aa": {"run": {"seeds": ["0-5"]}},
    },
    "tune": {
        "geometries": ["euclidean", "hyperbolic_free"],
        "budget": {"glyphs": {"trials": 2, "folds": 2, "seeds": ["10"], "splits": [1]}},
    },
}
WRITTEN = ("data", "runs", "results", "reports")
LOCKS = ("dvc.lock", "flows/*/dvc.lock")


def main() -> None:
    """Run a target of make undisturbed, then kill it at each moment."""
    arguments = Arguments(description="Writes nothing into the repository.")
    arguments.add_argument("target", choices=["repro", "tune"])
    arguments.add_argument("--moments", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments.add_argument("--empty-locks", action="store_true", help="after each kill")
    given = arguments.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        clone = build_clone(Path(place) / "clone")
        first = shutil.copytree(clone, Path(place) / "undisturbed", symlinks=True)
        start = time.monotonic()
        if (code := make(first, given.target).wait()) != 0:
            raise SystemExit(f"make {given.target}: exit code {code}, undisturbed")
        lasted = time.monotonic() - start
        expected, alike = dict(hash_files(first)), 0
        print(f"undisturbed: {lasted:.0f} s, {len(expected)} files", flush=True)
        for number in range(given.moments):
            moment = moments.uniform(0, lasted)
            again = shutil.copytree(clone, Path(place) / "again", symlinks=True)
            kill(make(again, given.target), moment)
            for lock in list_locks(again) if given.empty_locks else ():
                lock.write_text("")
            code = make(again, given.target).wait()
            other = list_differences(expected, dict(hash_files(again)))
            alike += not code and not other
            found = ", ".join(other[:3]) or "alike"
            print(f"{number + 1}: killed after {moment:.1f} s: {code}, {found}", flush=True)
            shutil.rmtree(again)
    print(f"{alike} of {given.moments} ended with the bytes of the undisturbed run")


def build_clone(folder: Path) -> Path:
    """Clone the repository with small settings and this environment, and nothing that was run."""
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    for lock in list_locks(folder):
        lock.unlink()
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    lay(params, SMALL)
    for own in params["control"]["own"].values():
        own["epochs"] = 2
    yaml.dump(params, folder / "params.yaml")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", *author, "commit", "-qam", "small"], cwd=folder, check=True)
    environment = Path(sys.prefix)
    (folder / ".venv").symlink_to(environment)
    (environment / "installed").touch()
    return folder


def lay(params: Any, settings: Mapping[str, Any]) -> None:
    """Lay nested settings over params."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and key in params:
            lay(params[key], value)
        else:
            params[key] = value


def make(folder: Path, target: str) -> subprocess.Popen[bytes]:
    """Start a target in a process group of its own, with the code of that folder."""
    return subprocess.Popen(
        ["make", "-s", target],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
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
    """Yield all that a flow writes: its name, and the SHA-256 of its bytes."""
    files = [path for name in WRITTEN for path in (folder / name).rglob("*") if path.is_file()]
    for path in sorted([*files, *list_locks(folder)]):
        yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()


def list_locks(folder: Path) -> list[Path]:
    """List the locks of all flows that are there."""
    return [path for pattern in LOCKS for path in sorted(folder.glob(pattern))]


def list_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """List the files that are in one alone, or differ."""
    return sorted(name for name, _ in expected.items() ^ found.items())


if __name__ == "__main__":
    run(main)
