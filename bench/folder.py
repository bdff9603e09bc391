"""A large folder of a person: time and memory of download and preprocess.

    python -m bench.folder

40,000 small pictures with a CSV of three levels, 5 % of them copies and 1 % broken. Each stage runs
as a process of its own, as in the pipeline. Bounds on 2 cores: 4 minutes for both, 1 GB for each
with its workers.
"""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from ruamel.yaml import YAML

from bench import ROOT
from stages import Arguments

PICTURES, SIDES = 40_000, (48, 64)  # pixels of the shorter and the longer side
COPIES, BROKEN = 0.05, 0.01  # shares
CLASSES, FAMILIES, KINDS = 1600, 200, 20  # of three levels, the label the lowest
QUALITY = 85  # of JPEG
BOUNDS = {"seconds": 240, "megabytes": 1000}
PAUSE = 0.05  # seconds between two looks at memory


def draw_pictures(count: int) -> Iterator[bytes]:
    """Draw JPEG files: a colour and a block of noise of each."""
    random = np.random.default_rng(0)
    copies = random.random(count) < COPIES
    broken = random.random(count) < BROKEN
    last = b""
    for number in range(count):
        if copies[number] and last:
            yield last
            continue
        small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        sides = SIDES if number % 2 else SIDES[::-1]
        file = io.BytesIO()
        Image.fromarray(small).resize(sides).save(file, "JPEG", quality=QUALITY)
        content = file.getvalue()
        if broken[number]:
            yield content[: len(content) // 3]
            continue
        last = content
        yield content


def write_folder(folder: Path, count: int) -> None:
    """Write pictures in folders of 500, and table.csv with a row for each."""
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "kind", "family"])
        for number, content in enumerate(draw_pictures(count)):
            place = f"{number // 500}/{number}.jpg"
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(content)
            label = number % CLASSES
            family = label % FAMILIES
            table.writerow([place, f"c{label}", f"k{family % KINDS}", f"f{family}"])


def write_params(path: Path, folder: Path, count: int) -> None:
    """Write a params.yaml that names the folder and allows broken pictures."""
    yaml = YAML()
    yaml.width = 10**6
    content = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["folder"].update(path=str(folder), table="table.csv")
    content["images"].update(broken=count)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def weigh(process: psutil.Process) -> int:
    """Return the bytes that a process and those that it started hold in memory."""
    held = 0
    for one in (process, *process.children(recursive=True)):
        try:
            held += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return held


def run_stage(work: Path, stage: str, *arguments: str) -> dict[str, float]:
    """Run a stage; return its seconds, its seconds on the processor, and the most memory it had."""
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began, before = time.monotonic(), os.times()
    with subprocess.Popen(command, cwd=work, env=environment) as child:
        most, ended = 0, threading.Event()
        process = psutil.Process(child.pid)

        def watch() -> None:
            """Keep the most memory that was seen."""
            nonlocal most
            while not ended.wait(PAUSE):
                try:
                    most = max(most, weigh(process))
                except psutil.NoSuchProcess:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = child.wait()
        ended.set()
        watcher.join()
    if code:
        raise SystemExit(f"error: stage {stage} ended with {code}")
    after = os.times()
    used = after.children_user - before.children_user
    used += after.children_system - before.children_system
    seconds = time.monotonic() - began
    return {"seconds": seconds, "processor": used, "megabytes": most / 1e6}


def main() -> None:
    """Make the folder, measure both stages and say whether they keep the bounds."""
    arguments = Arguments(description=__doc__)
    arguments.add_argument("--pictures", type=int, default=PICTURES)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="geomix-folder-"))
    try:
        (work / "own").mkdir()
        write_folder(work / "own", given.pictures)
        write_params(work / "params.yaml", work / "own", given.pictures)
        data = ("--dataset", "folder")
        found = {
            "download": run_stage(work, "download", *data, "--out", "raw"),
            "preprocess": run_stage(work, "preprocess", *data, "--raw", "raw", "--out", "packed"),
        }
        card = json.loads((work / "packed" / "card.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(work)
    for stage, figures in found.items():
        print(f"{stage}: " + ", ".join(f"{value:.0f} {name}" for name, value in figures.items()))
    print(f"left out: {len(card['left_out'])} of {given.pictures}")
    for name, bound in BOUNDS.items():
        values = [figures[name] for figures in found.values()]
        total = sum(values) if name == "seconds" else max(values)
        kept = "within" if total <= bound else "above"
        print(f"{total:.0f} {name}, {kept} the bound of {bound}")


if __name__ == "__main__":
    main()
