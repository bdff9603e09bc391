"""The page of a search: what was spent, what it found, and whether it was enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
from matplotlib import pyplot as plt

from geomix.config.stages import SearchPageParams, TrainParams
from geomix.config.studies import flatten
from geomix.config.tuning import Tuning
from geomix.data.packed import Packed
from geomix.report.budget import find_budget
from geomix.report.figures import look_of, to_png
from geomix.report.render import describe_origin, render

SCORES = {
    "map_at_r": "MAP@R",
    "recall_at_1": "R@1",
    "lineage_score": "mean MAP",
}


class Place(Protocol):
    """Where the winner's value of a key lies."""

    @property
    def key(self) -> str:
        """Its dotted name."""

    @property
    def value(self) -> str:
        """That of the winner."""

    @property
    def searched(self) -> str:
        """The range or the values."""

    @property
    def plateau(self) -> str:
        """The values of trials that val cannot tell from the winner."""

    @property
    def kind(self) -> str:
        """inside, edge or category."""


@dataclass(frozen=True, eq=False)
class Search:
    """The search of one geometry.

    Attributes:
        geometry: Its name.
        trials: A row for each, in their order: round, trial, the keys, score, standard_error,
            failure, best_so_far, and whether it is the winner or on the plateau.
        places: Where the winner lies, by key.
        importance: The share of the variance of the score that a key explains alone.
    """

    geometry: str
    trials: pd.DataFrame
    places: Sequence[Place]
    importance: dict[str, float]

    @property
    def winner(self) -> dict[str, Any]:
        """The row of the winner."""
        row: dict[str, Any] = self.trials[self.trials["winner"]].iloc[0].to_dict()
        return row

    @property
    def score(self) -> float:
        """That of the winner."""
        return float(self.winner["score"])

    @property
    def failed(self) -> int:
        """How many trials could not be trained."""
        return int(self.trials["score"].isna().sum())

    @property
    def plateau(self) -> int:
        """How many trials val cannot tell from the winner, that one among them."""
        return int(self.trials["plateau"].sum())

    @property
    def gain(self) -> float:
        """How much the rounds after the first raised the best score."""
        first = self.trials[self.trials["round"] == 1]["score"].max()
        return self.score - float(first)

    @property
    def edges(self) -> list[Place]:
        """The values of the winner at an edge of what was searched."""
        return [place for place in self.places if place.kind == "edge"]


def build_search(
    study: Tuning, searches: Sequence[Search], packed: Packed, params: SearchPageParams
) -> dict[str, bytes]:
    """Build the page of a search, its figure and its table.

    Args:
        study: What was searched, and with what budget.
        searches: One for each geometry.
        packed: The data set.
        params: What trained the trials, and what chose.

    Returns:
        Content by file name.
    """
    metric = params.verdict.metric if params.task == "class" else "lineage_score"
    geometries = {key: params.geometry[key] for key in study.geometries}
    trained = {name: getattr(params, name) for name in TrainParams.model_fields}
    trainings = sum(len(one.trials) for one in searches) * study.budget.folds
    page = render(
        "search",
        dataset=packed.card["dataset"],
        metric=SCORES[metric],
        lineages=params.task == "lineage",
        searches=searches,
        best=max(searches, key=lambda one: one.score),
        edges=[(one, place) for one in searches for place in one.edges],
        near=count_near(searches),
        rounds=int(max(one.trials["round"].max() for one in searches)),
        study=study,
        budget=find_budget(packed, params, trainings, flatten(study.search)),
        origin=describe_origin(
            packed,
            [],
            TrainParams.model_construct(**trained | {"geometry": geometries}),
            tune=study.model_dump(exclude_defaults=True, warnings=False),
            verdict=params.verdict.model_dump(),
        ),
    )
    return {
        "README.md": page,
        "figure.png": draw_search(searches, SCORES[metric]),
        "trials.csv": write_trials(searches),
    }


def count_near(searches: Sequence[Search]) -> str:
    """Say how many other geometries are within one standard error of the best."""
    best = max(searches, key=lambda one: one.score)
    least = best.score - float(best.winner["standard_error"])
    count = sum(one.score >= least for one in searches) - 1
    return {0: "no other", 1: "1 other"}.get(count, f"{count} others")


def write_trials(searches: Sequence[Search]) -> bytes:
    """Write all trials as CSV."""
    tables = [one.trials.assign(geometry=one.geometry) for one in searches]
    table = pd.concat(tables)
    before = ["geometry", "round", "trial"]
    after = ["score", "standard_error", "best_so_far", "winner", "plateau", "failure"]
    keys = [column for column in table if column not in (*before, *after)]
    text: str = table[[*before, *keys, *after]].to_csv(index=False, float_format="%.6f")
    return text.encode()


def draw_search(searches: Sequence[Search], metric: str) -> bytes:
    """Draw the best val score so far over the trials of each geometry.

    Args:
        searches: One for each geometry.
        metric: What it is called.

    Returns:
        A PNG.
    """
    figure, panel = plt.subplots(figsize=(8, 4.6), layout="constrained")
    names = [one.geometry for one in searches]
    for one in searches:
        numbers = range(1, len(one.trials) + 1)
        look = look_of(one.geometry, names) | {"markersize": 4, "drawstyle": "steps-post"}
        panel.plot(numbers, 100 * one.trials["best_so_far"], **look, label=one.geometry)
    rounds = searches[0].trials["round"].to_numpy()
    for edge in (rounds[1:] != rounds[:-1]).nonzero()[0]:
        panel.axvline(edge + 1.5, color="0.85", linewidth=5, zorder=0)
    panel.set(xlabel="trials (a grey bar: a new round)", ylabel=f"best val {metric} so far, %")
    panel.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return to_png(figure)
