"""Pack a data set: a listing -> images or vectors, with samples.csv and card.json.

Images are images.npy, or images.bin and offsets.npy; vectors are vectors.npy.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from geomix.config.sections import Classes, Images, Split
from geomix.data.packed import SPLITS
from geomix.datasets.listing import LINEAGE, Listing, join_names, list_warnings
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json
from geomix.preprocess.copies import digest, settle_copies
from geomix.preprocess.decode import Prepared, prepare_all
from geomix.preprocess.limits import (
    add_singles,
    cap_classes,
    describe_limits,
    find_small,
    limit_train,
)
from geomix.preprocess.split import check_queries, split_listing
from geomix.progress import open_bar

WORKERS = 2
FEW = 500  # fewer images are decoded in this process, before workers would have started
CHUNK_IMAGES, CHUNK_BYTES = 64, 2**23  # sent to a worker at a time, at most
WAITING = 2  # chunks sent ahead for each worker
SHOWN = 20  # broken images named in an error

Item = tuple[int, bytes | np.ndarray]  # a row of the table, and its file or its pixels
Chunk = list[Item]
Work = Callable[[list[bytes | np.ndarray]], list[Prepared | str]]


Outcome = tuple[np.ndarray, dict[int, str], list[bytes]]
"""Aspect of each row, NaN where it is broken; the reasons why; and the digest of each content."""
LIMITS = Classes()  # which set no class apart and cap none


def pack(
    dataset: str,
    listing: Listing,
    out: Path,
    split: Split,
    images: Images,
    classes: Classes = LIMITS,
    fold: int = 0,
) -> None:
    """Split a data set and write the packed data set, each image decoded once.

    Memory does not grow with the number of images, apart from their table. The bytes depend on the
    listing and the params, not on the number of workers. One line says what was packed and what
    was not, others warn of splits whose results will say little.

    Args:
        dataset: Its name, for the card.
        listing: Its table and images.
        out: The target folder.
        split: What is split, its shares and the seed.
        images: Form (auto: that of the listing), side in pixels (null: that of the listing), the
            number of broken images that are left out before it is an error, and what happens to
            copies. Vectors have none of these.
        classes: How many samples a class has at least and at most.
        fold: Which units of train and val are val, see `split_classes`.

    Raises:
        InputError: If the data set is too small to split, val or test cannot be searched (see
            `check_queries`) or train has too small classes, also without what is left out, or too
            many images are broken or there twice; nothing is written then.
    """
    form, side = choose_form(listing, images)
    samples, limits = split_samples(listing, split, classes, fold)
    left_out: dict[str, str] = {}
    facts: dict[str, int] = {}
    with new_folder(out) as folder:
        if form == "vectors":
            write_vectors(folder, listing)
        else:
            outcome = write_images(folder, dataset, listing, side)
            samples, left_out, facts = leave_out_images(
                folder, outcome, listing, samples, images, classes
            )
        samples.to_csv(folder / "samples.csv", index=False)
        further = {"left_out": left_out, "limits": limits}
        write_card(folder, dataset, listing, samples, form, side, further)
    unit = name_unit(form)
    print(summarise(dataset, len(samples), unit, listing.ignored, facts), file=sys.stderr)
    if not fold and not listing.coordinates:
        for warning in list_warnings(samples):
            print(f"warning: {dataset}: {warning}", file=sys.stderr)


def name_unit(form: str) -> str:
    """Return what samples are called in a form."""
    return "vectors" if form == "vectors" else "images"


def write_card(
    folder: Path,
    dataset: str,
    listing: Listing,
    samples: pd.DataFrame,
    form: str,
    side: int | None,
    further: Mapping[str, Any],
) -> None:
    """Write card.json: what the other files of a packed data set are, and their hashes.

    Args:
        folder: With the other files.
        dataset: Its name.
        listing: Its levels, channels, coordinates, and what is not read.
        samples: The table as it was written.
        form: How samples are stored.
        side: Of squares, in pixels.
        further: Entries that are left out where they are empty.
    """
    height = 1 if form == "vectors" else side or 0
    card: dict[str, Any] = {
        "dataset": dataset,
        "form": form,
        "levels": list(listing.levels),
        "image_shape": [height, height, listing.channels],
        "sha256": {path.name: hash_file(path) for path in sorted(folder.iterdir())},
        "counts": {
            name: count_split(samples[samples["split"] == name], listing.levels, name_unit(form))
            for name in SPLITS
        },
    }
    optional = {
        "coordinates": list(listing.coordinates),
        **further,
        "ignored": dict(listing.ignored),
    }
    write_json(folder / "card.json", card | {key: what for key, what in optional.items() if what})


def summarise(
    dataset: str, count: int, unit: str, ignored: Mapping[str, int], facts: Mapping[str, int]
) -> str:
    """Say in one line what was packed, what was not read, and what is broken or there twice."""
    parts = [f"{dataset}: {count:,} {unit} packed"]
    if ignored:
        parts.append(f"not read: {join_names(f'{n:,} {kind}' for kind, n in ignored.items())}")
    parts += [f"{number:,} {what}" for what, number in facts.items()]
    return "; ".join(parts)


def choose_form(listing: Listing, images: Images) -> tuple[str, int | None]:
    """Choose the form in which samples are packed, and in the decoded form their side in pixels.

    Raises:
        InputError: If a side is asked for where files are kept as they are.
    """
    fixed = listing.form == "vectors" or images.form == "auto"
    form = listing.form if fixed else images.form
    if form == "encoded" and images.side is not None:
        expected = "null: encoded images keep the size they came with"
        raise InputError(f"images.side: found {images.side}, expected {expected}")
    return form, (images.side or listing.side) if form == "decoded" else None


def split_samples(
    listing: Listing, split: Split, classes: Classes, fold: int = 0
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table of a data set with the final split and role of each sample.

    In a tree or a plane samples are alone at their nodes or points, and no class is set apart or
    capped.

    Returns:
        The table, and what the limits on classes left out.

    Raises:
        InputError: As `split_listing`, `limit_train` and `check_queries`.
    """
    samples = listing.samples.copy()
    official = listing.samples.get("split")
    free = bool(listing.coordinates) or LINEAGE in samples
    set_apart = LIMITS if free else classes
    small = find_small(samples, set_apart)
    parts = iter(split_listing(samples[~small], split, listing.levels, listing.unit, fold))
    samples["split"] = ["" if alone else next(parts) for alone in small]
    if listing.assign:
        samples = listing.assign(samples)
    if set_apart.below == "gallery":
        samples = add_singles(samples, small, official, split)
    if "role" in samples and not samples["role"].any():
        samples = samples.drop(columns="role")
    used = samples["split"].ne("").to_numpy()
    samples = cap_classes(samples, set_apart.largest_class)
    capped = used & samples["split"].eq("").to_numpy()
    samples = check_samples(samples, listing, classes)
    return samples, describe_limits(samples, small, capped, classes)


