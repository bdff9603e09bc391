"""Data sets, one file for each: `SOURCE` says where its raw files come from, `read` lists them."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, get_args

from geomix.config.base import Dataset
from geomix.errors import InputError

if TYPE_CHECKING:
    from geomix.datasets.listing import Listing
    from geomix.datasets.sources import Source


class DatasetModule(Protocol):
    """What the file of a data set offers."""

    SOURCE: "Source"

    def read(self, raw: Path) -> "Listing":
        """List what the raw folder holds."""


def load_dataset(name: str) -> DatasetModule:
    """Import the file of one data set, and of no other.

    Raises:
        InputError: If no data set has this name.
    """
    if name not in get_args(Dataset):
        expected = ", ".join(get_args(Dataset))
        raise InputError(f"dataset: found {name}, expected one of {expected}")
    return cast("DatasetModule", import_module(f"geomix.datasets.{name}"))
