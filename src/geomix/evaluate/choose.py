"""What validation chooses in a study."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

METRIC = "recall_at_1"  # on val, in the geometry's own similarity


def choose_values(metrics: pd.DataFrame, axes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Choose for each geometry the value of each axis with the highest mean score on val.

    Args:
        metrics: A row for each cell, split and search.
        axes: Columns of what varies; none chooses nothing.

    Returns:
        By geometry and axis the value; the lowest ones in a tie.
    """
    if not axes:
        return {}
    rows = metrics[(metrics["split"] == "val") & (metrics["similarity"] == "own")]
    means = rows.groupby(["geometry", *axes], sort=True)[METRIC].mean().reset_index()
    best = means.loc[means.groupby("geometry", sort=False)[METRIC].idxmax()]
    return {row["geometry"]: {axis: row[axis] for axis in axes} for row in best.to_dict("records")}
