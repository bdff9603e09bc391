"""Benchmark of the images: packing photographs, and augmented batches of them.

`python -m bench.images`
"""

import atexit
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench import ROOT
from bench.command import parse_options, run_benchmark
from bench.measure import FORMS, Call, Case, Implementation, Ratio, Row, Size
from geomix.data.crops import draw_crops, draw_flips
from geomix.data.images import load_batch
from geomix.data.packed import Encoded, Packed
from stages import run

WIDTH, HEIGHT, QUALITY = 500, 400, 90  # of the photographs
# Pixels of their smooth part, and the deviation of the noise on it: 80 kB each.
GRAIN, NOISE = 20, 8.0
DISTINCT = 128  # photographs that are made; others repeat them
SIDE, AREA, FLIP = 224, 0.2, 0.5
SQUARE = 256  # of the decoded form
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOADERS = 2
PAUSE = 0.1  # seconds between two looks at the memory
PACK = """
import json, sys, time
from pathlib import Path
import pandas as pd
from geomix.config.sections import Images, Split
from geomix.datasets.listing import Listing
from geomix.preprocess.pack import pack
folder, out, form, count, side = sys.argv[1:]
paths, rows = sorted(Path(folder).iterdir()), range(int(count))
names, labels = [str(row) for row in rows], [str(row % 20) for row in rows]
samples = pd.DataFrame({"id": names, "label": labels})
listing = Listing(
    samples, (), lambda: ((row, paths[row % len(paths)].read_bytes()) for row in rows)
)
split = Split(seed=0, train=0.5, val=0.25, test=0.25)
images = Images(form=form, side=int(side) if form == "decoded" else None, broken=0)
start = time.perf_counter()
pack("photographs", listing, Path(out), split, images)
print(json.dumps(time.perf_counter() - start))
"""


@dataclass(frozen=True)
class Format:
    """The format in which the network of the benchmark takes its images."""

    side: int
    mean: Tensor
    std: Tensor


@cache
def draw_photographs(count: int) -> Path:
    """Draw JPEGs of smooth noise into a folder that lives as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="photographs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    random = np.random.default_rng(0)
    for number in range(count):
        grains = random.integers(0, 256, (HEIGHT // GRAIN, WIDTH // GRAIN, 3), np.uint8)
        smooth = Image.fromarray(grains).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        noisy = np.asarray(smooth) + random.normal(0, NOISE, (HEIGHT, WIDTH, 1))
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:04d}.jpg", "JPEG", quality=QUALITY)
    return folder


@cache
def pack_photographs(form: str, count: int) -> Packed:
    """Return photographs as a packed data set, in memory."""
    files = [path.read_bytes() for path in sorted(draw_photographs(count).iterdir())]
    samples = pd.DataFrame({"aspect": [f"{WIDTH / HEIGHT:.6g}"] * count})
    if form == "encoded":
        ends = np.cumsum([len(content) for content in files])
        offsets = np.stack([np.r_[0, ends[:-1]], ends], 1)
        encoded = Encoded(np.frombuffer(b"".join(files), np.uint8), offsets)
        return Packed(samples, encoded, {"image_shape": [0, 0, 3]})
    images = (Image.open(io.BytesIO(content)) for content in files)
    squares = np.stack([np.asarray(image.resize((SQUARE, SQUARE))) for image in images])
    return Packed(samples, squares, {"image_shape": [SQUARE, SQUARE, 3]})


def ours(form: str, batch: int, batches: int) -> Callable[[Size], Call]:
    """Return what builds a call of our batches: random-resized crops, flips, normalised."""

    def build(size: Size) -> Call:
        length, rounds = (4, 1) if size == "tiny" else (batch, batches)
        packed = pack_photographs(form, length)
        wanted = Format(SIDE, torch.tensor(MEAN), torch.tensor(STD))
        generator = torch.Generator().manual_seed(0)

        def call() -> None:
            for _ in range(rounds):
                rows = torch.randperm(length, generator=generator).numpy()
                boxes = draw_crops(torch.from_numpy(packed.aspects[rows]), AREA, generator)
                flips = draw_flips(length, FLIP, generator)
                load_batch(packed, rows, boxes, flips, wanted, torch.device("cpu"))

        return call

    return build


class Photographs(Dataset[Tensor]):
    """Loose files through torchvision's transforms of PIL images."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        steps = [
            transforms.RandomResizedCrop(SIDE, (AREA, 1.0)),
            transforms.RandomHorizontalFlip(FLIP),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            found: Tensor = self.transform(image.convert("RGB"))
        return found


