"""What could not be computed of a study, and why: said on its page, where tables have a dash."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from geomix.data.packed import SCORED, Packed
from geomix.report.findings import Findings
from geomix.report.results import name_metrics, own


def list_missing(packed: Packed, found: Findings) -> list[str]:
    """Say in sentences what a study has no numbers of; nothing where all is there.

    Args:
        packed: The data set that was searched. A query has no score if its gallery has no other
            sample of its class.
        found: Of the study.
    """
    reasons: list[str] = []
    for split in SCORED:
        queries, gallery = packed.queries(split), packed.gallery(split)
        labels = packed.samples["label"]
        counts = labels.iloc[queries].map(labels.iloc[gallery].value_counts()).fillna(0)
        finding = counts.to_numpy() > np.isin(queries, gallery)  # no query finds itself
        reasons += describe_queries(split, labels.to_numpy()[queries], finding)
        if finding.any():
            reasons += describe_metrics(split, own(found.own_cells, split))
    return reasons


def describe_queries(split: str, labels: np.ndarray, finding: np.ndarray) -> Iterator[str]:
    """Say which queries have no score, and whether those that have one are too alike.

    Args:
        split: val or test.
        labels: The class of each query, (Q,).
        finding: Whether there is another sample of it in the gallery, (Q,).
    """
    alone, count = int((~finding).sum()), len(finding)
    if alone == count:
        yield f"No query of {split} has another sample of its class in the gallery, so no score."
        return
    if alone:
        yield (
            f"{alone:,} of {count:,} queries of {split} have no other sample of their class in the "
            "gallery. They have no score, and means are of the others."
        )
    classes = np.unique(labels[finding])
    if split == "test" and len(classes) == 1:
        yield (
            f"All queries of test with a score are of class {classes[0]}, so that no difference "
            "has an interval, which tells how results differ between classes."
        )


def describe_metrics(split: str, rows: pd.DataFrame) -> Iterator[str]:
    """Say which metrics have no number in some of the cells.

    Args:
        split: val or test.
        rows: Of the chosen cells, each in its own similarity.
    """
    cells: dict[int, list[str]] = {}
    for name, shown in name_metrics(rows).items():
        if without := int(rows[name].isna().sum()):
            cells.setdefault(without, []).append(shown)
    for without, names in cells.items():
        yield f"{', '.join(names)} of {split}: no number in {without} of {len(rows)} cells."
    if split == "test" and (without := int(rows["rank_correlation"].isna().sum())):
        yield (
            f"Rank correlation with cosine: none in {without} of {len(rows)} cells, where all "
            "samples are equally similar to some query."
        )
