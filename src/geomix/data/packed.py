"""The table of images and the images themselves: what preprocess writes and every later stage
reads.

A packed data set is a folder. `samples.csv` has a row for each image: id, label, the levels of the
hierarchy from coarse to fine, split, role (query, gallery, or nothing for both) where the data set
has one, and aspect, the width over the height of the original. `card.json` has counts, shapes,
hashes and the form of the images:

    decoded    images.npy: uint8, shape (N, side, side, C), the whole images squeezed to squares
    encoded    images.bin: the original files end to end; offsets.npy: int64, shape (N, 2), begin
    and end of each
    vectors    vectors.npy: float32, shape (N, D), no images at all but vectors of the user, without
    an aspect
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.errors import InputError
from geomix.files import hash_file, read_json

SPLITS = ("train", "val", "test")
SCORED = ("val", "test")  # embedded after training and searched
ROLES = ("query", "gallery")
FORMS = ("decoded", "encoded", "vectors")
BLOCK = 2**22  # numbers summed at a time
COLUMNS = ("id", "label", "split")
CARD = ("dataset", "levels", "image_shape", "sha256", "counts")


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
        """How the images are kept: decoded or encoded; or vectors."""
        if isinstance(self.images, Encoded):
            return "encoded"
        return "vectors" if self.images.ndim == 2 else "decoded"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images; 0, 0 where encoded, which have none in common; 1, 1, D of vectors."""
        height, width, channels = self.card["image_shape"]
        return height, width, channels

    @property
    def channels(self) -> int:
        """Channels of the images as the network sees them, 1 or 3; of vectors D."""
        return self.image_shape[2]

    def rows(self, split: str) -> np.ndarray:
        """Give the row numbers of a split, in the order of the table, shape (n,)."""
        return np.flatnonzero(self.samples["split"].to_numpy() == split)

    def queries(self, split: str) -> np.ndarray:
        """Give the rows of a split that are searched for: all but those of the gallery alone."""
        return self._rows_but(split, "gallery")

    def gallery(self, split: str) -> np.ndarray:
        """Give the rows of a split that are searched in: all but those that are queries alone."""
        return self._rows_but(split, "query")

    @cached_property
    def aspects(self) -> np.ndarray:
        """Width over height of each original, float64 (N,); 1 where the table has no such column."""
        if "aspect" not in self.samples:
            return np.ones(len(self.samples))
        return self.samples["aspect"].to_numpy().astype(np.float64)

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of each column of the vectors of train, float64 (D,); nothing
        for images.

        A column that does not vary, to float32, has the deviation 1.
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
        return (
            rows[self.samples["role"].to_numpy()[rows] != role] if "role" in self.samples else rows
        )


def read_samples(path: Path, levels: list[str]) -> pd.DataFrame:
    """Read samples.csv and check its columns, splits and roles.

    Args:
        path: The file.
        levels: Names of the hierarchy's columns, coarse to fine, as in card.json.

    Returns:
        A row for each image; all columns are text.

    Raises:
        InputError: If the file or a column is missing, a split has another name than train, val,
            test, or a role another than query, gallery.
    """
    try:
        samples = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; expected it from an earlier stage (dvc repro)"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a table: {error}") from None
    missing = [column for column in (*COLUMNS, *levels) if column not in samples.columns]
    if missing:
        raise InputError(
            f"{path}: found columns {', '.join(samples.columns)}; expected {', '.join(missing)} too"
        )
    for column, names in (("split", SPLITS), ("role", ROLES)):
        unknown = sorted(set(samples.get(column, ())) - {*names, ""})
        if unknown:
            raise InputError(
                f"{path}: found {column} {', '.join(unknown)}; expected {', '.join(names)} or nothing"
            )
    return samples


def open_packed(folder: Path) -> Packed:
    """Open a packed data set and check that its files belong together.

    Raises:
        InputError: If a file is missing, damaged, or does not fit the others.
    """
    card = read_json(folder / "card.json")
    missing = [key for key in CARD if key not in card]
    if missing:
        raise InputError(
            f"{folder}/card.json: found no {', '.join(missing)}, expected {', '.join(CARD)}"
        )
    form = card.get("form", "decoded")
    if form not in FORMS:
        raise InputError(f"{folder}/card.json: found form {form!r}, expected {' or '.join(FORMS)}")
    samples = read_samples(folder / "samples.csv", list(card["levels"]))
    for name, expected in card["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: not found; expected it from an earlier stage (dvc repro)")
        found = hash_file(path)
        if found != expected:
            raise InputError(
                f"{path}: damaged: found sha256 {found[:16]}..., expected {expected[:16]}... (dvc repro makes it anew)"
            )
    name = "vectors.npy" if form == "vectors" else "images.npy"
    images = (
        _open_files(folder)
        if form == "encoded"
        else np.load(folder / name, mmap_mode="r", allow_pickle=False)
    )
    if len(images) != len(samples):
        raise InputError(
            f"{folder}: found {len(images)} images and {len(samples)} rows of samples.csv, expected as many"
        )
    return Packed(samples, images, card)


def _open_files(folder: Path) -> Encoded:
    offsets = np.load(folder / "offsets.npy", allow_pickle=False)
    content = np.memmap(folder / "images.bin", np.uint8, "r")
    if offsets.ndim != 2 or offsets.shape[1] != 2 or offsets.dtype != np.int64:
        raise InputError(
            f"{folder}/offsets.npy: found {offsets.dtype} of shape {offsets.shape}, expected int64 of (N, 2)"
        )
    wrong = np.flatnonzero(
        (offsets[:, 0] < 0) | (offsets[:, 0] >= offsets[:, 1]) | (offsets[:, 1] > len(content))
    )
    if len(wrong):
        begin, end = offsets[wrong[0]]
        raise InputError(
            f"{folder}/offsets.npy: found bytes {begin} to {end} for row {wrong[0]}, expected some of the {len(content)} bytes"
            " of images.bin"
        )
    return Encoded(content, offsets)
