"""What results allow one to say of each question: from per-query scores to a verdict.

Guards come before the evidence, in this order: the instrument is not calibrated; training failed;
what is asked about could not act, or was not used. A difference says nothing where one of them
holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from geomix.errors import InputError
from geomix.report.contrasts import Contrast, Need, contrast_controls, correct_holm
from geomix.report.gap import ALPHA, Gap
from geomix.report.kinds import UNUSED
from geomix.report.lineage import CONSTANTS
from geomix.report.questions import COSINE, QUESTIONS, Question
from geomix.report.results import Results
from geomix.report.tasks import CLASSES, Task, Values
from geomix.report.text import list_words
from geomix.report.winners import Winners, average_below

MEANINGS = {
    "helps": "better than each control: the gain is surely above 0",
    "hurts": "worse than the control that val chose: the gain is surely below 0",
    "equal within the margin": "the gain is surely within the margin, whether it is 0 or not",
    "not decidable": "none of these: a difference as large as the ends of the interval may be true",
    "not credited": "better than each control, but not surely than a ranking that ignores"
    " the query",
    "could not act": "a clip radius or a normalisation puts all points at one radius, where neither"
    " curvature nor a free norm changes a ranking",
    "not used": f"curvature is free to act, but bends the loss by less than {UNUSED} nats",
    "training failed": "no geometry beats both raw input and the untrained network",
    "not calibrated": "the calibration did not come out, and no difference is a finding",
    "one seed, not tested": "there is no interval",
    "not asked": "a geometry of the question was not trained",
}
RADII = ("curvature", "radii")  # needs of radii that differ
# What would lead to another verdict; of an undecided one the contrast says it.
REMEDIES = {
    "not credited": "a gain over the ranking that ignores the query",
    "could not act": "settings with radii that differ",
    "not used": "settings that bend the loss",
    "training failed": "training that beats raw input",
    "not calibrated": "a calibration that comes out",
    "one seed, not tested": "a second seed",
}


@dataclass(frozen=True)
class Verdict:
    """The answer to a question.

    Attributes:
        question: Named beforehand.
        word: What may be said, a key of `MEANINGS`.
        contrast: The evidence; none where it was not asked.
        controls: In the order of its gaps: the one that scores highest on val first.
        missing: The geometries without which it was not asked.
        unit: What one class is called, and several.
    """

    question: Question
    word: str
    contrast: Contrast | None = None
    controls: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unit: tuple[str, str] = CLASSES

    @property
    def decisive(self) -> str | None:
        """The control that decides; nothing where it was not asked."""
        if self.contrast is None:
            return None
        gaps = zip(self.contrast.gaps, self.controls, strict=True)
        return next(control for gap, control in gaps if gap is self.contrast.decisive)

    @property
    def limit(self) -> Gap | None:
        """The gap from the setting at curvature 0, if that is among the controls."""
        if self.contrast is None or self.question.limit is None:
            return None
        return self.contrast.gaps[self.controls.index(self.question.limit)]

    @property
    def remedy(self) -> str | None:
        """What would decide, or lead to another verdict; nothing where there is an answer."""
        if self.word == "not asked":
            return f"training of {list_words(self.missing)}"
        if self.word != "not decidable" or self.contrast is None:
            return REMEDIES.get(self.word)
        need = self.contrast.need
        # A difference as large as the margin would be seen: the true one is smaller than that.
        if need == Need(0, 0):
            return "more seeds than would show the margin"
        return need.describe(*self.unit)


@dataclass(frozen=True)
class Judgement:
    """The answers of a task.

    Attributes:
        task: What was scored.
        verdicts: One for each question.
        over_cosine: By geometry its gap from the cosine, and whether it is surely better, also than
            a ranking that ignores the query; at the level of a test divided by their number.
        below: Mean test rows that winners must beat: raw input, the untrained network, and rankings
            that ignore the query.
        seeds: Of each winner.
        groups: Classes or parents that have test queries with a score.
    """

    task: Task
    verdicts: list[Verdict]
    over_cosine: dict[str, tuple[Gap, bool]]
    below: dict[str, dict[str, Any]]
    seeds: int
    groups: int


def judge(
    task: Task, winners: Winners, baselines: Results, margin: float, calibrated: bool
) -> Judgement:
    """Answer all questions of a task.

    Args:
        task: What was scored.
        winners: The tuned geometries.
        baselines: Raw input and the untrained network; of lineages also the rankings that ignore
            the query.
        margin: The smallest difference that matters, a share above 0.
        calibrated: Whether the calibration came out.

    Raises:
        InputError: If fewer than two classes or parents have queries with a score.
    """
    values = {name: task.read(partial(winners.stack, name)) for name in winners.cells}
    groups = count_groups(task, values)
    below = average_below(baselines, [task.metric])
    failed = has_failed(task, winners, below)
    val = winners.score_val(task.metric)
    contrasts = contrast_all(task, values, val, margin)
    verdicts = []
    for question in QUESTIONS:
        if question not in contrasts:
            missing = tuple(question.list_missing(values))
            verdicts.append(Verdict(question, "not asked", missing=missing))
            continue
        contrast, controls = contrasts[question], order_controls(question, val)
        row = winners.rows[question.setting]
        word = find_guard(question, row, failed, calibrated) or contrast.verdict
        doubtful = word == "helps" and task.ignores_queries
        if doubtful and not beats_constants(task, values[question.setting], baselines):
            word = "not credited"
        verdicts.append(Verdict(question, word, contrast, controls, unit=task.unit))
    over_cosine = {
        name: (gap, sure and (not task.ignores_queries or beats_constants(task, of, baselines)))
        for name, of, gap, sure in compare_cosine(task, values)
    }
    return Judgement(task, verdicts, over_cosine, below, winners.seeds, groups)


def compare_cosine(
    task: Task, values: Mapping[str, Values]
) -> Iterator[tuple[str, Values, Gap, bool]]:
    """Yield of each other geometry its values, its gap from the cosine, and if it is above 0."""
    others = [name for name in values if name != COSINE and COSINE in values]
    for name in others:
        gap = task.compare(values[name], values[COSINE], list(values.values()))
        yield name, values[name], gap, gap.p_above(0) < ALPHA / len(others)


def contrast_all(
    task: Task, values: Mapping[str, Values], val: Mapping[str, float], margin: float
) -> dict[Question, Contrast]:
    """Contrast each question that can be asked, corrected by Holm over all of these.

    Args:
        task: What was scored.
        values: By geometry. The variance over seeds is pooled over all.
        val: The val score of each geometry, which names a control.
        margin: The smallest difference that matters, a share.
    """
    everything = list(values.values())
    asked = [question for question in QUESTIONS if not question.list_missing(values)]

    def compare(question: Question) -> list[Gap]:
        """Measure the gap from each control."""
        setting = values[question.setting]
        controls = [values[name] for name in order_controls(question, val)]
        return [task.compare(setting, control, everything) for control in controls]

    contrasts = correct_holm([contrast_controls(compare(one), margin) for one in asked])
    return dict(zip(asked, contrasts, strict=True))


def order_controls(question: Question, val: Mapping[str, float]) -> tuple[str, ...]:
    """Return the controls of a question, the one with the highest val score first."""
    named = max(question.controls, key=lambda name: val[name])
    return (named, *(name for name in question.controls if name != named))


def find_guard(
    question: Question, row: Mapping[str, Any], failed: bool, calibrated: bool
) -> str | None:
    """Return what forbids an answer, whatever the difference; nothing where it may be read.

    Args:
        question: Needs curvature that acts, radii that differ, a kernel that bends, or nothing.
        row: Of its setting: `use`, whether curvature and radii were forced, unused or used, from
            `add_kinds`; and `bend`, of its loss.
        failed: Whether training failed.
        calibrated: Whether the calibration came out.
    """
    if not calibrated:
        return "not calibrated"
    if failed:
        return "training failed"
    if question.needs in RADII and row["use"] == "forced":
        return "could not act"
    bends = question.needs in ("curvature", "kernel")
    return "not used" if bends and row["bend"] < UNUSED else None


def has_failed(task: Task, winners: Winners, below: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether no geometry beats both raw input and the untrained network."""
    constant = CONSTANTS.values()
    best = max(row[task.metric] for name, row in below.items() if name not in constant)
    return all(row[task.metric] <= best for row in winners.rows.values())


