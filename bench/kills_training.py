"""Kill a small training at random moments; each must end with the bytes of one that was not killed.

`python -m bench.kills_training --kills 20 --signal KILL`
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import ROOT
from geomix.errors import InputError
from geomix.files import hash_file
from stages import Arguments, run

STAGE = [sys.executable, "-m"]
SMALL = "--epochs 2 --backbone.width 32 --backbone.drop_path 0.2 --machine.snapshot_minutes 0.001"
CELL = f"--geometry hybrid_free --seeds 0-1 --tau 0.1 --curvature 1 --lam 1 {SMALL}"


def main() -> None:
    """Train once in peace, then again and again with a kill."""
    arguments = Arguments(description="Writes nothing into the repository.")
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments.add_argument("--signal", choices=["KILL", "TERM"], default="KILL")
    given = arguments.parse_args()
    moments = random.Random(given.seed)
    number = signal.Signals[f"SIG{given.signal}"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pack_glyphs(folder)
        began = time.monotonic()
        train(folder, "peace").wait()
        length = time.monotonic() - began
        expected = hashes(folder / "peace")
        equal = 0
        for kill in range(given.kills):
            shutil.rmtree(folder / "killed", ignore_errors=True)
            moment = moments.uniform(0, length)
            resumed = train_with_kill(folder, moment, number)
            same = hashes(folder / "killed") == expected
            equal += same
            words = f"{number.name} at {moment:.1f} of {length:.1f} s, {resumed}"
            print(f"{kill + 1}: {words}: {'same bytes' if same else 'OTHER BYTES'}", flush=True)
        left = list((folder / ".geomix/snapshots").iterdir())
    print(f"{equal} of {given.kills} trainings ended with the same bytes")
    if equal < given.kills or left:
        raise InputError(f"kills: found {equal} equal and {len(left)} snapshots left over")


def pack_glyphs(folder: Path) -> None:
    """Make the data set of the default flow in a folder."""
    data = "--dataset glyphs"
    start(folder, f"stages.download {data} --out {folder}/raw").wait()
    start(folder, f"stages.preprocess {data} --raw {folder}/raw --out {folder}/packed").wait()


def train_with_kill(folder: Path, moment: float, number: int) -> str:
    """Start a training, kill it, and train to the end; say what the kill left."""
    process = train(folder, "killed")
    try:
        process.wait(moment)
        return "it had ended before"
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait()
    kept = list((folder / ".geomix/snapshots").glob("*/stopped/*/*.safetensors"))
    cells = list((folder / ".geomix/snapshots").glob("*/cells/*"))
    left = f"{len(kept)} snapshot and {len(cells)} finished cells left"
    if train(folder, "killed").wait():
        raise InputError(f"kills: found a training that failed after a kill at {moment:.2f} s")
    return left


def train(folder: Path, out: str) -> subprocess.Popen[bytes]:
    """Start the training."""
    return start(folder, f"stages.train {CELL} --data {folder}/packed --out {folder}/{out}")


def start(folder: Path, command: str) -> subprocess.Popen[bytes]:
    """Start a stage whose snapshots lie in the folder."""
    environment = os.environ | {"DVC_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*STAGE, *command.split()], cwd=ROOT, env=environment)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


if __name__ == "__main__":
    run(main)
