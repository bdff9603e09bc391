"""The table of images and the images themselves: what preprocess writes and later stages read.

A packed data set is a folder. `samples.csv` has a row for each image: id, label, the levels of the
hierarchy from coarse to fine, split, role (query, gallery, or nothing for both) if the data set has
roles, and aspect, the width over the height of the original. If samples lie in a tree in which
inner nodes have samples too, `lineage` is the path of each, as in a/b/c; if they lie in a plane or
another flat space, card.json names the columns of their `coordinates`. `card.json` has counts,
shapes, hashes and the form of the images:

    decoded    images.npy: uint8, (N, side, side, C), the whole images squeezed to squares
    encoded    images.bin: the original files end to end; offsets.npy: int64, (N, 2), their bounds
    vectors    vectors.npy: float32, (N, D), vectors of the user in place of images, no aspect
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.data.lineages import Lineages, parse_levels, parse_paths
from geomix.errors import InputError
from geomix.files import hash_file, read_json

SPLITS = ("train", "val", "test")
SCORED = ("val", "test")  # embedded after training and searched
ROLES = ("query", "gallery")
FORMS = ("decoded", "encoded", "vectors")
BLOCK = 2**22  # numbers summed at a time
COLUMNS = ("id", "label", "split")
CARD = ("dataset", "levels", "image_shape", "sha256", "counts")
EARLIER = "not found; expected it from an earlier stage (dvc repro)"
AGAIN = "(dvc repro makes it again)"


class Encoded:
    """The files of images, end to end in one array of bytes, usually a memory map."""

    def __init__(self, content: np.ndarray, offsets: np.ndarray) -> None:
        """Keep the bytes, uint8 (B,), and the begin and end of each file, int64 (N, 2)."""
        self.content = content
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, row: int) -> bytes:
        """Read the file of a row."""
        begin, end = self.offsets[row]
        return self.content[begin:end].tobytes()


@dataclass(frozen=True)
class Packed:
    """A packed data set: the table, the images it describes row by row, and the card."""

    samples: pd.DataFrame
    images: np.ndarray | Encoded
    card: dict[str, Any]

    @property
    def form(self) -> str:
        """How the images are stored: decoded, encoded, or vectors in place of images."""
        if isinstance(self.images, Encoded):
            return "encoded"
        return "vectors" if self.images.ndim == 2 else "decoded"

    @property
    def raw(self) -> str:
        """What an encoder is compared with: pixels, or vectors."""
        return "vectors" if self.form == "vectors" else "pixels"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images: 0, 0, C if encoded; 1, 1, D of vectors."""
        height, width, channels = self.card["image_shape"]
        return height, width, channels

    @property
    def channels(self) -> int:
        """Channels of the images as the network sees them, 1 or 3; D of vectors."""
        return self.image_shape[2]

    def rows(self, split: str) -> np.ndarray:
        """Return the row numbers of a split, in the order of the table, shape (n,)."""
        return np.flatnonzero(self.samples["split"].to_numpy() == split)

    def queries(self, split: str) -> np.ndarray:
        """Return the rows of a split that are queries: all but those of the gallery alone."""
        return self._rows_but(split, "gallery")

    def gallery(self, split: str) -> np.ndarray:
        """Return the rows of a split that are searched: all but those that are queries alone."""
        return self._rows_but(split, "query")

    @cached_property
    def aspects(self) -> np.ndarray:
        """Width over height of each original, float64 (N,); 1 if the table has no such column."""
        if "aspect" not in self.samples:
            return np.ones(len(self.samples))
        return self.samples["aspect"].to_numpy().astype(np.float64)

    @cached_property
    def lineages(self) -> Lineages:
        """Where all samples are in the tree: by the column lineage, or else by levels and label."""
        if "lineage" in self.samples:
            return parse_paths(self.samples["lineage"])
        columns = [*self.card["levels"], "label"]
        return parse_levels({name: self.samples[name] for name in columns})

    @cached_property
    def coordinates(self) -> np.ndarray | None:
        """Where all samples are in a flat space, float64 (N, k); None of samples in a tree."""
        names = self.card.get("coordinates", [])
        return self.samples[names].to_numpy().astype(np.float64) if names else None

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of each column of the train vectors, float64 (D,).

        None for images. A column that is constant in float32 has the deviation 1.
        """
        if isinstance(self.images, Encoded) or self.images.ndim != 2:
            return None
        rows, step = self.rows("train"), max(1, BLOCK // self.channels)
        blocks = [rows[start : start + step] for start in range(0, len(rows), step)]
        mean = sum(self.images[block].sum(0, dtype=np.float64) for block in blocks) / len(rows)
        squares = sum(np.square(self.images[block] - mean).sum(0) for block in blocks)
        deviation = np.sqrt(squares / len(rows))
        return mean, np.where(deviation > 1e-6 * np.abs(mean), deviation, 1)

    def _rows_but(self, split: str, role: str) -> np.ndarray:
        rows = self.rows(split)
        if "role" not in self.samples:
            return rows
        return rows[self.samples["role"].to_numpy()[rows] != role]


def read_samples(path: Path, levels: list[str]) -> pd.DataFrame:
    """Read samples.csv and check its columns, splits and roles.

    Args:
        path: The file.
        levels: Names of the hierarchy's columns, coarse to fine, as in card.json.

    Returns:
        A row for each image; all columns are text.

    Raises:
        InputError: If the file or a column is missing, or a split or role has an unknown name.
    """
    try:
        samples = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: {EARLIER}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a table: {error}") from None
    missing = [column for column in (*COLUMNS, *levels) if column not in samples.columns]
    if missing:
        found = ", ".join(samples.columns)
        raise InputError(f"{path}: found columns {found}; expected {', '.join(missing)} too")
    for column, names in (("split", SPLITS), ("role", ROLES)):
        unknown = sorted(set(samples.get(column, ())) - {*names, ""})
        if unknown:
            expected = f"{', '.join(names)} or nothing"
            raise InputError(f"{path}: found {column} {', '.join(unknown)}; expected {expected}")
    return samples


def open_packed(folder: Path) -> Packed:
    """Open a packed data set and check that its files fit together by shape and size.

    The hashes in card.json are left to DVC and to `check_hashes`, which read every byte.

    Raises:
        InputError: If a file is missing, damaged, or does not fit the others.
    """
    card = _read_card(folder)
    form = card.get("form", "decoded")
    if form not in FORMS:
        raise InputError(f"{folder}/card.json: found form {form!r}, expected {' or '.join(FORMS)}")
    samples = read_samples(folder / "samples.csv", list(card["levels"]))
    for name in card["sha256"]:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: {EARLIER}")
    _check_counts(folder / "samples.csv", samples, card["counts"])
    count, shape = len(samples), card["image_shape"]
    images: np.ndarray | Encoded
    if form == "encoded":
        images = _open_files(folder, count)
    elif form == "vectors":
        images = _open_array(folder / "vectors.npy", (count, shape[-1]))
    else:
        images = _open_array(folder / "images.npy", (count, *shape))
    return Packed(samples, images, card)


def check_hashes(folder: Path) -> None:
    """Compare every file of a packed data set with its SHA-256 in card.json.

    Raises:
        InputError: If a file is missing or differs.
    """
    for name, expected in _read_card(folder)["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: {EARLIER}")
        found = hash_file(path)
        if found != expected:
            hashes = f"found sha256 {found[:16]}..., expected {expected[:16]}..."
            raise InputError(f"{path}: damaged: {hashes} {AGAIN}")


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = read_json(folder / "card.json")
    missing = [key for key in CARD if key not in card]
    if missing:
        found = ", ".join(missing)
        raise InputError(f"{folder}/card.json: found no {found}, expected {', '.join(CARD)}")
    return card


def _check_counts(path: Path, samples: pd.DataFrame, counts: dict[str, dict[str, int]]) -> None:
    """Compare the rows of each split with the first count of the card, of images or vectors."""
    for split, counted in counts.items():
        found, expected = int((samples["split"] == split).sum()), next(iter(counted.values()))
        if found != expected:
            rows = f"found {found} rows of {split}, expected {expected}"
            raise InputError(f"{path}: damaged: {rows} {AGAIN}")


def _open_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Open an array as a memory map."""
    try:
        array: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:  # of numpy, for a file that is too short or no array
        raise InputError(f"{path}: damaged: {error} {AGAIN}") from None
    length = array.offset + array.nbytes
    if array.shape != shape or path.stat().st_size != length:
        found = f"shape {array.shape} in {path.stat().st_size:,} bytes"
        expected = f"{shape} in {length:,} bytes"
        raise InputError(f"{path}: damaged: found {found}, expected {expected} {AGAIN}")
    return array


def _open_files(folder: Path, count: int) -> Encoded:
    path = folder / "offsets.npy"
    offsets = np.load(path, allow_pickle=False)
    content = np.memmap(folder / "images.bin", np.uint8, "r")
    if offsets.ndim != 2 or offsets.shape[1] != 2 or offsets.dtype != np.int64:
        found = f"{offsets.dtype} of shape {offsets.shape}"
        raise InputError(f"{path}: found {found}, expected int64 of (N, 2)")
    begins, ends = offsets.T
    wrong = np.flatnonzero((begins < 0) | (begins >= ends) | (ends > len(content)))
    if len(wrong):
        row = wrong[0]
        found = f"bytes {begins[row]} to {ends[row]} for row {row}"
        expected = f"some of the {len(content)} bytes of images.bin"
        raise InputError(f"{path}: found {found}, expected {expected}")
    if len(offsets) != count:
        found = f"{len(offsets)} images and {count} rows of samples.csv"
        raise InputError(f"{folder}: found {found}, expected the same number")
    return Encoded(content, offsets)
