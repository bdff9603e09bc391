"""The page of a study, whatever it varies: reports/<dataset>/<study>/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import PageParams
from geomix.config.studies import Study
from geomix.config.tuning import Tuning
from geomix.data.packed import SCORED, Packed, open_packed
from geomix.report.budget import find_budget
from geomix.report.collisions import list_collisions
from geomix.report.curves import draw_curves, draw_maps
from geomix.report.figures import find_stand_ins
from geomix.report.findings import Findings, Row, find
from geomix.report.learned import Learned, draw_curvatures
from geomix.report.missing import list_missing
from geomix.report.pictures import draw_neighbours, read_pictures
from geomix.report.render import describe_origin, render
from geomix.report.results import (
    BASELINES,
    Results,
    find_ranks,
    name_metrics,
    over_seeds,
    own,
    read_history,
    read_results,
)
from geomix.report.vectors import draw_labels

BY = ["vector", "similarity", "geometry"]


def build_page(
    name: str, study: Study, results: Path, baselines: Path, data: Path, params: PageParams
) -> dict[str, bytes]:
    """Build the page of a study, its figure, picture and tables.

    Args:
        name: Of the study.
        study: What it varies.
        results: The folder of its results.
        baselines: The folder of those of the baselines.
        data: The packed data set.
        params: What trained the cells, and what the page shows.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    raw = read_results(baselines)
    found = find(name, study, read_results(results), raw, packed, params.geometry)
    metrics = found.results.metrics
    geometries = {key: params.geometry[key] for key in study.geometries}
    origin = describe_origin(
        packed,
        [found.results, raw],
        params.model_copy(update={"geometry": geometries}),
        study={name: study.model_dump(exclude_defaults=True, warnings=False)},
    )
    seed = int(own(found.own_cells, "test")["seed"].min())
    budget = find_budget(packed, params, metrics["cell"].nunique(), study.axes, study.fixed)
    learned = Learned(read_history(results), params.geometry)
    curvatures = draw_curvatures(learned, budget["steps"] / budget["epochs"] if budget else None)
    page = render(
        "study",
        f=found,
        dataset=packed.card["dataset"],
        measured={split: measure(found, raw, split) for split in SCORED},
        ranks=find_ranks(metrics),
        levels=packed.card["levels"],
        by_level=[*found.chosen.values(), *found.baselines["test"].to_dict("records")],
        swept=sweep_rows(found),
        loo=np.array_equal(packed.queries("test"), packed.gallery("test")),
        listed=describe_lists(metrics, packed, found.results.per_query),
        things="vectors" if packed.form == "vectors" else "images",
        stand_ins=find_stand_ins(packed.samples["label"].unique()),
        missing=list_missing(packed, found),
        seed=seed,
        budget=budget,
        tuned=isinstance(study, Tuning),
        collisions=list_collisions(study, packed, params.labels),
        learned=learned,
        curvatures=curvatures,
        origin=origin,
    )
    files = {
        "README.md": page,
        "summary.csv": write_summary(found),
        "cells.csv": write_cells({name: metrics, "baselines": raw.metrics}),
        "neighbours.png": picture_neighbours(found, packed, params.report.queries, seed),
    }
    if len(study.axes) == 1:
        files["figure.png"] = draw_curves(found)
    elif study.axes:
        files["figure.png"] = draw_maps(found)
    if curvatures:
        files["curvatures.png"] = curvatures
    return files


def measure(found: Findings, baselines: Results, split: str) -> list[Row]:
    """Average all metrics of the chosen cells and the baselines, a row for each search."""
    rows: list[Row] = []
    for metrics in (found.own_cells, baselines.metrics):
        means = over_seeds(metrics[metrics["split"] == split], BY)
        rows += means.replace({"geometry": BASELINES}).to_dict("records")
    return [{"rank_correlation": np.nan, **row} for row in rows]


