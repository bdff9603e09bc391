"""Systems as published, of one seed each: scores, what each changes, and what its loss costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomix.report.changes import list_changes
from geomix.report.costs import Cost
from geomix.report.results import over_seeds, own
from geomix.report.settled import System


@dataclass(frozen=True)
class PublishedRow:
    """A system as published.

    Attributes:
        system: With its labels.
        changes: What it changes against the reference of its labels, in words.
        scores: Mean test row over seeds.
        cost: Of its loss.
    """

    system: System
    changes: str
    scores: Mapping[str, Any]
    cost: Cost


def list_published(
    metrics: pd.DataFrame, systems: Sequence[System], reference: str, costs: Mapping[str, Cost]
) -> list[PublishedRow]:
    """Return the published rows of one kind of labels, in the order of the systems.

    Args:
        metrics: Results of all of them.
        systems: Those with these labels.
        reference: One of them.
        costs: By `<labels>/<name>`.
    """
    labels = systems[0].labels
    rows = own(metrics, "test")
    means = over_seeds(rows[rows["labels"] == labels], ["system", "geometry"]).set_index("system")
    base = next(one for one in systems if one.system == reference).comparable
    return [
        PublishedRow(
            system=one,
            changes=list_changes(one.comparable, base),
            scores=means.loc[one.system].to_dict(),
            cost=costs.get(one.key, Cost()),
        )
        for one in systems
    ]
