"""The table of images: what preprocess writes and every later stage reads.

A packed data set is a folder of three files: `images.npy` (uint8, shape (N, H, W, C)), `samples.csv` (a row for each
image: id, label, the levels of the hierarchy from coarse to fine, split) and `card.json` (counts, shapes, hashes).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.errors import InputError
from geomix.files import hash_file, read_json

SPLITS = ("train", "val", "test")
SCORED = ("val", "test")  # embedded after training and searched
COLUMNS = ("id", "label", "split")
CARD = ("dataset", "levels", "image_shape", "sha256", "counts")


@dataclass(frozen=True)
class Packed:
    """A packed data set: the table, the images it describes row by row, and the card."""

    samples: pd.DataFrame
    images: np.ndarray
    card: dict[str, Any]

    def rows(self, split: str) -> np.ndarray:
        """Give the row numbers of a split, in the order of the table, shape (n,)."""
        return np.flatnonzero(self.samples["split"].to_numpy() == split)


def read_samples(path: Path, levels: list[str]) -> pd.DataFrame:
    """Read samples.csv and check its columns and splits.

    Args:
        path: The file.
        levels: Names of the hierarchy's columns, coarse to fine, as in card.json.

    Returns:
        A row for each image; all columns are text.

    Raises:
        InputError: If the file or a column is missing, or a split has another name than train, val, test.
    """
    try:
        samples = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: not found; expected it from an earlier stage (dvc repro)") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a table: {error}") from None
    missing = [column for column in (*COLUMNS, *levels) if column not in samples.columns]
    if missing:
        raise InputError(f"{path}: found columns {', '.join(samples.columns)}; expected {', '.join(missing)} too")
    unknown = sorted(set(samples["split"]) - {*SPLITS, ""})
    if unknown:
        raise InputError(f"{path}: found split {', '.join(unknown)}; expected {', '.join(SPLITS)} or nothing")
    return samples


def open_packed(folder: Path) -> Packed:
    """Open a packed data set and check that its three files belong together.

    Raises:
        InputError: If a file is missing, damaged, or does not fit the others.
    """
    card = read_json(folder / "card.json")
    missing = [key for key in CARD if key not in card]
    if missing:
        raise InputError(f"{folder}/card.json: found no {', '.join(missing)}, expected {', '.join(CARD)}")
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
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    if len(images) != len(samples):
        raise InputError(f"{folder}: found {len(images)} images and {len(samples)} rows of samples.csv, expected as many")
    return Packed(samples, images, card)
