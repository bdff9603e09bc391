"""Benchmark of training: ours beside the released way of training the same network.

`python -m bench.train`

The released way (HypMix, and Hyp-ViT before it) reads loose files with PIL in worker processes,
changes each image there, and builds a similarity matrix for each pair of views; on CUDA its network
and its loss are float16 with a scaled gradient. Both train HypMix's loss on the same network and
batches of the same shape. Each run is a process of its own; both ways run in turn.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from tqdm import tqdm

from bench import ROOT
from bench.command import parse_options, run_benchmark
from bench.images import draw_photographs, weigh_command
from bench.inputs import CURVATURE, LAM, RADIUS, TAU_BALL, TAU_SPHERE_HYBRID
from bench.measure import RELEASED_WAY, Options, Row, read_memory, set_threads
from bench.released import hybrid, summed_loss
from bench.stopwatch import PHASES, measure_pace, watch
from geomix.config.read import load, read_yaml
from geomix.config.sections import Images, Split
from geomix.config.stages import CellParams
from geomix.config.systems import read_system
from geomix.data.packed import Packed, open_packed
from geomix.datasets.listing import Listing
from geomix.geometry.geometry import Geometry, build_geometry
from geomix.network.encoder import Encoder, build_encoder
from geomix.preprocess.pack import pack
from geomix.train.batches import ClassBatches
from geomix.train.device import backbone_precision, choose_device, fix_bytes
from geomix.train.fit import fit
from stages import Arguments, run

SYSTEM = read_system(ROOT / "systems", "hypmix")
OURS, THEIRS = "geomix", RELEASED_WAY
WAYS = (OURS, THEIRS)
PRODUCT = 2048  # rows and columns of the matrices whose product is the yardstick on the CPU
# Dense bfloat16, FLOP/s, of NVIDIA's data sheets; a name of a GPU holds one of these.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}
PHOTOGRAPHS = {"classes": 125, "images": 60, "distinct": 128, "side": 256}


@dataclass(frozen=True)
class Setting:
    """What is trained.

    Attributes:
        case: Its name on the page.
        device: Where: cpu or cuda.
        overlays: Laid over params.yaml.
        steps: Of the released way; of ours it is `epochs` that counts.
        loaders: Its worker processes.
        rounds: Runs of each way.
        prepare: Writes packed/ and files/ into a folder.
    """

    case: str
    device: str
    overlays: tuple[Mapping[str, Any], ...]
    steps: int
    loaders: int
    rounds: int
    prepare: Callable[[Path], None]

    def params(self) -> CellParams:
        """Return all that is trained with."""
        return load(CellParams, SYSTEM.settings, *self.overlays, path=ROOT / "params.yaml")


def pack_letters(folder: Path) -> None:
    """Make the default data set, and write its train split as files."""
    raw, packed = folder / "raw", folder / "packed"
    common = ["--dataset", "glyphs", "--out"]
    for stage, arguments in (
        ("download", [*common, str(raw)]),
        ("preprocess", [*common, str(packed), "--raw", str(raw)]),
    ):
        command = [sys.executable, "-m", f"stages.{stage}", *arguments]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = open_packed(packed)
    pixels = np.asarray(found.images)
    (folder / "files").mkdir()
    for row in found.rows("train"):
        Image.fromarray(pixels[row].squeeze()).save(folder / "files" / f"{row}.png")


def pack_pictures(folder: Path) -> None:
    """Pack drawn photographs, as many as CUB-200-2011 has in train; each occurs many times."""
    sizes, drawn = PHOTOGRAPHS, sorted(draw_photographs(PHOTOGRAPHS["distinct"]).iterdir())
    rows = range(sizes["classes"] * sizes["images"])
    files = [drawn[row % len(drawn)] for row in rows]
    labels = [f"{row % sizes['classes']:03d}" for row in rows]
    samples = pd.DataFrame({"id": [str(row) for row in rows], "label": labels})
    listing = Listing(samples, (), lambda: ((row, files[row].read_bytes()) for row in rows))
    split = Split(seed=0, train=0.8, val=0.1, test=0.1)
    images = Images(form="decoded", side=sizes["side"], broken=0)
    pack("photographs", listing, folder / "packed", split, images)
    (folder / "files").mkdir()
    for row in open_packed(folder / "packed").rows("train"):
        (folder / "files" / f"{row}.jpg").symlink_to(files[row])


SETTINGS = {
    "cpu": Setting(
        "small ViT, glyphs, CPU",
        "cpu",
        ({"epochs": 1, "device": "cpu"},),
        steps=57,
        loaders=2,
        rounds=5,
        prepare=pack_letters,
    ),
    "cuda": Setting(
        "ViT-S/16, 224 px, batch 900, 9 views, bf16, CUDA",
        "cuda",
        (
            SYSTEM.preset,
            {
                key: read_yaml(ROOT / "systems/data/cub.yaml")["params"][key]
                for key in ("crop", "augment", "optim")
            },
            {
                "epochs": 8,
                "device": "cuda",
                "backbone": {"pretrained": False},
                "batch": {"classes": 100, "images": 9},
            },
        ),
        steps=12,
        loaders=min(16, os.cpu_count() or 1),
        rounds=3,
        prepare=pack_pictures,
    ),
}


class Pictures(Dataset[Tensor]):
    """Loose files, each opened and changed by PIL, as the released loader does."""

    def __init__(self, paths: Sequence[Path], mode: str, transform: Callable[..., Tensor]) -> None:
        self.paths, self.mode, self.transform = paths, mode, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert(self.mode))


def build_transform(params: CellParams, encoder: Encoder) -> Callable[..., Tensor]:
    """Build torchvision's transforms for sections `crop` and `augment` of params.yaml."""
    crop, change, side = params.crop, params.augment, encoder.side
    steps: list[Callable[..., Any]] = []
    if crop.area < 1:
        bicubic = transforms.InterpolationMode.BICUBIC
        steps.append(transforms.RandomResizedCrop(side, (crop.area, 1), interpolation=bicubic))
    if crop.flip:
        steps.append(transforms.RandomHorizontalFlip(crop.flip))
    if change.rotate or change.zoom or change.shear or change.shift:
        zoom = (1 - change.zoom, 1 + change.zoom)
        shear = float(np.degrees(np.arctan(change.shear)))
        shift = (change.shift, change.shift)
        bilinear = transforms.InterpolationMode.BILINEAR
        steps.append(
            transforms.RandomAffine(change.rotate, shift, zoom, shear, interpolation=bilinear)
        )
    steps.append(transforms.ToTensor())
    if change.noise:
        steps.append(partial(add_noise, spread=change.noise))
    moments = encoder.mean.tolist(), encoder.std.tolist()
    return transforms.Compose([*steps, transforms.Normalize(*moments)])


