"""The pages of one data set of the study `benchmarks`: reports/benchmarks/<dataset>/."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.data.packed import Packed, open_packed
from geomix.report.comparison import (
    compare_geometries,
    difference_rows,
    level_rows,
    metric_rows,
    neighbours_picture,
    radius_rows,
    searched_sentence,
)
from geomix.report.dataset import dataset_page
from geomix.report.index import answer, at_chosen_tau, explanation, metrics_json, summary_rows
from geomix.report.pages import provenance
from geomix.report.studies import BASELINES, CHOOSES, Study, average_baselines, read_study
from geomix.report.sweeps import chosen_cells, edge_sentences, temperature_page
from geomix.report.text import join_words, markdown_table, number


def gain_over_raw(chosen: pd.DataFrame, baselines: Study) -> str:
    """Say by how many points of test R@1 each geometry is above raw pixels or vectors.

    Args:
        chosen: Rows of `at_chosen_tau` on test.
        baselines: Raw pixels or vectors, and the untrained network.
    """
    scores = average_baselines(baselines, "test").set_index("geometry")[CHOOSES]
    raw = next(name for name in scores.index if name != BASELINES["untrained"])
    gains = {row["geometry"]: row[CHOOSES] - scores[raw] for _, row in chosen.iterrows()}
    listed = join_words([f"{name} by {100 * gain:+.1f} points" for name, gain in gains.items()])
    lost = [name for name, gain in gains.items() if gain <= 0]
    failed = f" **Training did not help in {join_words(lost)}.**" if lost else ""
    return f"Test R@1 differs from that of {raw} in {listed}.{failed}"


def budget(packed: Packed, params: Mapping[str, Any], cells: int) -> str:
    """Say what each cell was trained with: passes, images, batches, the network."""
    batch, epochs = params["batch"], params["epochs"]
    images = len(packed.rows("train"))
    passes = "1 pass" if epochs == 1 else f"{epochs} passes"
    steps = epochs * max(1, images // (batch["classes"] * batch["images"]))
    backbone = params["backbone"]
    start = (
        "from scratch"
        if not backbone["pretrained"] and backbone["checkpoint"] is None
        else "from given weights"
    )
    shape = ", ".join(
        f"{key} {backbone[key]}"
        for key in ("side", "stem", "patch", "width", "depth", "heads")
        if backbone.get(key)
    )
    return (
        f"{cells} cells, each trained {start} for {passes} over {images:,} images: {steps:,} steps of "
        f"{batch['classes']} classes x {batch['images']} images, {backbone['name']} ({shape})."
    )


def build_benchmark(results: Path, data: Path, params: Mapping[str, Any]) -> dict[str, bytes]:
    """Build every page, picture and table of one data set.

    Args:
        results: The folder with results of `cells` and `baselines`.
        data: The packed data set.
        params: The sections that trained them, and section `report`.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    studies = {name: read_study(results / name) for name in ("cells", "baselines")}
    sweep, baselines = studies["cells"], studies["baselines"]
    files, best = temperature_page(sweep, baselines)
    cells = chosen_cells(sweep, best)
    names = [name for group in cells.values() for name in group]
    own_tau = replace(sweep, metrics=sweep.metrics[sweep.metrics["cell"].isin(names)])
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    differences = compare_geometries(sweep, cells, classes)
    chosen = at_chosen_tau(sweep, cells, "test")
    page = f"""# {packed.card["dataset"]}: does curved space help?

{answer(packed.card["dataset"], chosen, differences)}

{explanation(differences)}

{markdown_table(summary_rows(chosen, None, baselines))}

Temperatures that validation chose. {edge_sentences(best, "tau")} {gain_over_raw(chosen, baselines)}

{_details(own_tau, sweep, baselines, packed, params, differences)}
"""
    seed = int(sweep.metrics["seed"].min())
    table = pd.concat(
        [sweep.metrics.assign(study="benchmarks"), baselines.metrics.assign(study="baselines")]
    )
    files |= {
        "README.md": page.encode(),
        "metrics.json": metrics_json(chosen, chosen.iloc[:0]),
        "comparison.csv": table.to_csv(index=False, float_format="%.6f").encode(),
        "neighbours.png": neighbours_picture(own_tau, packed, params["report"]["queries"], seed),
    }
    files |= dataset_page(packed)
    footer = provenance(params, packed, studies).encode()
    return {
        name: content + footer if name.endswith(".md") else content
        for name, content in files.items()
    }


def _details(
    own_tau: Study,
    sweep: Study,
    baselines: Study,
    packed: Packed,
    params: Mapping[str, Any],
    differences: Mapping[tuple[str, str], Any],
) -> str:
    """Write what follows the first table."""
    first = sweep.metrics.iloc[0]
    tables: Sequence[pd.DataFrame] = [own_tau.metrics, baselines.metrics]
    levels = packed.card["levels"]
    by_level = (
        f"## By level of the hierarchy\n\n{markdown_table(level_rows(own_tau.metrics, baselines, levels))}\n\n"
        if levels
        else ""
    )
    return f"""## Budget

{budget(packed, params, sweep.metrics["cell"].nunique())} Curvature {number(first["curvature"])} and lam
{number(first["lam"])}, where a geometry has them. The settings are one set for all geometries; only the temperature was
chosen for each, on val classes. [Over the temperature](temperature.md), [the images and their splits](dataset.md).

## All metrics on the test classes

Percent, mean ± standard deviation over seeds, at the temperatures above. {searched_sentence(packed)}

{markdown_table(metric_rows(tables, "test"))}

## Differences

On the same queries and seeds; the intervals let both vary, and are not corrected for their number.

{markdown_table(difference_rows(differences))}

{by_level}## Did curvature act?

{markdown_table(radius_rows(own_tau))}

## Queries and their nearest images

![Queries and their five nearest images by geometry](neighbours.png)

Test queries drawn at random, with their five nearest images in each geometry's own similarity. An image of another class
has a thick frame and a cross.

Numbers of all cells: [comparison.csv](comparison.csv)."""
