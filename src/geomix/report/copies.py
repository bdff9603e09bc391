"""Copies in a data set: samples that are the same, or nearly so, and where they contradict labels.

Two samples are the same if their files, pixels or numbers are. Two pictures are nearly the same if
their perceptual hashes differ in at most 2 of 64 bits, and their mean colours in none of 8 x 8
fields by more than 16 of 255.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft

from geomix.data.packed import Encoded, Packed
from geomix.data.pixels import load_image, open_image

HASHED = 32  # pixels of the side of the picture that is hashed
KEPT = 8  # of its frequencies in each direction
FIELDS = 8  # colours in each direction
MOST_BITS, MOST_COLOUR = 2, 16  # of a difference between pictures that are nearly the same
PARTS = (22, 21, 21)  # bits: of three parts, hashes that differ in two bits share one
BLOCK = 512  # hashes compared with others at a time
LISTED = 1000  # pairs of each kind
RELATIONS = ("class", "conflict", "leak")


@dataclass(frozen=True)
class Pair:
    """Two samples that are the same, or nearly so.

    Attributes:
        kind: equal or near.
        first: A row of the table.
        second: Another.
    """

    kind: str
    first: int
    second: int


@dataclass(frozen=True)
class Copies:
    """The copies in a data set.

    Attributes:
        counts: By kind, equal or near (which equal ones are too), the number of samples with a copy
            in their class, in another class (a conflict of labels), and in another split (a leak).
        pairs: Up to 1,000 of each kind, those of several classes first.
    """

    counts: dict[str, dict[str, int]]
    pairs: list[Pair]

    @property
    def conflicts(self) -> int:
        """Samples that are the same as one of another class."""
        return self.counts["equal"]["conflict"]


def find_copies(packed: Packed) -> Copies:
    """Find the copies among the samples that are used.

    Cost:
        Each image is decoded once, large JPEGs at a part of their size; memory holds 200 bytes of
        each.
    """
    rows = np.flatnonzero(packed.samples["split"] != "")
    groups = {"equal": list(group_equal(packed, rows))}
    if packed.form != "vectors":
        groups["near"] = list(group_near(*hash_pictures(packed, rows), rows))
    labels, splits = (packed.samples[name].to_numpy() for name in ("label", "split"))
    counts = {kind: count_relations(found, labels, splits) for kind, found in groups.items()}
    pairs: dict[tuple[int, int], Pair] = {}
    for kind, found in groups.items():
        listed = dict.fromkeys(list_pairs(kind, found, labels))
        ordered = sorted(listed, key=lambda pair: labels[pair.first] == labels[pair.second])
        for pair in ordered[:LISTED]:
            pairs.setdefault((pair.first, pair.second), pair)
    return Copies(counts, list(pairs.values()))


Group = tuple[list[int], list[int]]  # rows, and further rows that each of them is a copy of


def group_equal(packed: Packed, rows: np.ndarray) -> Iterator[Group]:
    """Yield the rows whose content is the same, group by group."""
    groups = defaultdict(list)
    for row in rows.tolist():
        content = (
            packed.images.read(row)
            if isinstance(packed.images, Encoded)
            else np.ascontiguousarray(packed.images[row]).tobytes()
        )
        groups[hashlib.sha256(content).digest()].append(row)
    yield from ((members, []) for members in groups.values() if len(members) > 1)


def group_near(hashes: np.ndarray, colours: np.ndarray, rows: np.ndarray) -> Iterator[Group]:
    """Yield the rows of each look, with those of looks that are nearly the same.

    Args:
        hashes: uint64, (N,).
        colours: uint8, (N, 192).
        rows: The row of each, (N,).
    """
    looks = np.concatenate([hashes[:, None].view(np.uint8), colours], 1)
    _, first, number = np.unique(looks, axis=0, return_index=True, return_inverse=True)
    members: list[list[int]] = [[] for _ in first]
    for row, look in zip(rows.tolist(), number.ravel().tolist(), strict=True):
        members[look].append(row)
    beside: dict[int, list[int]] = defaultdict(list)
    for one, other in match_looks(hashes[first], colours[first]):
        beside[one].append(other)
        beside[other].append(one)
    for look, own in enumerate(members):
        others = [row for other in beside.get(look, ()) for row in members[other]]
        if len(own) + len(others) > 1:
            yield own, others


def match_looks(hashes: np.ndarray, colours: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of different looks that are nearly the same, the smaller number first.

    Hashes that differ in two bits at most are equal in one of three parts, so only those that share
    a part are compared.
    """
    pairs: set[tuple[int, int]] = set()
    shift = 0
    for bits in PARTS:
        parts = (hashes >> np.uint64(shift)) & np.uint64(2**bits - 1)
        shift += bits
        order = np.argsort(parts, kind="stable")
        _, starts = np.unique(parts[order], return_index=True)
        for run in np.split(order, starts[1:]):
            if len(run) > 1:
                pairs.update(_match_run(run, hashes, colours))
    return sorted(pairs)


