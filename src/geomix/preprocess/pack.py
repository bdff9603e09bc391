"""Pack a data set: data/raw/<dataset> -> images.npy, samples.csv, card.json."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.files import hash_file, new_folder, write_json
from geomix.preprocess.glyphs import LEVELS as GLYPHS_LEVELS
from geomix.preprocess.glyphs import read_glyphs
from geomix.preprocess.split import split_classes
from geomix.samples import SPLITS

Reader = Callable[[Path], tuple[pd.DataFrame, np.ndarray]]

# For each data set the names of its hierarchy's levels, coarse to fine, and the function that reads it.
READERS: dict[str, tuple[tuple[str, ...], Reader]] = {"glyphs": (GLYPHS_LEVELS, read_glyphs)}


def count_split(samples: pd.DataFrame, levels: tuple[str, ...]) -> dict[str, int]:
    """Count the images, the classes and the groups of each level."""
    return {"images": len(samples), "classes": samples["label"].nunique()} | {level: samples[level].nunique() for level in levels}


def pack(dataset: str, raw: Path, out: Path, split: Mapping[str, Any]) -> None:
    """Read a raw data set, split its classes and write the packed one.

    Args:
        dataset: Name of the data set, a key of `READERS`.
        raw: Its folder, written by download.
        out: Where the packed folder shall be.
        split: Section `split` of params.yaml.

    Raises:
        InputError: If the raw data set is damaged or too small to split; nothing is written then.
    """
    levels, read = READERS[dataset]
    samples, images = read(raw)
    samples["split"] = split_classes(samples["label"].tolist(), {name: split[name] for name in SPLITS}, split["seed"])
    with new_folder(out) as folder:
        np.save(folder / "images.npy", images, allow_pickle=False)
        samples.to_csv(folder / "samples.csv", index=False)
        card = {
            "dataset": dataset,
            "levels": list(levels),
            "image_shape": list(images.shape[1:]),
            "sha256": {name: hash_file(folder / name) for name in ("images.npy", "samples.csv")},
            "counts": {name: count_split(samples[samples["split"] == name], levels) for name in SPLITS},
        }
        write_json(folder / "card.json", card)