def theirs(batch: int, batches: int) -> Callable[[Size], Call]:
    """Return what builds a call of torchvision's batches from loose files.

    Its two worker processes are there already.
    """

    def build(size: Size) -> Call:
        length, rounds = (4, 1) if size == "tiny" else (batch, batches)
        paths = sorted(draw_photographs(length).iterdir()) * rounds
        photographs = Photographs(paths)
        loader = DataLoader(
            photographs, length, shuffle=True, num_workers=LOADERS, persistent_workers=True
        )

        def call() -> None:
            for _ in loader:
                pass

        return call

    return build


def batch_case(batch: int, batches: int) -> Case:
    """Time augmented batches from both forms beside torchvision's."""
    parts = [Implementation("torchvision", theirs(batch, batches))]
    for name in FORMS:
        parts.append(Implementation(name, ours(name.split()[1], batch, batches)))
    ratios = tuple(Ratio("torchvision", name) for name in FORMS)
    title = f"{batches} batches of {batch}, {SIDE} px of {WIDTH} x {HEIGHT}"
    size = (("n", batch * batches),)
    return Case("batch", title, tuple(parts), ratios, memory=False, size=size)


def cases(quick: bool) -> list[Case]:
    """Return the cases."""
    return [batch_case(8, 2) if quick else batch_case(DISTINCT, 6)]


def pack_rows(quick: bool) -> list[Row]:
    """Pack photographs in a fresh process.

    Returns:
        Rows of the seconds, and of the highest memory of the process and its workers together.
    """
    count, distinct = (600, 8) if quick else (12000, DISTINCT)
    photographs = str(draw_photographs(distinct))
    rows: list[Row] = []
    for name in FORMS:
        with tempfile.TemporaryDirectory() as scratch:
            out = f"{scratch}/packed"
            arguments = [photographs, out, name.split()[1], str(count), str(SQUARE)]
            seconds, peak = weigh_program(PACK, arguments)
        row = {
            "table": "pack",
            "case": f"{count:,} JPEGs of {WIDTH} x {HEIGHT}",
            "implementation": name,
            "n": count,
            "rounds": 1,
            "seconds": seconds,
            "peak_mib": peak,
        }
        rows.append(row)
    return rows


def weigh_program(program: str, arguments: Sequence[str]) -> tuple[float, float]:
    """Run a program that prints seconds, and return these and its memory (see `weigh_command`)."""
    command = [sys.executable, "-c", program, *arguments]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    output, peak = weigh_command(command, environment)
    return float(json.loads(output)), peak


def weigh_command(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, float]:
    """Run a command in the root of the repository.

    Returns:
        What it printed, and in MiB the highest sum of the proportional resident sizes (Pss) of the
        process and all below it: pages that several share count once. It is looked at ten times a
        second.
    """
    peak = 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(read_proportional, family(process.pid))))
            time.sleep(PAUSE)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output, peak / 2**20


def family(process: int) -> list[int]:
    """Return a process and all below it."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return [process]
    return [process, *(one for child in text.split() for one in family(int(child)))]


def read_proportional(process: int) -> int:
    """Return the proportional resident size of a process in bytes, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("images", cases(options.quick), options, lambda: pack_rows(options.quick))


if __name__ == "__main__":
    run(main)
