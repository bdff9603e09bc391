"""Pack the user's own vectors: vectors.npy and table.csv as download stored them -> vectors.npy, samples.csv, card.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.data.packed import SPLITS
from geomix.datasets.listing import raw_file
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json
from geomix.preprocess.pack import count_split
from geomix.preprocess.split import check_queries, split_listing

COLUMNS = ("id", "label", "split", "role")  # every other column is a level
BLOCK = 2**22  # numbers converted at a time


def pack_embeddings(raw: Path, out: Path, split: Mapping[str, Any]) -> None:
    """Split the classes of the user's vectors and write the packed data set, in the form `vectors`.

    Args:
        raw: The folder of vectors.npy, floats of shape (N, D), and table.csv.
        out: Where the packed folder shall be: vectors.npy is float32, image_shape in card.json is
            [1, 1, D].
        split: Section `split` of params.yaml.

    Raises:
        InputError: If a file is missing, vectors and table do not fit, there are too few classes to
            split, or val or test cannot be searched (see `check_queries`); nothing is written then.
    """
    samples = pd.read_csv(
        raw_file(raw, "table.csv"), dtype=str, keep_default_na=False, encoding="utf-8"
    )
    vectors = np.load(raw_file(raw, "vectors.npy"), mmap_mode="r", allow_pickle=False)
    if len(vectors) != len(samples):
        raise InputError(
            f"{raw}: found {len(vectors)} vectors and {len(samples)} rows of table.csv, expected as many"
        )
    levels = tuple(column for column in samples.columns if column not in COLUMNS)
    samples["split"] = split_listing(samples, {name: split[name] for name in SPLITS}, split["seed"])
    check_queries(samples)
    step = max(1, BLOCK // vectors.shape[1])
    with new_folder(out) as folder:
        packed = np.lib.format.open_memmap(
            folder / "vectors.npy", "w+", np.dtype(np.float32), vectors.shape
        )
        for start in range(0, len(vectors), step):
            packed[start : start + step] = vectors[start : start + step]
        packed.flush()
        samples.to_csv(folder / "samples.csv", index=False)
        card = {
            "dataset": "embeddings",
            "form": "vectors",
            "levels": list(levels),
            "image_shape": [1, 1, vectors.shape[1]],
            "sha256": {path.name: hash_file(path) for path in sorted(folder.iterdir())},
            "counts": {name: _count(samples[samples["split"] == name], levels) for name in SPLITS},
        }
        write_json(folder / "card.json", card)


def _count(samples: pd.DataFrame, levels: tuple[str, ...]) -> dict[str, int]:
    """Count the vectors, the classes and the groups of each level."""
    counts = count_split(samples, levels)
    return {"vectors": counts.pop("images"), **counts}
