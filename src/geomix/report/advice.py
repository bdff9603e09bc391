"""What a verdict on frozen features advises: one of five, by a rule that is written down here.

The rule reads the summary of a verdict alone. In this order:

1. No question could be read: undecided.
2. No head beats the features themselves: cosine, without a head.
3. The ball or the hybrid helps: curvature; if it hurts in another task, the two of them.
4. In a hierarchy the free norm helps in a direction, and 6 does not hold: inner; if it hurts in
   another task, it and the cosine.
5. A flat geometry is better than its control and has a higher val score than the cosine: two of
   them, this one beside the ball if curvature may still gain more than the margin, else beside the
   cosine.
6. Curvature may still gain more than the margin: undecided.
7. Else: cosine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from geomix.report.lineage import DIRECTIONS

Row = Mapping[str, Any]
Kind = Literal["cosine", "two", "inner", "curvature", "undecided"]
CURVED = ("curvature", "hybrid")
FLAT = ("kernel", "ball's kernel", "radius", "norm")
UNREAD = ("not calibrated", "one seed, not tested", "not asked")
COSINE = "euclidean"


@dataclass(frozen=True)
class Advice:
    """What to do.

    Attributes:
        kind: Stay with cosine, fine-tune two, take an inner product, take curvature, or undecided.
        why: What of the rule applied: `unread`, `failed`, `helps`, `torn` between tasks, `flat`,
            `open`, or `settled`.
        geometries: What to train, the better one first.
        task: The task of the summary that decided.
        question: Its verdict that decided.
    """

    kind: Kind
    why: Literal["unread", "failed", "helps", "torn", "flat", "open", "settled"]
    geometries: tuple[str, ...]
    task: Row
    question: Row


def advise(summary: Row) -> Advice:
    """Return what the summary of a verdict advises.

    Args:
        summary: As `verdict_page.summarise` writes it; its margin is in points.
    """
    first, tasks = summary["tasks"][0], summary["tasks"]
    curvature = first["verdicts"]["curvature"]
    words = {task["verdicts"]["curvature"]["word"] for task in tasks}
    if words <= set(UNREAD):
        return Advice("undecided", "unread", (), first, curvature)
    if words == {"training failed"}:
        return Advice("cosine", "failed", (COSINE,), first, curvature)
    found = advise_curved(summary) or advise_inner(summary) or advise_flat(summary)
    if found:
        return found
    for task, one in find_open(summary):
        return Advice("undecided", "open", (one["setting"], one["controls"][0]), task, one)
    return Advice("cosine", "settled", (COSINE,), first, curvature)


def list_questions(summary: Row, names: tuple[str, ...], word: str) -> list[tuple[Row, Row]]:
    """List the tasks and verdicts of some questions that have a word, the surest gain first."""
    found = [
        (task, one)
        for task in summary["tasks"]
        for name, one in task["verdicts"].items()
        if name in names and one["word"] == word
    ]
    return sorted(found, key=lambda pair: -pair[1]["gain"]["low"])


def advise_curved(summary: Row) -> Advice | None:
    """Advise curvature where it helps, beside another geometry if it hurts in another task."""
    for task, one in list_questions(summary, CURVED, "helps"):
        for _, harm in list_questions(summary, CURVED, "hurts"):
            if harm["setting"] == one["setting"]:
                both = (one["setting"], harm["controls"][0])
                return Advice("two", "torn", both, task, one)
        return Advice("curvature", "helps", (one["setting"],), task, one)
    return None


def advise_inner(summary: Row) -> Advice | None:
    """Advise an inner product where a hierarchy gains by a free norm.

    Beside the cosine where a free norm hurts in the other direction; not where curvature is open.
    """
    if next(find_open(summary), None):
        return None
    for task, one in list_questions(summary, ("norm",), "helps"):
        if task["metric"] in DIRECTIONS:
            if list_questions(summary, ("norm",), "hurts"):
                return Advice("two", "torn", (one["setting"], COSINE), task, one)
            return Advice("inner", "helps", (one["setting"],), task, one)
    return None


def advise_flat(summary: Row) -> Advice | None:
    """Advise the best flat geometry that helps, beside the ball or the cosine."""
    val = {name: winner["val"] for name, winner in summary["winners"].items()}
    helped = [
        pair
        for pair in list_questions(summary, FLAT, "helps")
        if val[pair[1]["setting"]] > val[COSINE]
    ]
    if not helped:
        return None
    task, one = max(helped, key=lambda pair: val[pair[1]["setting"]])
    undecided = [other["setting"] for _, other in find_open(summary)]
    beside = undecided[0] if undecided else COSINE
    return Advice("two", "flat", (one["setting"], beside), task, one)


def find_open(summary: Row) -> Iterator[tuple[Row, Row]]:
    """Yield tasks in which curvature is not decided and may gain more than the margin."""
    for task, one in list_questions(summary, CURVED[:1], "not decidable"):
        if one["gain"]["high"] > summary["margin"] / 100:
            yield task, one