def check_samples(
    samples: pd.DataFrame, listing: Listing, classes: Classes, note: str = ""
) -> pd.DataFrame:
    """Check that the splits can be trained on and searched.

    Args:
        samples: The table with its splits.
        listing: The data set.
        classes: The limits on classes.
        note: What was left out before, for the message.

    Returns:
        The table, with train classes that are too small left out where they may be.

    Raises:
        InputError: As `limit_train` and `check_queries`.
    """
    by_distance = bool(listing.coordinates)
    if not by_distance:
        samples = limit_train(samples, classes, note)
    check_queries(samples, note, by_distance)
    return samples


def count_split(samples: pd.DataFrame, levels: Sequence[str], unit: str) -> dict[str, int]:
    """Count the samples, the classes and the groups of each level.

    A level named as the unit or as classes is counted under a longer name.
    """
    taken = (unit, "classes")
    groups = {
        f"{level} groups" if level in taken else level: samples[level].nunique() for level in levels
    }
    return {unit: len(samples), "classes": samples["label"].nunique(), **groups}


def write_images(folder: Path, dataset: str, listing: Listing, side: int | None) -> Outcome:
    """Write squares of pixels, or without a side the files themselves."""
    prepared = prepare_images(dataset, listing, side)
    count = len(listing.samples)
    if side is None:
        return write_files(folder, prepared, count)
    return write_squares(folder, prepared, (count, side, side, listing.channels))


def leave_out_images(
    folder: Path,
    outcome: Outcome,
    listing: Listing,
    samples: pd.DataFrame,
    images: Images,
    classes: Classes,
) -> tuple[pd.DataFrame, dict[str, str], dict[str, int]]:
    """Leave broken images and, where they are dropped, copies out of what was written.

    Returns:
        The table of the other images, with their aspect; by id the reasons why some are left out;
        and the numbers of broken images and of copies.

    Raises:
        InputError: If too many are broken, copies are refused, or without them the splits cannot be
            trained on or searched.
    """
    aspects, broken, digests = outcome
    refuse_broken(broken, samples["id"], images.broken)
    copies = settle_copies(digests, samples, images.duplicates)
    whole = [found for found in digests if found]
    facts = {"broken": len(broken), "copies of others": len(whole) - len(set(whole))}
    samples["aspect"] = [f"{aspect:.6g}" for aspect in aspects]
    gone = broken | copies
    left_out = {samples["id"].iloc[row]: gone[row] for row in sorted(gone)}
    if gone:
        kept = ~np.isin(np.arange(len(samples)), list(gone))
        counted = {"broken images": len(broken), "copies": len(copies)}
        what = " and ".join(f"{number} {name}" for name, number in counted.items() if number)
        note = f", after {what} were left out"
        samples = check_samples(samples[kept], listing, classes, note)
        leave_out(folder, np.flatnonzero(kept))
    return samples, left_out, facts


