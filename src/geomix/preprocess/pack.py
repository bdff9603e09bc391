"""Pack a data set: a listing -> images.npy, or images.bin and offsets.npy, with samples.csv and card.json."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from tqdm import tqdm

from geomix.data.packed import SPLITS
from geomix.datasets.listing import Listing
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json
from geomix.preprocess.decode import Prepared, prepare_all
from geomix.preprocess.split import check_queries, split_listing

WORKERS = 2
FEW = 500  # images that are decoded in this process: sooner done than workers are started
CHUNK_IMAGES, CHUNK_BYTES = 64, 2**23  # that go to a worker at a time, at most
WAITING = 2  # chunks sent ahead for each worker
SHOWN = 20  # broken images in an error

Item = tuple[int, bytes | np.ndarray]  # a row of the table, and its file or its pixels
Chunk = list[Item]
Work = Callable[[list[bytes | np.ndarray]], list[Prepared | str]]


def count_split(samples: pd.DataFrame, levels: tuple[str, ...]) -> dict[str, int]:
    """Count the images, the classes and the groups of each level."""
    return {"images": len(samples), "classes": samples["label"].nunique()} | {
        level: samples[level].nunique() for level in levels
    }


def pack(
    dataset: str, listing: Listing, out: Path, split: Mapping[str, Any], images: Mapping[str, Any]
) -> None:
    """Split the classes of a data set, decode each image once and write the packed data set.

    Memory does not grow with the number of images, apart from their table. The bytes depend on the
    listing and the params, not on the number of workers.

    Args:
        dataset: Its name, for the card.
        listing: Its table and images.
        out: Where the packed folder shall be.
        split: Section `split` of params.yaml.
        images: Section `images` of params.yaml: form (auto: the listing's), side in pixels (null:
            the listing's) and broken, how many broken images are left out before it is an error.

    Raises:
        InputError: If the data set is too small to split, val or test cannot be searched (see
            `check_queries`), also without its broken images, or it has more of these than allowed;
            nothing is written then.
    """
    form, side = choose_form(listing, images)
    samples = listing.samples.copy()
    samples["split"] = split_listing(samples, {name: split[name] for name in SPLITS}, split["seed"])
    if listing.assign:
        samples = listing.assign(samples)
    if "role" in samples and not samples["role"].any():
        samples = samples.drop(columns="role")
    check_queries(samples)
    with new_folder(out) as folder:
        prepared = prepare_images(dataset, listing, side)
        write = (
            write_files
            if side is None
            else partial(write_squares, shape=(len(samples), side, side, listing.channels))
        )
        aspects, broken = write(folder, prepared, len(samples))
        refuse_broken(broken, samples["id"], int(images["broken"]))
        samples["aspect"] = [f"{aspect:.6g}" for aspect in aspects]
        kept = ~np.isnan(aspects)
        left_out = {samples["id"].iloc[row]: broken[row] for row in sorted(broken)}
        if broken:
            samples = samples[kept]
            check_queries(samples, len(broken))
            leave_out(folder, np.flatnonzero(kept))
        samples.to_csv(folder / "samples.csv", index=False)
        card = {
            "dataset": dataset,
            "form": form,
            "levels": list(listing.levels),
            "image_shape": [side or 0, side or 0, listing.channels],
            "sha256": {path.name: hash_file(path) for path in sorted(folder.iterdir())},
            "counts": {
                name: count_split(samples[samples["split"] == name], listing.levels)
                for name in SPLITS
            },
        }
        write_json(folder / "card.json", card | ({"left_out": left_out} if broken else {}))


def choose_form(listing: Listing, images: Mapping[str, Any]) -> tuple[str, int | None]:
    """Choose the form of the packed images, and in the decoded form their side in pixels.

    Raises:
        InputError: If a side is asked for where files are kept as they are.
    """
    form = listing.form if images["form"] == "auto" else images["form"]
    if form == "encoded" and images["side"] is not None:
        raise InputError(
            f"images.side: found {images['side']}, expected null: encoded images keep the size they came with"
        )
    return form, (images["side"] or listing.side) if form == "decoded" else None


def prepare_images(
    dataset: str, listing: Listing, side: int | None
) -> Iterator[tuple[Item, Prepared | str]]:
    """Decode all images in their order of storage, in worker processes where there are many files.

    Args:
        dataset: For the progress bar.
        listing: The data set.
        side: Of the squares to make, in pixels, or None.

    Yields:
        Each row with its file or pixels, and what `prepare_all` makes of it.

    Raises:
        InputError: If files are to be kept and the data set has pixels only.
    """
    items = listing.images()
    first = next(items, None)
    drawn = first is not None and not isinstance(first[1], bytes)
    if drawn and side is None:
        raise InputError(
            f"images.form: found encoded, expected decoded: {dataset} has pixels and no files"
        )
    workers = 0 if drawn or len(listing.samples) < FEW else min(WORKERS, os.cpu_count() or 1)
    begun = [] if first is None else [first]
    work = partial(prepare_all, channels=listing.channels, side=side)
    bar = tqdm(
        total=len(listing.samples),
        desc=f"pack {dataset}",
        unit="img",
        unit_scale=True,
        disable=None,
    )
    with bar:
        for chunk, results in run_chunks(cut_chunks(chain(begun, items)), work, workers):
            yield from zip(chunk, results, strict=True)
            bar.update(len(chunk))


def cut_chunks(items: Iterable[Item]) -> Iterator[Chunk]:
    """Cut items into chunks, bounded in number and in bytes."""
    chunk: Chunk = []
    length = 0
    for row, image in items:
        chunk.append((row, image))
        length += len(image) if isinstance(image, bytes) else image.nbytes
        if len(chunk) == CHUNK_IMAGES or length >= CHUNK_BYTES:
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def run_chunks(
    chunks: Iterable[Chunk], work: Work, workers: int
) -> Iterator[tuple[Chunk, list[Prepared | str]]]:
    """Give each chunk with what a function makes of its images, in order.

    Args:
        chunks: Taken as they are needed: a few for each worker are under way at a time.
        work: Importable by a fresh process.
        workers: Processes; 0 works in this one.
    """
    if not workers:
        for chunk in chunks:
            yield chunk, work([image for _, image in chunk])
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting: deque[tuple[Chunk, Future[list[Prepared | str]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, pool.submit(work, [image for _, image in chunk])))
            if len(waiting) > WAITING * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


Outcome = tuple[
    np.ndarray, dict[int, str]
]  # aspect of each row, NaN where broken; the reason for each broken row


def write_squares(
    folder: Path,
    prepared: Iterable[tuple[Item, Prepared | str]],
    count: int,
    shape: tuple[int, ...],
) -> Outcome:
    """Write images.npy, each square at its row; rows of broken images stay black."""
    with (folder / "images.npy").open("wb") as file:
        start = write_header(file, shape)
        length = int(np.prod(shape[1:]))
        file.truncate(start + shape[0] * length)

        def keep(item: Item, found: Prepared) -> None:
            """Write a square at its row."""
            assert found.square is not None
            file.seek(start + item[0] * length)
            file.write(found.square.tobytes())

        return collect(prepared, count, keep)


def write_files(
    folder: Path, prepared: Iterable[tuple[Item, Prepared | str]], count: int
) -> Outcome:
    """Write images.bin, the files in their order of storage, and offsets.npy; broken images have no bytes."""
    offsets = np.zeros((count, 2), np.int64)
    with (folder / "images.bin").open("wb") as file:

        def keep(item: Item, found: Prepared) -> None:
            """Append a file and note where it is."""
            row, content = item
            assert isinstance(content, bytes)
            begin = file.tell()
            file.write(content)
            offsets[row] = begin, file.tell()

        outcome = collect(prepared, count, keep)
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    return outcome


def collect(
    prepared: Iterable[tuple[Item, Prepared | str]],
    count: int,
    keep: Callable[[Item, Prepared], None],
) -> Outcome:
    """Keep each whole image by a function, and say which are broken.

    Raises:
        InputError: If a row has no image or two.
    """
    aspects = np.full(count, np.nan)
    broken: dict[int, str] = {}
    seen = np.zeros(count, np.int64)
    for item, found in prepared:
        seen[item[0]] += 1
        if isinstance(found, str):
            broken[item[0]] = found.removeprefix("image: ")
        else:
            aspects[item[0]] = found.aspect
            keep(item, found)
    wrong = np.flatnonzero(seen != 1)
    if len(wrong):
        raise InputError(
            f"images: found {seen[wrong[0]]} for row {wrong[0]} of the table, expected one for each of {count}"
        )
    return aspects, broken


def refuse_broken(broken: Mapping[int, str], ids: pd.Series, most: int) -> None:
    """Refuse more broken images than allowed.

    Raises:
        InputError: With the first of them, why each is broken, and how many more there are.
    """
    count = len(broken)
    if count > most or count == len(ids):
        rows = sorted(broken)
        listed = "; ".join(f"{ids.iloc[row]} ({broken[row]})" for row in rows[:SHOWN])
        more = f"; and {count - SHOWN} more" if count > SHOWN else ""
        raise InputError(
            f"images.broken: found {count} broken of {len(ids)} images, expected at most {most}: {listed}{more}"
        )


def leave_out(folder: Path, kept: np.ndarray) -> None:
    """Keep only some rows of images.npy or offsets.npy, one row in memory at a time."""
    name = "images.npy" if (folder / "images.npy").is_file() else "offsets.npy"
    path, part = folder / name, folder / f"{name}.part"
    with path.open("rb") as old, part.open("wb") as new:
        np.lib.format.read_magic(old)
        shape, _, dtype = np.lib.format.read_array_header_1_0(old)
        start, length = old.tell(), int(np.prod(shape[1:])) * dtype.itemsize
        write_header(new, (len(kept), *shape[1:]), dtype)
        for row in kept.tolist():
            old.seek(start + row * length)
            new.write(old.read(length))
    part.replace(path)


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any] | None = None) -> int:
    """Write the head of a .npy file, of uint8 by default, and give its length in bytes."""
    kind = np.lib.format.dtype_to_descr(dtype or np.dtype(np.uint8))
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.tell()