def _match_run(
    run: np.ndarray, hashes: np.ndarray, colours: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Yield the pairs among some looks, which share a part of their hash."""
    for start in range(0, len(run), BLOCK):
        some = run[start : start + BLOCK]
        bits = np.bitwise_count(hashes[some, None] ^ hashes[run])
        here, there = np.nonzero((bits <= MOST_BITS) & (some[:, None] < run))
        one, other = some[here], run[there]
        apart = np.abs(colours[one].astype(np.int16) - colours[other]).max(1)
        close = apart <= MOST_COLOUR
        yield from zip(one[close].tolist(), other[close].tolist(), strict=True)


def hash_pictures(packed: Packed, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the perceptual hashes of pictures, uint64 (N,), and their colours, uint8 (N, 192)."""
    grey = np.empty((len(rows), HASHED, HASHED), np.uint8)
    colours = np.empty((len(rows), FIELDS * FIELDS * 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        image = _open_small(packed, row)
        square = image.convert("L").resize((HASHED, HASHED), Image.Resampling.LANCZOS)
        grey[place] = np.asarray(square)
        fields = image.resize((FIELDS, FIELDS), Image.Resampling.BOX).convert("RGB")
        colours[place] = np.asarray(fields).reshape(-1)
    return hash_squares(grey), colours


def _open_small(packed: Packed, row: int) -> Image.Image:
    """Open a picture of the data set, a large JPEG at a part of its size."""
    if isinstance(packed.images, Encoded):
        file = open_image(packed.images.read(row))
        file.draft(None, (2 * HASHED, 2 * HASHED))
        return load_image(file, packed.channels)
    pixels = np.asarray(packed.images[row])
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def hash_squares(squares: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of each grey square.

    With d the 8 x 8 lowest frequencies of its cosine transform, a bit is 1 where d is above the
    median of d.

    Args:
        squares: uint8, (N, 32, 32).

    Returns:
        uint64, (N,), the first bit the highest.

    Source:
        Zauner 2010, Implementation and benchmarking of perceptual image hash functions; phash of
        the package imagehash.
    """
    waves = fft.dct(fft.dct(squares.astype(np.float64), axis=1), axis=2)
    low = waves[:, :KEPT, :KEPT].reshape(len(squares), KEPT * KEPT)
    low = low.round(6)  # what is 0 in a plain picture is 1e-13 or so
    bits = low > np.median(low, axis=1, keepdims=True)
    packed: np.ndarray = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return packed


def count_relations(
    groups: Iterable[Group], labels: np.ndarray, splits: np.ndarray
) -> dict[str, int]:
    """Count the samples with a copy in their class, in another class and in another split."""
    counts = dict.fromkeys(RELATIONS, 0)
    for own, others in groups:
        classes = Counter(labels[[*own, *others]])
        parts = Counter(splits[[*own, *others]])
        for row in own:
            counts["class"] += classes[labels[row]] > 1
            counts["conflict"] += classes.total() > classes[labels[row]]
            counts["leak"] += parts.total() > parts[splits[row]]
    return counts


def list_pairs(kind: str, groups: Iterable[Group], labels: np.ndarray) -> Iterator[Pair]:
    """Yield for each sample a copy of it, of another class if there is one; pairs may repeat."""
    for own, others in groups:
        together = [*own, *others]
        firsts: dict[str, int] = {}
        for row in together:
            firsts.setdefault(labels[row], row)
        for row in own:
            conflicts = (first for label, first in firsts.items() if label != labels[row])
            same = together[0] if together[0] != row else together[1]
            first, second = sorted((row, next(conflicts, same)))
            yield Pair(kind, first, second)
