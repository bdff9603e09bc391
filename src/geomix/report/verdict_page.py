"""The page that decides, for one data set: reports/<dataset>/tune/, and its summary.

The summary, a JSON file, has all that the first page and the sentences of this one say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.base import Task as Trained
from geomix.config.sections import Geometry
from geomix.config.tuning import PACKED, ROUNDS, Tuning
from geomix.data.packed import open_packed
from geomix.datasets.listing import list_warnings
from geomix.report.contrasts import find_smallest
from geomix.report.gap import Gap
from geomix.report.page import write_csv
from geomix.report.recommend import recommend
from geomix.report.render import describe_origin, render
from geomix.report.results import own, read_metrics, read_results, scored_lineages
from geomix.report.speeds import Speed
from geomix.report.tasks import Task, list_tasks
from geomix.report.verdict import MEANINGS, Judgement, Verdict, judge
from geomix.report.verdict_figure import draw_gaps
from geomix.report.winners import Winners, read_winners

Row = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """What a verdict is about, as params.yaml says beforehand.

    Attributes:
        study: The search and its winners.
        geometries: Spaces by name.
        trained: What the cells were trained for.
        metric: Of classes; of lineages it is average precision.
        margin: The smallest difference that matters, in points of the metric in percent.
    """

    study: Tuning
    geometries: Mapping[str, Geometry]
    trained: Trained
    metric: str
    margin: float


@dataclass(frozen=True)
class VerdictPage:
    """What is written of a verdict.

    Attributes:
        files: Content by file name.
        summary: What the first page says of it.
    """

    files: dict[str, bytes]
    summary: Row


def build_verdict(
    terms: Terms,
    results: Path,
    settings: Path,
    data: Path,
    calibrated: bool,
    speeds: Mapping[str, Speed],
) -> VerdictPage:
    """Build the page of a verdict, its figure and table, and its summary.

    Args:
        terms: What it is about.
        results: The folder with `baselines`, and `winners` with a folder for each split.
        settings: What the search chose, a folder for each geometry.
        data: The packed data set.
        calibrated: Whether the calibration came out.
        speeds: What geometries cost, by name; those that are missing were not measured.

    Raises:
        InputError: If a result is missing, or too little is there for an interval.
    """
    packed, baselines = open_packed(data), read_results(results / "baselines")
    scored = results / "winners" / PACKED
    classes = terms.trained == "lineage" and not scored_lineages(scored)  # no ancestor there
    tasks = list_tasks(packed, "class" if classes else terms.trained, terms.metric)
    metrics = [task.metric for task in tasks]
    winners = read_winners(scored, settings, terms.study.geometries, metrics, terms.geometries)
    found = [judge(task, winners, baselines, terms.margin / 100, calibrated) for task in tasks]
    summary = summarise(terms, packed.card["dataset"], winners, found)
    asked = any(verdict.contrast for one in found for verdict in one.verdicts)
    page = render(
        "verdict",
        v=summary,
        recommended=recommend(summary, speeds),
        asked=asked,
        warnings=list_warnings(packed.samples),
        rounds=ROUNDS,
        rows=list(winners.rows.values()),
        below=join_below(found),
        pooled=count_pooled(found),
        splits=read_splits(results / "winners", terms.study.budget.splits, found) if asked else {},
        meanings=MEANINGS,
        origin=describe_origin(packed, [winners.results, baselines], **describe(terms)),
    )
    files = {"README.md": page}
    if asked:
        files["figure.png"] = draw_gaps(packed.card["dataset"], found, terms.margin)
        files["contrasts.csv"] = write_csv(list_contrasts(found))
    return VerdictPage(files, summary)


def summarise(terms: Terms, dataset: str, winners: Winners, found: Sequence[Judgement]) -> Row:
    """Return what the sentences of a page say, in plain numbers and words; None where NaN."""
    return plain(
        {
            "dataset": dataset,
            "trials": terms.study.trials,
            "margin": terms.margin,
            "seeds": winners.seeds,
            "best": max(winners.val, key=lambda name: winners.val[name]),
            "tasks": [summarise_task(one) for one in found],
            "winners": {
                name: {
                    "val": winners.val[name],
                    "use": row["use"],
                    "free": winners.free[name],
                    "kind": row["kind"],
                    "settings": winners.settings[name],
                    "test": {
                        one.task.metric: [row[one.task.metric], row[f"{one.task.metric}_sd"]]
                        for one in found
                    },
                }
                for name, row in winners.rows.items()
            },
        }
    )


def summarise_task(found: Judgement) -> Row:
    """Return what is said of a task."""
    task = found.task
    return {
        "name": task.name,
        "metric": task.metric,
        "score": task.score,
        "unit": task.unit[1],
        "groups": found.groups,
        "over_cosine": {
            name: list_ends(gap) | {"sure": sure} for name, (gap, sure) in found.over_cosine.items()
        },
        "verdicts": {one.question.name: summarise_verdict(one) for one in found.verdicts},
    }


def summarise_verdict(verdict: Verdict) -> Row:
    """Return what is said of a question; without evidence where it was not asked."""
    contrast, limit = verdict.contrast, verdict.limit
    return {
        "word": verdict.word,
        "setting": verdict.question.setting,
        "controls": list(verdict.controls),
        "missing": list(verdict.missing),
        "remedy": verdict.remedy,
        "decisive": verdict.decisive,
        "gain": list_ends(contrast.decisive) if contrast else None,
        "limit": {"control": verdict.question.limit, "gain": list_ends(limit)} if limit else None,
        "smallest": contrast.smallest if contrast else None,
    }


def list_ends(found: Gap) -> Row:
    """Return the mean and the interval of a gap."""
    return {"mean": found.mean, "low": found.low, "high": found.high}


def describe(terms: Terms) -> Row:
    """Return the terms as they stand in the provenance of the page."""
    study = terms.study.model_dump(exclude_defaults=True, warnings=False)
    return {"tune": study, "verdict": {"metric": terms.metric, "margin": terms.margin}}


def plain(value: Any) -> Any:
    """Return mappings, sequences, numbers and words as JSON has them: None if not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def count_pooled(found: Sequence[Judgement]) -> dict[str, int]:
    """Count the gaps whose variance over seeds is the pooled one: `done`, and `all`."""
    contrasts = [one.contrast for task in found for one in task.verdicts if one.contrast]
    gaps = [gap for contrast in contrasts for gap in contrast.gaps]
    done = [gap for gap in gaps if gap.seed_freedom > gap.seeds - 1]  # only pooling gives more
    return {"done": len(done), "all": len(gaps)}