def add_noise(image: Tensor, spread: float) -> Tensor:
    """Add noise to pixels in [0, 1]."""
    return image + spread * torch.randn_like(image)


def build_hypmix(params: CellParams) -> Geometry:
    """Build HypMix's geometry."""
    knobs = {"tau": params.tau, "curvature": params.curvature, "lam": params.lam}
    spaces = params.geometry[SYSTEM.geometry]
    return build_geometry(spaces, **knobs, dimensions=params.head.outputs)


def train_ours(folder: Path, params: CellParams, setting: Setting) -> None:
    """Train as a stage does."""
    fix_bytes(choose_device(params.device))
    fit(open_packed(folder / "packed"), build_hypmix(params), params, 0, OURS)


def train_theirs(folder: Path, params: CellParams, setting: Setting) -> None:
    """Train in the released way."""
    device = choose_device(params.device)
    packed = open_packed(folder / "packed")
    encoder = build_encoder(params.backbone, params.head, packed.image_shape, 0).to(device)
    optim, batch = params.optim, params.batch
    adam = torch.optim.AdamW(
        encoder.parameters(), optim.learning_rate, weight_decay=optim.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**10, enabled=device.type == "cuda")
    system = hybrid(TAU_SPHERE_HYBRID, TAU_BALL, LAM, CURVATURE, RADIUS, unit=True)
    for images in draw_files(folder, packed, params, encoder, setting):
        views = images.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            _, embeddings = encoder(views)
            loss = summed_loss(embeddings.view(batch.images, batch.classes, -1), system)
        adam.zero_grad()
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), optim.clip_norm)
        scaler.step(adam)
        scaler.update()


