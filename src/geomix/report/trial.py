"""The page of a trial on frozen features: what to do, with the checks and costs behind it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.data.packed import SPLITS, Packed, open_packed
from geomix.report.advice import advise
from geomix.report.front import withdraw
from geomix.report.recommend import recommend
from geomix.report.render import describe_origin, render
from geomix.report.speeds import GALLERY, SHAPE, Speed, read_speeds
from geomix.report.tasks import METRICS

GALLERY_ITEMS = 5924  # that the benchmark of the search has, queries as many
LEVELS = 4  # of the hierarchy, in a table of seven columns

Row = dict[str, Any]


def build_trial(
    summary: Row, facts: Mapping[str, Any], data: Path, source: Path, bench: Path, calibrated: bool
) -> dict[str, bytes]:
    """Build the page of a trial.

    Args:
        summary: Of the verdict on the features.
        facts: The manifest of the features.
        data: The packed features.
        source: The page of the data set that they are of.
        bench: The folder of the benchmarks' tables.
        calibrated: Whether the calibration came out.

    Returns:
        Content by file name.
    """
    packed, summary = open_packed(data), summary if calibrated else withdraw(summary)
    count, speeds = len(packed.samples), read_speeds(bench)
    page = render(
        "trial",
        v=summary,
        advice=advise(summary),
        recommended=recommend(summary, speeds),
        facts=facts,
        counts={split: packed.card["counts"][split] for split in SPLITS},
        levels=packed.card["levels"][:LEVELS],
        lineages="lineage" in packed.samples,
        copies=count_copies(source / "duplicates.csv"),
        val=judge_val(packed, summary),
        asked=any(one["gain"] for task in summary["tasks"] for one in task["verdicts"].values()),
        samples=count,
        costs=list_costs(list(summary["winners"]), speeds, count),
        shape=SHAPE,
        gallery=GALLERY,
        origin=describe_origin(packed, []),
    )
    return {"README.md": page}


def count_copies(path: Path) -> dict[str, int]:
    """Count the listed pairs of samples that are the same, or nearly so.

    Args:
        path: duplicates.csv of the page of a data set, which has up to 1,000 pairs of each kind; no
            file where there is no pair.

    Returns:
        pairs; conflicts, of two classes; leaks, of two splits.
    """
    if not path.is_file():
        return {"pairs": 0, "conflicts": 0, "leaks": 0}
    pairs = pd.read_csv(path, dtype=str, keep_default_na=False)
    return {
        "pairs": len(pairs),
        "conflicts": int((pairs["first_label"] != pairs["second_label"]).sum()),
        "leaks": int((pairs["first_split"] != pairs["second_split"]).sum()),
    }


def judge_val(packed: Packed, summary: Row) -> Row:
    """Say what val can decide: how far two settings must differ for it to tell them apart.

    Of G test classes a difference D is found. If the classes of val scatter as those of test do,
    and classes are what scatters, C of them find D * sqrt(G / C).

    Returns:
        classes and queries of val; least, that difference as a share: NaN where it is not known, as
        of lineages.
    """
    rows = packed.queries("val")
    classes = packed.samples["label"].iloc[rows].nunique()
    task = summary["tasks"][0]
    smallest = task["verdicts"]["curvature"]["smallest"]
    known = task["metric"] in METRICS and smallest is not None
    least = smallest * math.sqrt(task["groups"] / classes) if known else math.nan
    return {"classes": classes, "queries": len(rows), "least": least}


def list_costs(names: list[str], speeds: Mapping[str, Speed], count: int) -> list[Row]:
    """List what each geometry costs on this machine's benchmarks, for as many samples.

    Args:
        names: Of geometries.
        speeds: Measured; what is missing is NaN.
        count: Samples in an index.

    Returns:
        For each geometry its name; loss in ms and over cosine; search, ms of a query among so many,
        in proportion to the gallery, and over cosine; index in MB; and the form of its vectors.
    """
    least = speeds.get("euclidean", Speed())
    each = 1000 / GALLERY_ITEMS * count / GALLERY_ITEMS  # ms of a query, from s of all on all
    rows = []
    for name in names:
        one = speeds.get(name, Speed())
        rows.append(
            {
                "name": name,
                "loss": 1000 * one.loss,
                "loss_ratio": one.loss / least.loss,
                "search": each * one.search,
                "search_ratio": one.search / least.search,
                "index": one.item * count / 1e6,
                "form": one.form,
            }
        )
    return rows
