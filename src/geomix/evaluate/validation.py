"""How trials score on val, with a standard error: what tuning chooses by."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from geomix.config.tuning import FAILED, TRIAL_SEED
from geomix.data.lineages import related
from geomix.data.packed import Packed, open_packed
from geomix.errors import InputError
from geomix.evaluate.cells import Cell, mean_known, read_cell, read_points, split_rows
from geomix.evaluate.classes import build_protocol
from geomix.evaluate.lineage import (
    Family,
    Ranking,
    any_ancestor,
    build_family,
    rank_points,
    score_inner,
)
from geomix.evaluate.score import find_task
from geomix.files import read_json
from geomix.retrieval.hierarchy import average_precision

SPLIT = "val"


class Score(NamedTuple):
    """How a trial scored on val.

    Attributes:
        mean: Of the metric, a share in [0, 1]; NaN where training failed.
        standard_error: Of that, over what is split: the classes, or the nodes of a tree.
        failure: Why training failed; empty where it did not.
    """

    mean: float
    standard_error: float
    failure: str = ""


def score_trials(
    runs: Path, data: Path, folds: int, trials: Sequence[str], metric: str
) -> dict[str, Score]:
    """Score the trials of a round, each by its mean over folds.

    Args:
        runs: The folder of the round: of each fold a folder, in it one of each trial.
        data: The folder of the packed folds.
        folds: How many there are.
        trials: Their names.
        metric: Of classes, map_at_r or recall_at_1; of lineages it is lineage_score.

    Returns:
        By trial.

    Raises:
        InputError: If a cell is missing or does not fit the data set.
    """
    by_fold = []
    for fold in range(folds):
        packed, folder = open_packed(data / str(fold)), runs / str(fold)
        by_fold.append({trial: score_trial(folder / trial, packed, metric) for trial in trials})
    return {trial: average_folds([scores[trial] for scores in by_fold]) for trial in trials}


def score_trial(folder: Path, packed: Packed, metric: str) -> Score:
    """Score a trial in one fold: the head in its own similarity."""
    if (folder / FAILED).is_file():
        return Score(math.nan, math.nan, read_json(folder / FAILED)["failure"])
    cell, task = read_cell(folder, str(TRIAL_SEED)), find_task(folder, [str(TRIAL_SEED)])
    if task not in SCORES:
        expected = f"one of {', '.join(SCORES)}: nothing else is tuned"
        raise InputError(f"{folder}: task: found {task}, expected {expected}")
    if task == "lineage" and not any_ancestor(packed):
        task = "class"  # as `score_study` takes them
    return SCORES[task](cell, packed, metric)


def average_folds(scores: Sequence[Score]) -> Score:
    """Average the scores of the folds of a trial; training failed where it did in one of them.

    The standard error takes the folds' val classes as drawn apart, which they are.
    """
    failures = [one.failure for one in scores if one.failure]
    if failures:
        return Score(math.nan, math.nan, failures[0])
    means, errors = (np.array([one[column] for one in scores]) for column in (0, 1))
    return Score(float(means.mean()), float(np.sqrt(np.square(errors).sum()) / len(scores)))


def score_val_classes(cell: Cell, packed: Packed, metric: str) -> Score:
    """Score a cell of classes by a metric of `score_classes`."""
    assert cell.geometry
    protocol = build_protocol(packed, SPLIT)
    points = read_points(cell, packed, SPLIT, "head")
    values = protocol.measure(points, cell.geometry)[1]["label"][metric]
    return _score(values, protocol.asked["label"])


def score_val_lineages(cell: Cell, packed: Packed, metric: str = "lineage_score") -> Score:
    """Score a cell of lineages by lineage_score of `score_lineages`, whatever the metric.

    Its queries are the same ones. The two directions are averaged, each with the queries of a node
    kept together. Both are of the same held-out samples, so errors are taken to move together: the
    standard error is the mean of both, no less than the true one.
    """
    assert cell.geometry
    family = build_family(packed, SPLIT)
    sides = [read_points(cell, packed, part, "head") for part in ("train", SPLIT)]
    ranking = rank_points(torch.cat(sides), cell.geometry)
    directions = [
        _score(_score_ancestors(ranking, family), family.gallery[family.queries].node),
        _score(score_inner(ranking, family), family.train.node),
    ]
    numbers = np.array([(one.mean, one.standard_error) for one in directions])
    return Score(*numbers[~np.isnan(numbers[:, 0])].mean(0).tolist())


def _score_ancestors(ranking: Ranking, family: Family) -> np.ndarray:
    """Return AP of the family's queries, (Q,): relevant are the items above them."""
    blocks = []
    for block in split_rows(family.queries, len(family.gallery)):
        above = related(family.gallery[block], family.gallery).ancestor
        ranked = np.take_along_axis(above, ranking.search(block, 0), 1)
        blocks.append(average_precision(ranked))
    return np.concatenate(blocks)


def _score(values: np.ndarray, clusters: np.ndarray) -> Score:
    """Average values (Q,), NaN where a query has none, over queries in clusters (Q,)."""
    known = ~np.isnan(values)
    values = values.astype(np.float64)[known]
    return Score(mean_known(values), cluster_error(values, clusters[known]))


def cluster_error(values: np.ndarray, clusters: np.ndarray) -> float:
    r"""Return the standard error of a mean whose values vary together within clusters.

        se = sqrt( C / (C - 1) * sum_c ( sum_{i in c} (x_i - m) )^2 ) / N,    m = sum_i x_i / N

    Args:
        values: x, (N,).
        clusters: Of each value, (N,); C different ones.

    Returns:
        NaN for fewer than two clusters.

    Source:
        Liang and Zeger 1986, Longitudinal data analysis using generalized linear models: the
        sandwich estimator, here of a mean, with the usual correction for few clusters.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    sums = np.bincount(codes, values - values.mean()) if len(values) else np.empty(0)
    count = len(sums)
    if count < 2:
        return math.nan
    return float(np.sqrt(count / (count - 1) * np.square(sums).sum()) / len(values))


SCORES: Mapping[str, Callable[[Cell, Packed, str], Score]] = {
    "class": score_val_classes,
    "lineage": score_val_lineages,
}
