"""What validation chooses in a study."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

METRICS = {"class": "recall_at_1", "lineage": "lineage_score", "distances": "stress"}
LOWEST = ("stress",)  # the lower, the better


def choose_values(
    metrics: pd.DataFrame, axes: Sequence[str], task: str = "class"
) -> dict[str, dict[str, Any]]:
    """Choose for each geometry the value of each axis with the best mean score on val.

    The score is that of the head in the geometry's own similarity: the highest recall_at_1 of a
    class task; of lineages the highest lineage_score, the mean of leaf_ancestors and inner_leaves,
    because both directions count alike; of distances the lowest stress.

    Args:
        metrics: A row for each cell, split and search.
        axes: Columns of what varies; none chooses nothing.
        task: class, lineage or distances.

    Returns:
        By geometry and axis the value; the lowest ones in a tie.
    """
    if not axes:
        return {}
    metric = METRICS[task]
    rows = metrics[(metrics["split"] == "val") & (metrics["similarity"] == "own")]
    means = rows.groupby(["geometry", *axes], sort=True)[metric].mean().reset_index()
    by_geometry = means.groupby("geometry", sort=False)[metric]
    best = means.loc[by_geometry.idxmin() if metric in LOWEST else by_geometry.idxmax()]
    return {row["geometry"]: {axis: row[axis] for axis in axes} for row in best.to_dict("records")}