def join_below(found: Sequence[Judgement]) -> dict[str, Row]:
    """Return the rows of raw input and the like, with the metrics of all tasks."""
    rows: dict[str, Row] = {}
    for one in found:
        for name, row in one.below.items():
            rows.setdefault(name, {}).update(row)
    return rows


def read_splits(
    results: Path, splits: Sequence[int], found: Sequence[Judgement]
) -> dict[str, dict[str, Row]]:
    """Read how the winners did on other class splits.

    Args:
        results: The folder of the winners, with a folder for each split.
        splits: Their numbers.
        found: The tasks.

    Returns:
        By metric and split the gain of each question that was asked: the mean of the setting minus
        that of the control which decides.
    """
    if not splits:
        return {}
    folders = {"tuned": PACKED} | {str(number): str(number) for number in splits}
    tables = {name: read_metrics(results / folder) for name, folder in folders.items()}
    return {
        one.task.metric: {
            name: gain_of_each(one, own(table, "test")) for name, table in tables.items()
        }
        for one in found
    }


def gain_of_each(found: Judgement, metrics: pd.DataFrame) -> Row:
    """Return the gain of each question that was asked, from the rows of a split."""
    means = metrics.groupby("geometry")[found.task.metric].mean()
    return {
        one.question.name: means[one.question.setting] - means[one.decisive]
        for one in found.verdicts
        if one.decisive
    }


def list_contrasts(found: Sequence[Judgement]) -> pd.DataFrame:
    """List the gap of each question from each control, with all that its interval is made of."""
    rows = []
    for one in found:
        for verdict in one.verdicts:
            rows += list_gaps(one.task, verdict)
    return pd.DataFrame(rows)


def list_gaps(task: Task, verdict: Verdict) -> list[Row]:
    """List the gaps of a question."""
    contrast = verdict.contrast
    if contrast is None:
        return []
    return [
        {
            "task": task.name,
            "metric": task.metric,
            "question": verdict.question.name,
            "verdict": verdict.word,
            "setting": verdict.question.setting,
            "control": control,
            "named": control == verdict.controls[0],
            "mean": gap.mean,
            "low": gap.low,
            "high": gap.high,
            "freedom": gap.freedom,
            "variance_of_classes": gap.of_classes,
            "variance_of_seeds": gap.of_seeds,
            "variance_of_both": gap.of_both,
            "smallest": find_smallest(gap, contrast.questions),
            "p_helps": contrast.p_helps,
            "p_hurts": contrast.p_hurts,
            "p_equal": contrast.p_equal,
        }
        for control, gap in zip(verdict.controls, contrast.gaps, strict=True)
    ]
