"""What a geometry costs, from the tables of the benchmarks: the loss, a search, an index.

What was not measured is NaN.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

SHAPE = "9 views x 100 classes"  # of the batch whose loss is timed
GALLERY = "5,924 x 128, first 32"  # that is searched


@dataclass(frozen=True)
class Speed:
    """What a geometry costs; NaN where nothing was measured.

    Attributes:
        loss: Seconds of the pairwise loss with its gradient.
        search: Seconds of the nearest others of each item of a gallery.
        item: Bytes that an index keeps of an item.
        form: Of what: of the vector that is `lifted` for a search by inner product, or of the
            embedding `as stored`.
    """

    loss: float = math.nan
    search: float = math.nan
    item: float = math.nan
    form: str = "-"


def read_speeds(folder: Path) -> dict[str, Speed]:
    """Read what geometries cost, by name.

    Args:
        folder: Of the benchmarks' tables; those that are missing measure nothing.
    """
    losses = _read_seconds(folder / "loss.csv", SHAPE)
    searches = _read_seconds(folder / "search.csv", GALLERY)
    index = _read_table(folder / "search.csv", "index").set_index("implementation")
    names = dict.fromkeys([*losses, *searches, *index.index])
    return {
        name: Speed(
            loss=losses.get(name, math.nan),
            search=searches.get(name, math.nan),
            item=float(index["item_bytes"].get(name, math.nan)),
            form=str(index["case"].get(name, "-")),
        )
        for name in names
    }


def _read_seconds(path: Path, case: str) -> dict[str, float]:
    """Read the seconds of each geometry; a row has those of one and of what it is compared with."""
    table = _read_table(path, "geometries")
    table = table[table["case"] == case]
    seconds = dict(zip(table["baseline"], table["baseline_seconds"], strict=True))
    return seconds | dict(zip(table["implementation"], table["seconds"], strict=True))


def _read_table(path: Path, name: str) -> pd.DataFrame:
    """Read the rows of a table, none where there is no file."""
    columns = ["table", "case", "implementation", "baseline", "seconds", "baseline_seconds"]
    found = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)
    found = found.reindex(columns=[*columns, "item_bytes"])
    return found[found["table"] == name]
