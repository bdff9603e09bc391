"""Features of a frozen backbone, as stage `features` writes them, with the splits of the images."""

from pathlib import Path
from typing import Any

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, list_vectors
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
    """List the features, see `list_vectors`; the official split is that of the images."""
    return list_vectors(raw, REQUIRED)
