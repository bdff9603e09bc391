"""What a geometry costs, from the tables of the benchmarks: a step, the loss, a search.

What was not measured is NaN. No benchmark says how large an index is.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

SHAPE = "9 views x 100 classes"  # of the batch whose loss is timed
GALLERY = "5,924 x 128, first 32"  # that is searched


@dataclass(frozen=True)
class Speed:
    """Seconds of a geometry, NaN where nothing was measured.

    Attributes:
        loss: Of the pairwise loss with its gradient.
        step: Of a training step.
        search: Of the nearest others of each item of a gallery.
    """

    loss: float = math.nan
    step: float = math.nan
    search: float = math.nan


@dataclass(frozen=True)
class Case:
    """What a geometry is called in the benchmarks; nothing where it is not measured."""

    loss: str | None = None
    step: str | None = None
    search: str | None = None


CASES = {
    "euclidean": Case("cosine", "cosine", "geomix cosine"),
    "flat_free": Case("flat"),
    "hyperbolic_free": Case("hyperbolic, free radii", "hyperbolic", "geomix hyperbolic"),
    "hybrid_free": Case("hybrid", search="geomix hybrid"),
}


def read_speeds(folder: Path) -> dict[str, Speed]:
    """Read what geometries cost, by name.

    Args:
        folder: Of the benchmarks' tables; those that are missing measure nothing.
    """
    losses, negatives, searches = (
        _read_table(folder / f"{name}.csv") for name in ("loss", "negatives", "search")
    )
    return {
        name: Speed(
            loss=_find(losses, "pairwise", f"{case.loss}, {SHAPE}", "geomix"),
            step=_find(negatives, "steps", f"{case.step}, ", "uniform"),
            search=_find(searches, "gallery", GALLERY, case.search),
        )
        for name, case in CASES.items()
    }


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table of the benchmarks, with a row for each time that is in it."""
    columns = ["table", "case", "implementation", "seconds"]
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    table = pd.read_csv(path)
    # A row compares an implementation with a baseline, and has the seconds of both.
    others = {"baseline": "implementation", "baseline_seconds": "seconds"}
    baselines = table.drop(columns=["implementation", "seconds"]).rename(columns=others)
    return pd.concat([table[columns], baselines[columns]], ignore_index=True)


def _find(table: pd.DataFrame, name: str, case: str, implementation: str | None) -> float:
    """Return the seconds of an implementation in the first case that begins so; NaN if none."""
    chosen = table["case"].astype(str).str.startswith(case) & (table["table"] == name)
    seconds = table.loc[chosen & (table["implementation"] == implementation), "seconds"]
    return float(seconds.iloc[0]) if len(seconds) else math.nan