def prepare_images(
    dataset: str, listing: Listing, side: int | None
) -> Iterator[tuple[Item, Prepared | str]]:
    """Decode all images in their order of storage, in worker processes where there are many files.

    Args:
        dataset: For the progress bar.
        listing: The data set.
        side: Of the squares to make, in pixels; None to keep the files.

    Yields:
        Each row with its file or pixels, and the result of `prepare_all`.

    Raises:
        InputError: If files are to be kept but the data set has only pixels.
    """
    items = listing.images()
    first = next(items, None)
    drawn = first is not None and not isinstance(first[1], bytes)
    if drawn and side is None:
        expected = f"decoded: {dataset} has pixels and no files"
        raise InputError(f"images.form: found encoded, expected {expected}")
    workers = 0 if drawn or len(listing.samples) < FEW else min(WORKERS, os.cpu_count() or 1)
    begun = [] if first is None else [first]
    work = partial(prepare_all, channels=listing.channels, side=side)
    total = len(listing.samples)
    with open_bar(total=total, desc=f"pack {dataset}", unit="img", unit_scale=True) as bar:
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
    """Yield each chunk with the results of a function of its images, in order.

    Args:
        chunks: Taken when they are needed; a few for each worker are under way at a time.
        work: A function that a fresh process can import.
        workers: The number of processes; 0 for this one.
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


def write_vectors(folder: Path, listing: Listing) -> None:
    """Write vectors.npy, float32, each vector at its row.

    Not as a memory map: a disk that is full would end the process without a word.
    """
    shape, kind = (len(listing.samples), listing.channels), np.dtype(np.float32)
    with (folder / "vectors.npy").open("wb") as file:
        start = write_header(file, shape, kind)
        length = shape[1] * kind.itemsize
        for row, vector in listing.images():
            file.seek(start + row * length)
            file.write(np.asarray(vector, kind).tobytes())


def write_squares(
    folder: Path, prepared: Iterable[tuple[Item, Prepared | str]], shape: tuple[int, ...]
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

        return collect(prepared, shape[0], keep)


def write_files(
    folder: Path, prepared: Iterable[tuple[Item, Prepared | str]], count: int
) -> Outcome:
    """Write images.bin, the files in order of storage, and offsets.npy; broken ones are empty."""
    offsets = np.zeros((count, 2), np.int64)
    with (folder / "images.bin").open("wb") as file:

        def keep(item: Item, found: Prepared) -> None:
            """Append a file and note its offsets."""
            row, content = item
            assert isinstance(content, bytes)
            begin = file.tell()
            file.write(found.file or content)
            offsets[row] = begin, file.tell()

        outcome = collect(prepared, count, keep)
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    return outcome


def collect(
    prepared: Iterable[tuple[Item, Prepared | str]],
    count: int,
    keep: Callable[[Item, Prepared], None],
) -> Outcome:
    """Keep each whole image by a function, and tell what all of them are.

    Raises:
        ValueError: If a row has no image or two.
    """
    aspects = np.full(count, np.nan)
    broken: dict[int, str] = {}
    digests = [b""] * count
    seen = np.zeros(count, np.int64)
    for item, found in prepared:
        seen[item[0]] += 1
        if isinstance(found, str):
            broken[item[0]] = found.removeprefix("image: ")
        else:
            aspects[item[0]] = found.aspect
            digests[item[0]] = digest(item[1])
            keep(item, found)
    wrong = np.flatnonzero(seen != 1)
    if len(wrong):
        found = f"{seen[wrong[0]]} for row {wrong[0]} of the table"
        raise ValueError(f"images: found {found}, expected one for each of {count}")
    return aspects, broken, digests


def refuse_broken(broken: Mapping[int, str], ids: pd.Series, most: int) -> None:
    """Refuse more broken images than allowed.

    Raises:
        InputError: With the first of them, the reasons, and the number of the others.
    """
    count = len(broken)
    if count > most or count == len(ids):
        rows = sorted(broken)
        listed = "; ".join(f"{ids.iloc[row]} ({broken[row]})" for row in rows[:SHOWN])
        more = f"; and {count - SHOWN} more" if count > SHOWN else ""
        found = f"{count} broken of {len(ids)} images"
        raise InputError(f"images.broken: found {found}, expected at most {most}: {listed}{more}")


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
    """Write the header of a .npy file, of uint8 by default, and return its length in bytes."""
    kind = np.lib.format.dtype_to_descr(dtype or np.dtype(np.uint8))
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.tell()
