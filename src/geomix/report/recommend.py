"""Which geometry to use for a task on a data set, by a rule that is written down here.

The rule reads the summary of a verdict, and what a loss costs:

1. Without a calibration, a training that succeeded, or an interval: none.
2. A geometry is a candidate if it is surely better than the cosine on test (and, in a lineage, than
   a ranking that ignores the query), and scores higher on val.
3. Without a candidate: the cosine.
4. Of the candidates whose val score is within the margin of the highest, the one whose loss takes
   the least time; where times are not measured or equal, the one with the highest val score.

This is about what to use, not about why it is better: of that the questions speak.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geomix.report.questions import COSINE
from geomix.report.speeds import Speed

Row = Mapping[str, Any]
UNREAD = ("not calibrated", "training failed", "one seed, not tested")


@dataclass(frozen=True)
class Recommendation:
    """What to use for a task.

    Attributes:
        task: Its name.
        geometry: Its name; none where nothing can be said.
        why: better, where it is surely better than the cosine; default, where none is; else the
            word that forbids an answer.
        gain: Its mean difference from the cosine with the ends of its interval.
        settings: That val chose.
        time: Of its loss over that of the cosine; NaN where it was not measured.
        cheapest: Whether times are known, and no geometry of the summary has a shorter one.
    """

    task: str
    geometry: str | None
    why: str
    gain: Row | None = None
    settings: Row | None = None
    time: float = math.nan
    cheapest: bool = False


def recommend(summary: Row, speeds: Mapping[str, Speed]) -> list[Recommendation]:
    """Return what the summary of a verdict recommends for each of its tasks.

    Args:
        summary: As `verdict_page.summarise` writes it; its margin is in points.
        speeds: What geometries cost, by name; those that are missing were not measured.
    """
    return [recommend_for(task, summary, speeds) for task in summary["tasks"]]


def recommend_for(task: Row, summary: Row, speeds: Mapping[str, Speed]) -> Recommendation:
    """Return what is recommended for a task of the summary."""
    asked = {one["word"] for one in task["verdicts"].values()} - {"not asked"}
    if COSINE not in summary["winners"] or not asked:
        return Recommendation(task["name"], None, "not asked")
    if asked <= set(UNREAD):
        return Recommendation(task["name"], None, next(word for word in UNREAD if word in asked))
    better = list_better(task, summary)
    name = choose(summary, better, speeds) if better else COSINE
    times = {one: speeds.get(one, Speed()).loss for one in summary["winners"]}
    return Recommendation(
        task=task["name"],
        geometry=name,
        why="better" if better else "default",
        gain=task["over_cosine"].get(name),
        settings=summary["winners"][name]["settings"],
        time=times[name] / times[COSINE],
        cheapest=times[name] <= min(times.values()),
    )


def list_better(task: Row, summary: Row) -> list[str]:
    """List the candidates for a task."""
    val = {name: winner["val"] for name, winner in summary["winners"].items()}
    gains = task["over_cosine"].items()
    return [name for name, one in gains if one["sure"] and val[name] > val[COSINE]]


def choose(summary: Row, names: list[str], speeds: Mapping[str, Speed]) -> str:
    """Return the cheapest of those whose val score is within the margin of the highest."""
    val = {name: summary["winners"][name]["val"] for name in names}
    near = [name for name in names if val[name] >= max(val.values()) - summary["margin"] / 100]

    def rank(name: str) -> tuple[float, float]:
        """Rank by time, then by val score; what was not measured comes last."""
        time = speeds.get(name, Speed()).loss
        return (math.inf if math.isnan(time) else time, -val[name])

    return min(near, key=rank)