def sweep_rows(found: Findings) -> list[Row]:
    """Return a row for each geometry and value, with both splits, and the baselines."""
    rows: list[Row] = []
    tables = (
        (found.summaries["val"], found.summaries["test"]),
        (found.baselines["val"], found.baselines["test"]),
    )
    for vals, tests in tables:
        keys = [key for key in ("geometry", *found.axes) if key in tests]
        for row in tests.merge(vals, on=keys, suffixes=("", "_val")).to_dict("records"):
            best = found.chosen.get(row["geometry"], {})
            chosen = all(axis in row and row[axis] == best.get(axis) for axis in found.axes)
            none = dict.fromkeys([*found.axes, "rank_correlation"], np.nan)
            rows.append({**none, **row, "chosen": chosen})
    return rows


def write_summary(found: Findings) -> bytes:
    """Write means over seeds as CSV: a row for each split, geometry and value."""
    table = pd.concat([rows.assign(split=split) for split, rows in found.summaries.items()])
    metrics = list(name_metrics(table))
    spreads = [f"{name}_sd" for name in metrics]
    points = ["clipped_share", "radius_mean", "radius_sd", "rank_correlation"]
    columns = ["split", "geometry", *found.axes, "seeds", *metrics, *spreads, *points]
    return write_csv(table[columns])


def write_cells(tables: dict[str, pd.DataFrame]) -> bytes:
    """Write the metrics of all cells as CSV, with the name of their study."""
    return write_csv(pd.concat([table.assign(study=name) for name, table in tables.items()]))


def write_csv(table: pd.DataFrame) -> bytes:
    """Write a table as CSV, six decimals."""
    text: str = table.to_csv(index=False, float_format="%.6f")
    return text.encode()


def describe_lists(
    metrics: pd.DataFrame, packed: Packed, per_query: Mapping[str, np.ndarray]
) -> str:
    """Say how long the lists of neighbours are, and of how many queries where not of all."""
    largest = packed.samples["label"].iloc[packed.gallery("test")].value_counts().max()
    deepest = find_ranks(metrics)[-1]
    if largest <= deepest:
        return f"of {deepest}"
    for name, values in per_query.items():
        if "/test/" in name and name.endswith("/map_at_r"):
            listed = int((~np.isnan(values)).sum())
            scored = int((~np.isnan(per_query[name.replace("map_at_r", "recall_at_1")])).sum())
            if listed < scored:
                queries = f"{listed:,} of {scored:,} queries, evenly spaced in the table"
                return (
                    f"as long as the largest class for {queries}, because of all of them they would"
                    " take hours; MRR, MAP@R and R-precision are of these"
                )
            break
    return "as long as the largest class"


def picture_neighbours(found: Findings, packed: Packed, count: int, seed: int) -> bytes:
    """Draw test queries, chosen at random, with their five nearest samples in each geometry.

    Args:
        found: The chosen cells are searched.
        packed: Of vectors, the labels are drawn.
        count: Of queries.
        seed: Of the cells.

    Returns:
        A PNG.
    """
    rows, gallery = packed.queries("test"), packed.gallery("test")
    random = np.random.default_rng(0)
    asked = np.sort(random.choice(len(rows), min(count, len(rows)), replace=False))
    cells = own(found.own_cells, "test")
    cells = cells[cells["seed"] == seed].set_index("geometry")["cell"]
    nearest = {
        name: gallery[found.results.per_query[f"{cells[name]}/test/head/own/neighbours"][asked]]
        for name in found.chosen
        if name in cells.index
    }
    labels = packed.samples["label"].to_numpy()
    if packed.form == "vectors":
        return draw_labels(
            labels[rows[asked]].tolist(),
            {name: labels[lists].tolist() for name, lists in nearest.items()},
        )

    def picture(of: np.ndarray) -> list[tuple[np.ndarray, Any]]:
        """Return images with their classes."""
        return list(zip(read_pictures(packed, of), labels[of], strict=True))

    return draw_neighbours(
        picture(rows[asked]),
        {name: [picture(one) for one in lists] for name, lists in nearest.items()},
    )