def beats_constants(task: Task, values: Values, baselines: Results) -> bool:
    """Say whether a geometry is surely better than the best ranking that ignores the query.

    Args:
        task: Of lineages.
        values: Of each part.
        baselines: With the values of those rankings.
    """

    def stack(name: str, metric: str) -> np.ndarray:
        """Return the values of a ranking, (Q,)."""
        return baselines.per_query[f"{name}/test/tree/constant/{metric}"].astype(np.float64)

    constants = [task.read(partial(stack, name)) for name in CONSTANTS]
    best = max(constants, key=lambda parts: np.mean([np.nanmean(part) for part in parts]))
    rows = [np.broadcast_to(one, of.shape) for one, of in zip(best, values, strict=True)]
    return task.compare(values, rows).p_above(0) < ALPHA


def count_groups(task: Task, values: Mapping[str, Values]) -> int:
    """Count the classes or parents that have queries with a score in all cells.

    Raises:
        InputError: If there are fewer than two for a part.
    """
    total = 0
    for number, part in enumerate(task.parts):
        scored = [~np.isnan(one[number]).any(axis=0) for one in values.values()]
        count = len(np.unique(part.groups[np.all(scored, axis=0)]))
        if count < 2:
            found = f"test queries with {task.score} in {count} of the {task.unit[1]}"
            raise InputError(f"samples.csv: found {found}, expected 2 or more for an interval")
        total += count
    return total
