"""What the search of a system found: its trials, the one that val chose, and where that lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomix.report.search import Place
from geomix.report.text import percent


@dataclass(frozen=True, eq=False)
class SystemSearch:
    """The search of a system with labels given or hidden.

    Attributes:
        system: Its name.
        labels: What training knew.
        trials: A row for each: trial, the keys, score, standard_error, failure, and whether it is
            the winner.
        places: Where the winner lies, by key.
    """

    system: str
    labels: str
    trials: pd.DataFrame
    places: Sequence[Place]

    @property
    def winner(self) -> dict[str, Any]:
        """The row of the winner."""
        row: dict[str, Any] = self.trials[self.trials["winner"]].iloc[0].to_dict()
        return row

    @property
    def failed(self) -> int:
        """How many trials could not be trained."""
        return int(self.trials["score"].isna().sum())

    @property
    def chosen(self) -> dict[str, str]:
        """What val chose, by key, as text."""
        return {place.key: place.value for place in self.places}

    @property
    def edges(self) -> list[str]:
        """The keys whose chosen value is at an edge of what was searched."""
        return [place.key for place in self.places if place.kind == "edge"]

    @property
    def tried(self) -> list[str]:
        """What was tried, in words, the best on val first."""
        ordered = self.trials.sort_values("score", ascending=False, kind="stable")
        return [
            ", ".join(f"{place.key} {row[place.key]}" for place in self.places)
            + (" could not be trained" if pd.isna(row["score"]) else f": {percent(row['score'])} %")
            for row in ordered.to_dict("records")
        ]


def write_searches(searches: Sequence[SystemSearch]) -> bytes:
    """Write all trials as CSV."""
    tables = [one.trials.assign(system=one.system, labels=one.labels) for one in searches]
    table = pd.concat(tables)
    before = ["system", "labels", "trial"]
    after = ["score", "standard_error", "winner", "failure"]
    dropped = ["round", "best_so_far", "plateau"]
    keys = [column for column in table if column not in (*before, *after, *dropped)]
    text: str = table[[*before, *keys, *after]].to_csv(index=False, float_format="%.6f")
    return text.encode()
