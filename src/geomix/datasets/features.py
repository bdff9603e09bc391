"""Features of a frozen backbone, as stage `features` writes them, with the splits of the images."""

from pathlib import Path
from typing import Any

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, name_levels, read_stored, read_vectors
from geomix.datasets.sources import Source
from geomix.errors import InputError

REQUIRED = ("id", "label")


def refuse_download(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Say which stage writes the raw files.

    Raises:
        InputError: Always.
    """
    expected = "another data set: these are written by stage features (make trial)"
    raise InputError(f"command line: --dataset: found features, expected {expected}")


SOURCE = Source(licence="that of the images", write=refuse_download)


def read(raw: Path) -> Listing:
    """List the features; the official split is that of the images.

    Args:
        raw: The folder of vectors.npy, float32 (N, D), and table.csv, in the form of the user's own
            vectors.

    Returns:
        Vectors, which are read from the file when they are needed.

    Raises:
        InputError: If a file is missing, or vectors and table have different lengths.
    """
    _, samples = read_stored(raw)
    vectors = read_vectors(raw, len(samples))
    levels = name_levels(samples, REQUIRED)
    return Listing(samples, levels, lambda: enumerate(vectors), vectors.shape[1], form="vectors")
