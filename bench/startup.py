"""Benchmark of the start-up: what a cell costs before its first step, and what DVC adds to that.

`python -m bench.startup`
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from bench import ROOT
from bench.command import parse_options, run_benchmark
from bench.measure import Row
from geomix.config.read import read_yaml
from geomix.config.sections import Images, Split
from geomix.datasets.listing import Listing
from geomix.preprocess.pack import pack
from stages import run

ROUNDS = 7
SIDE = 32  # pixels
STAGES = 5  # of DVC, that do nothing
ONE, ALL = "dvc repro of one stage", "dvc repro of all stages"
# Runs the module that follows on the command line, and ends the process at its first step.
FIRST_STEP = """
import os, runpy, sys
from torch.optim.optimizer import register_optimizer_step_pre_hook
register_optimizer_step_pre_hook(lambda *_: os._exit(0))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
sys.exit("no step was made")
"""


def pack_noise(out: Path, classes: int, images: int) -> None:
    """Pack grey squares of noise."""
    rows = range(classes * images)
    pixels = np.random.default_rng(0).integers(0, 256, (len(rows), SIDE, SIDE, 1), np.uint8)
    table = {"id": [str(row) for row in rows], "label": [str(row % classes) for row in rows]}
    samples, stored = pd.DataFrame(table), lambda: iter(enumerate(pixels))
    listing = Listing(samples, (), stored, channels=1, side=SIDE)
    split = Split(seed=0, train=0.5, val=0.125, test=0.375)
    pack("noise", listing, out, split, Images(form="auto", side=None, broken=0))


def clone_flow(folder: Path) -> None:
    """Clone this repository, and add stages to its flow that do nothing."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    path = folder / "dvc.yaml"
    flow = read_yaml(path)
    flow["stages"]["step"] = {
        "matrix": {"number": list(range(STAGES))},
        "cmd": "echo > step-${item.number}",
        "deps": ["params.yaml"],
        "outs": ["step-${item.number}"],
    }
    path.write_text(json.dumps(flow))  # JSON is YAML


def startup_rows(quick: bool) -> list[Row]:
    """Time the commands in turn, and return a row for each kind of start-up."""
    with tempfile.TemporaryDirectory() as scratch:
        data, clone = Path(scratch, "data"), Path(scratch, "clone")
        pack_noise(data, *((70, 4) if quick else (1216, 12)))
        clone_flow(clone)
        cell = ["stages.train", "--geometry", "euclidean", "--tau", "0.1", "--seeds", "0"]
        cell += ["--data", str(data), "--out", f"{scratch}/cell"]
        repro = ["-m", "dvc", "repro", "--force", "--quiet"]
        commands = {
            "python": ["-c", "pass"],
            "import torch": ["-c", "import torch"],
            "import torch, timm": ["-c", "import torch, timm"],
            "a cell until its first step": ["-c", FIRST_STEP, *cell],
            ONE: [*repro, "step@0"],
            ALL: [*repro, "step"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in tqdm(range(1 if quick else ROUNDS), desc="rounds", leave=False):
            for name, arguments in commands.items():
                folder = clone if name in (ONE, ALL) else ROOT
                start = time.perf_counter()
                subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
                seconds[name].append(time.perf_counter() - start)
        return summarise(seconds)


def summarise(seconds: Mapping[str, list[float]]) -> list[Row]:
    """Return rows of medians and minima, and of what DVC adds to a stage.

    Args:
        seconds: Of each round, by command.
    """
    found = {name: np.array([np.median(one), min(one)]) for name, one in seconds.items()}
    one, every = found.pop(ONE), found.pop(ALL)
    added = (every - one) / (STAGES - 1)
    found |= {"DVC before the first stage": one - added, "DVC for each stage": added}
    names = {"table": "startup", "case": "start-up", "rounds": len(seconds[ONE])}
    return [
        {**names, "implementation": name, "seconds": median, "least_seconds": least}
        for name, (median, least) in found.items()
    ]


def main() -> None:
    """Measure and write."""
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    run_benchmark("startup", [], options, lambda: startup_rows(options.quick))


if __name__ == "__main__":
    run(main)
