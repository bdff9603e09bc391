"""All that is to be measured and tested on a GPU, in one command of at most 10 minutes.

`python -m bench.device --out FOLDER --mirror FOLDER`

1. tests: those marked cuda.
2. train: `python -m bench.train`, with its rows for CUDA, into FOLDER/bench/results.
3. photographs: a Vision Transformer trained and scored on GroceryStore, whose archive is in the
   mirror (docs/data.md); by DVC, in a clone of the last commit.

A step that fails or runs out of time stops no other. FOLDER/device.json says what ran, with which
outcome, of which commit and on what machine; FOLDER/<step>.log is what a step printed. Where there
is no GPU the same runs, tests are skipped, and rows for CUDA are "not measured".
"""

import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bench import ROOT
from bench.clones import build_clone
from bench.page import RESULTS, describe_machine
from geomix.errors import InputError
from geomix.files import write_json
from stages import Arguments, run

LONGEST = 600.0  # seconds of all steps
LIMITS = {"tests": 120.0, "train": 300.0, "photographs": 240.0}
FLOW = "flows/kernel/dvc.yaml"
NETWORK = {
    "name": "vit_small_patch16_224",
    "stem": "patch",
    "side": 128,
    "patch": 16,
    "width": None,
    "depth": None,
    "heads": None,
}


def run_tests(out: Path, mirror: Path | None, seconds: float) -> str:
    """Run the tests marked cuda."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-rs", "-p", "no:cacheprovider"]
    return log_command(command, ROOT, out / "tests.log", seconds)


def train(out: Path, mirror: Path | None, seconds: float) -> str:
    """Run the benchmark of training."""
    command = [sys.executable, "-m", "bench.train", "--out", str(out)]
    return log_command(command, ROOT, out / "train.log", seconds)


def train_on_photographs(out: Path, mirror: Path | None, seconds: float) -> str:
    """Train and score one cell of study `kernel`; its metrics are copied."""
    if mirror is None:
        return "not run: no --mirror"
    cuda = torch.cuda.is_available()
    settings = {
        "download": {"mirror": str(mirror.resolve())},
        "images": {"form": "encoded"},  # NETWORK sees as many pixels as are packed else
        "kernel": {
            "run": {"geometries": ["hyperbolic"], "seeds": ["0"]},
            "over": {"head": {"norm": ["batch"]}},
            "own": {"grocerystore": {"epochs": 20, "backbone": NETWORK} if cuda else {"epochs": 1}},
        },
    }
    with tempfile.TemporaryDirectory() as scratch:
        clone = build_clone(Path(scratch) / "clone", settings)
        command = [sys.executable, "-m", "dvc", "repro", f"{FLOW}:evaluate@grocerystore"]
        outcome = log_command(command, clone, out / "photographs.log", seconds)
        metrics = clone / "results/kernel/grocerystore/cells/metrics.csv"
        if metrics.is_file():
            shutil.copy(metrics, out / "photographs.csv")
    return outcome


STEPS: dict[str, Callable[[Path, Path | None, float], str]] = {
    "tests": run_tests,
    "train": train,
    "photographs": train_on_photographs,
}


def log_command(command: Sequence[str], folder: Path, log: Path, seconds: float) -> str:
    """Run a command in a folder, its output into a log.

    Returns:
        passed, failed with its exit code, or stopped when its time was over.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src")}
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"stopped after {seconds:.0f} s"
    return f"failed: exit code {code}" if code else "passed"


def describe_origin() -> dict[str, Any]:
    """Describe commit, machine, GPU and versions."""
    names = "name,driver_version,memory.total,power.limit"
    query = ["nvidia-smi", f"--query-gpu={names}", "--format=csv,noheader"]
    packages = ("torch", "torchvision", "timm", "numpy", "pillow", "faiss-cpu")
    return {
        "commit": read(["git", "rev-parse", "HEAD"]),
        "changed": read(["git", "status", "--porcelain", "--untracked-files=no"]).splitlines(),
        "gpus": read(query).splitlines(),
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        **describe_machine(torch.get_num_threads()),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def read(command: Sequence[str]) -> str:
    """Return what a command prints in the root of the repository, nothing if it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> None:
    """Run all steps, as long as there is time."""
    arguments = Arguments(description="Writes into the target folder alone.")
    arguments.add_argument("--out", type=Path, required=True, help="the target folder")
    arguments.add_argument("--mirror", type=Path, help="with grocerystore/<archive>")
    arguments.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    given = arguments.parse_args()
    if given.out.resolve() == ROOT:
        raise InputError("command line: --out: found the repository, expected another folder")
    (given.out / RESULTS).mkdir(parents=True, exist_ok=True)
    record = {"origin": describe_origin(), "steps": {}}
    end = time.monotonic() + LONGEST
    for name in given.only:
        start = time.monotonic()
        left = min(LIMITS[name], end - start)
        outcome = (
            STEPS[name](given.out, given.mirror, left) if left > 1 else "not run: no time left"
        )
        record["steps"][name] = {"outcome": outcome, "seconds": round(time.monotonic() - start)}
        write_json(given.out / "device.json", record)
        print(f"{name}: {outcome}", flush=True)


if __name__ == "__main__":
    run(main)