def draw_files(
    folder: Path, packed: Packed, params: CellParams, encoder: Encoder, setting: Setting
) -> Iterator[Tensor]:
    """Draw batches as `fit` does, and read them from files in worker processes."""
    rows = packed.rows("train")
    suffix = next((folder / "files").iterdir()).suffix
    paths = [folder / "files" / f"{row}{suffix}" for row in rows]
    labels = packed.samples["label"].to_numpy()[rows]
    batches = ClassBatches(labels, params.batch.classes, params.batch.images)
    generator = torch.Generator().manual_seed(0)
    epochs = -(-setting.steps // batches.per_epoch)
    chosen = [images.tolist() for _ in range(epochs) for images, _ in batches.epoch(generator)]
    mode = "L" if packed.channels == 1 else "RGB"
    loader = DataLoader(
        Pictures(paths, mode, build_transform(params, encoder)),
        batch_sampler=chosen[: setting.steps],
        num_workers=setting.loaders,
        pin_memory=setting.device == "cuda",
    )
    yield from loader


TRAIN = {OURS: train_ours, THEIRS: train_theirs}


def time_training(way: str, folder: Path, setting: Setting, exact: bool) -> dict[str, Any]:
    """Train in this process.

    Args:
        way: Ours or theirs.
        folder: That was prepared.
        setting: What is trained.
        exact: Whether the clock waits for a GPU at the end of each phase.

    Returns:
        steps that were timed; seconds of a step by phase; peak, in MiB: of this process on the CPU,
        allocated on the GPU otherwise.
    """
    params, cuda = setting.params(), setting.device == "cuda"
    with watch(torch.cuda.synchronize if cuda and exact else lambda: None) as marks:
        TRAIN[way](folder, params, setting)
    pace = measure_pace(marks)
    peak = torch.cuda.max_memory_allocated() if cuda else read_memory()[0]
    return {"steps": pace.steps, "seconds": pace.seconds, "peak": peak / 2**20}


def count_flops(params: CellParams, image_shape: tuple[int, int, int]) -> float:
    """Count the floating-point operations of the network for one image in a training step.

    The backward pass takes twice those of the forward pass, as is usual in counting.
    """
    encoder = build_encoder(params.backbone, params.head, image_shape, 0).eval()
    image = torch.zeros(1, image_shape[2], encoder.side, encoder.side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(image)
    return 3.0 * counter.get_total_flops()


def find_peak(device: torch.device) -> float:
    """Return the FLOP/s of which a utilisation is a share.

    Of a GPU that is known the vendor's, for dense bfloat16. Else what the product of two matrices
    reaches here, in the precision of the backbone, with the threads of the benchmark.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    for kind, peak in PEAKS.items():
        if kind in name:
            return peak
    matrix = torch.randn(PRODUCT, PRODUCT, device=device, dtype=backbone_precision(device))
    least = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        least = min(least, time.perf_counter() - start)
    return 2.0 * PRODUCT**3 / least


def start(setting: str, way: str, folder: Path, options: Options, exact: bool = False) -> list[str]:
    """Return the command of a process that trains and prints what it measured."""
    names = [setting, way, str(folder), "--threads", str(options.threads)]
    return [sys.executable, "-m", "bench.train", *names, *["--exact"] * exact]


def measure(name: str, options: Options) -> list[Row]:
    """Run both ways of a setting in turn, and return its rows; "not measured" without a GPU."""
    setting = SETTINGS[name]
    if setting.device == "cuda" and not torch.cuda.is_available():
        return rows_of(setting, {}, {}, {}, 0, 0)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    peaks: dict[str, float] = {}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    exact = {}

    def read(*arguments: Any) -> dict[str, Any]:
        command = start(name, *arguments)
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        setting.prepare(folder)
        for way in WAYS:  # reads all files once, too
            if setting.device == "cpu":
                _, peaks[way] = weigh_command(start(name, way, folder, options), environment)
            exact[way] = read(way, folder, options, True)
        for _ in tqdm(range(1 if options.quick else setting.rounds), desc=setting.case):
            for way in WAYS:
                runs[way].append(read(way, folder, options))
        params, shape = setting.params(), open_packed(folder / "packed").image_shape
    if setting.device == "cuda":
        peaks = {way: exact[way]["peak"] for way in WAYS}
    flops, peak = count_flops(params, shape), find_peak(choose_device(params.device))
    return rows_of(setting, runs, exact, peaks, flops, peak)


def rows_of(
    setting: Setting,
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    exact: Mapping[str, Mapping[str, Any]],
    peaks: Mapping[str, float],
    flops: float,
    peak: float,
) -> list[Row]:
    """Return the rows of a setting: a quotient of both ways, and the phases of each.

    Args:
        setting: What was trained.
        runs: What each run measured, by way, in the order of rounds; nothing if it did not run.
        exact: What a run measured whose phases are exact, by way.
        peaks: Highest memory in MiB, by way.
        flops: Of an image in a training step.
        peak: FLOP/s of which the utilisation is a share.
    """
    row: Row = {
        "table": "training",
        "case": setting.case,
        "implementation": THEIRS,
        "baseline": OURS,
    }
    ways: list[Row] = [
        {"table": "phases", "case": setting.case, "implementation": way} for way in WAYS
    ]
    if not runs:
        return [row, *ways]
    batch = setting.params().batch
    images = batch.classes * batch.images
    steps = {way: [sum(one["seconds"].values()) for one in runs[way]] for way in WAYS}
    shares = {way: share_phases(exact[way]["seconds"]) for way in WAYS}
    pairs = zip(steps[THEIRS], steps[OURS], strict=True)
    row |= {"n": images, "rounds": len(steps[OURS]), "ratio": median(a / b for a, b in pairs)}
    for way, prefix in ((THEIRS, ""), (OURS, "baseline_")):
        seconds = median(steps[way])
        row |= {
            f"{prefix}seconds": seconds,
            f"{prefix}images_per_second": images / seconds,
            f"{prefix}utilisation": flops * images / seconds / peak,
            f"{prefix}network": shares[way]["forward"] + shares[way]["backward"],
            f"{prefix}peak_mib": peaks[way],
        }
    return [row, *(line | shares[line["implementation"]] for line in ways)]


def share_phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each phase in a step."""
    whole = sum(seconds.values())
    return {phase: seconds[phase] / whole for phase in PHASES}


def main() -> None:
    """Measure and write; with a setting on the command line, train it once in this process."""
    if len(sys.argv) > 1 and sys.argv[1] in SETTINGS:
        train_once()
        return
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    names = list(SETTINGS)
    run_benchmark(
        "train", [], options, lambda: [row for one in names for row in measure(one, options)]
    )


def train_once() -> None:
    """Train a setting in one way, and print what was measured as JSON."""
    arguments = Arguments()
    arguments.add_argument("setting", choices=SETTINGS)
    arguments.add_argument("way", choices=WAYS)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--exact", action="store_true")
    given = arguments.parse_args()
    set_threads(given.threads)
    setting = SETTINGS[given.setting]
    print(json.dumps(time_training(given.way, given.folder, setting, given.exact)))


if __name__ == "__main__":
    run(main)
