"""Features of a data set: vectors.npy and table.csv, as of the user's own vectors."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from geomix.config.sections import Features, Head
from geomix.data.crops import centre_fitted
from geomix.data.images import load_batch
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.features.parts import PART, name_parts, read_part, remove_torn, save_part
from geomix.files import hash_file
from geomix.network.encoder import Encoder, build_encoder

SEED = 0  # of an untrained backbone
HEAD = Head(outputs=1, norm="none")  # of an encoder, here without use
KEPT = ("split", "role", "lineage")  # columns of a packed table, where there are such
LINES = 10  # of progress without a terminal
AHEAD = 2  # batches in the making for each that is computed on a GPU


@dataclass(frozen=True)
class Machine:
    """What features are computed with.

    Attributes:
        device: Of the network.
        threads: Batches that the CPU computes side by side, each in one thread: the bytes of a
            batch do not depend on how many there are.
    """

    device: torch.device
    threads: int


def write_features(
    folder: Path, packed: Packed, features: Features, parts: Path, machine: Machine
) -> dict[str, Any]:
    """Write the features of all samples of a data set, and its table with the same splits.

    Args:
        folder: The target folder.
        packed: Images, which the backbone embeds; or vectors, which are copied.
        features: Section `features` of params.yaml.
        parts: The folder of finished parts, which may be deleted when nothing is running.
        machine: What to compute with.

    Returns:
        What the manifest says.

    Raises:
        InputError: If the backbone cannot be built, weights do not fit or cannot be had, an image
            is broken, or a feature is not finite.
    """
    facts: dict[str, Any] = {"of": packed.card["dataset"]}
    if packed.form == "vectors":
        vectors = copy_vectors(folder / "vectors.npy", packed)
    else:
        encoder = build_frozen(features, packed)
        encoder.to(machine.device).eval()
        place = parts / name_parts(encoder, packed, features, machine.device)
        vectors = embed_all(folder / "vectors.npy", packed, encoder, features, place, machine)
        facts |= {
            "backbone": features.backbone.name,
            "weights": encoder.weights,
            "side": encoder.side,
            "fit": features.fit,
            "centre": features.centre,
            # what builds it again, for pictures that come later
            "settings": features.backbone.model_dump(),
            "form": packed.form,
            "shape": list(packed.image_shape),
        }
    table = list_samples(packed)
    table.to_csv(folder / "table.csv", index=False)
    files = ("vectors.npy", "table.csv")
    return {
        **facts,
        "vectors": len(table),
        "dimensions": vectors.shape[1],
        "classes": table["label"].nunique(),
        "files": {name: {"sha256": hash_file(folder / name)} for name in files},
    }


def build_frozen(features: Features, packed: Packed) -> Encoder:
    """Build the backbone, below a head without use.

    Raises:
        InputError: As `build_encoder`, with the keys of this section.
    """
    try:
        return build_encoder(features.backbone, HEAD, packed.image_shape, SEED)
    except InputError as error:
        message = str(error)
        raise InputError(
            f"features.{message}" if message.startswith("backbone.") else message
        ) from None


def copy_vectors(path: Path, packed: Packed) -> np.ndarray:
    """Write the vectors of a data set as they are, float32 (N, D)."""
    vectors = np.asarray(packed.images)
    np.save(path, vectors, allow_pickle=False)
    return vectors


def list_samples(packed: Packed) -> pd.DataFrame:
    """Return the table of the samples: id, label, levels, and split, role and lineage if any."""
    kept = [name for name in KEPT if name in packed.samples]
    return packed.samples[["id", "label", *packed.card["levels"], *kept]]


def embed_all(
    path: Path,
    packed: Packed,
    encoder: Encoder,
    features: Features,
    place: Path,
    machine: Machine,
) -> np.ndarray:
    """Embed all samples in parts, skip those that are there, and write them one after the other.

    Args:
        path: Of the result, float32 (N, D) in the order of the table.
        packed: Images.
        encoder: On the device, not training.
        features: Section `features` of params.yaml.
        place: The folder of the parts.
        machine: What to compute with.

    Raises:
        InputError: If an image is broken or a feature is not finite.
    """
    remove_torn(place)
    count = len(packed.samples)
    vectors: np.ndarray | None = None
    with open_workers(packed, encoder, features, machine) as embed, Progress(packed) as progress:
        for start in range(0, count, PART):
            rows = np.arange(start, min(start + PART, count))
            part = place / f"{start:08d}.npy"
            found = read_part(part, len(rows))
            if found is None:
                found = np.concatenate([progress.count(block) for block in embed(rows)])
                check_finite(found, packed, rows)
                save_part(part, found)
            else:
                progress.skip(len(rows))
            if vectors is None:
                shape = count, found.shape[1]
                vectors = np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), shape)
            vectors[rows] = found
    assert isinstance(vectors, np.memmap)
    vectors.flush()
    return vectors


def check_finite(found: np.ndarray, packed: Packed, rows: np.ndarray) -> None:
    """Refuse features that are not finite."""
    wrong = np.flatnonzero(~np.isfinite(found).all(1))
    if len(wrong):
        found_at = f"NaN or infinity for {packed.samples['id'].iloc[rows[wrong[0]]]}"
        expected = "finite features; are these the weights of this backbone?"
        raise InputError(f"features.backbone: found {found_at}, expected {expected}")


Embed = Callable[[np.ndarray], Iterator[np.ndarray]]


@contextmanager
def open_workers(
    packed: Packed, encoder: Encoder, features: Features, machine: Machine
) -> Iterator[Embed]:
    """Open threads that embed batches of rows side by side.

    On a GPU one thread reads images ahead, and the network runs in this one.

    Yields:
        What embeds rows (n,) as blocks (b, D), float32, in their order.
    """
    on_cpu = machine.device.type == "cpu"
    limit = partial(torch.set_num_threads, torch.get_num_threads())  # a new thread takes all cores
    pool = ThreadPoolExecutor(machine.threads if on_cpu else 1, "features", limit)

    def load(rows: np.ndarray) -> torch.Tensor:
        """Read the centres of images."""
        aspects = torch.from_numpy(packed.aspects[rows])
        boxes = centre_fitted(aspects, features.fit, features.centre)
        flips = torch.zeros(len(rows), dtype=torch.bool)
        return load_batch(packed, rows, boxes, flips, encoder, machine.device)

    @torch.inference_mode()
    def run(images: torch.Tensor) -> np.ndarray:
        """Run the backbone alone."""
        found: np.ndarray = encoder.backbone(images).float().cpu().numpy()
        return found

    def embed(rows: np.ndarray) -> Iterator[np.ndarray]:
        """Embed rows, a batch at a time."""
        batches = [rows[at : at + features.batch] for at in range(0, len(rows), features.batch)]
        if on_cpu:
            yield from pool.map(lambda batch: run(load(batch)), batches)
            return
        waiting = [pool.submit(load, batch) for batch in batches[:AHEAD]]
        for number in range(len(batches)):
            images = waiting.pop(0).result()
            waiting += [pool.submit(load, batch) for batch in batches[number + AHEAD :][:1]]
            yield run(images)

    try:
        yield embed
    finally:
        pool.shutdown(cancel_futures=True)


class Progress:
    """A bar in a terminal, and a line for each tenth elsewhere."""

    def __init__(self, packed: Packed) -> None:
        """Count no image of the data set yet."""
        self.total = len(packed.samples)
        self.name = f"features of {packed.card['dataset']}"
        self.bar = tqdm(total=self.total, desc=self.name, unit="img", disable=None)
        self.done = self.shown = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def count(self, block: np.ndarray) -> np.ndarray:
        """Count the images of a block, and return it."""
        self.bar.update(len(block))
        self._move(len(block))
        return block

    def skip(self, count: int) -> None:
        """Count images that were embedded before; they do not count for the speed of the bar."""
        if not self.bar.disable:
            self.bar.initial += count
            self.bar.n += count
            self.bar.refresh()
        self._move(count)

    def _move(self, count: int) -> None:
        self.done += count
        tenth = LINES * self.done // self.total
        if self.bar.disable and tenth > self.shown:
            line = f"{self.name}: {self.done:,} of {self.total:,} images"
            print(line, file=sys.stderr, flush=True)
        self.shown = tenth
