"""Benchmark of the metrics: from embeddings to R@1, R-precision, MAP@R and MRR.

`python -m bench.metrics`
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch.nn.functional import normalize

from bench import inputs
from bench.command import parse_options, run_benchmark
from bench.measure import (
    COSINE,
    HYPERBOLIC,
    LISTS,
    PEER,
    Call,
    Case,
    Implementation,
    Ratio,
    Size,
)
from geomix.geometry.geometry import Geometry
from geomix.retrieval.metrics import count_relevant, relevance, score_queries
from geomix.retrieval.search import nearest
from stages import run

DIMENSIONS = 128
DEFAULT = f"{PEER}, default"
NAMES = {  # theirs with ours
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
    "mean_reciprocal_rank": "reciprocal_rank",
}
Scores = dict[str, float]


def draw(size: Size, items: int, classes: int) -> tuple[torch.Tensor, np.ndarray]:
    """Draw embeddings and labels."""
    count = 100 if size == "tiny" else items
    embeddings, labels = inputs.draw_gallery(count, min(classes, count // 10))
    return embeddings, labels.numpy()


def ours(geometry: Geometry, items: int, classes: int) -> Callable[[Size], Call]:
    """Return what builds a call of our search and metrics, with lists of max R."""

    def build(size: Size) -> Call:
        embeddings, labels = draw(size, items, classes)
        itself = np.arange(len(labels))

        def call() -> Scores:
            relevant = count_relevant(labels, labels, excluded=True)
            length = max(8, int(relevant.max()))
            lists = nearest(embeddings, embeddings, geometry, length, exclude=itself)
            scores = score_queries(relevance(lists, labels, labels), relevant)
            return {name: float(np.nanmean(scores[mine])) for name, mine in NAMES.items()}

        return call

    return build


def peers(items: int, classes: int, k: str | None) -> Callable[[Size], Call]:
    """Return what builds a call of the peer; with k None, its default, it ranks the whole gallery.

    It searches by Euclidean distance, which orders normalised embeddings as the cosine does: they
    are normalised untimed.
    """

    def build(size: Size) -> Call:
        embeddings, labels = draw(size, items, classes)
        embeddings = normalize(embeddings)
        calculator = AccuracyCalculator(include=tuple(NAMES), k=k, device=torch.device("cpu"))

        def call() -> Scores:
            found: Scores = calculator.get_accuracy(embeddings, torch.from_numpy(labels))
            return found

        return call

    return build


def differ(a: Scores, b: Scores) -> float:
    """Return the largest difference of the metrics."""
    return max(abs(a[name] - b[name]) for name in NAMES)


def differ_but_rank(a: Scores, b: Scores) -> float:
    """Return the largest difference of the metrics that lists of max R decide: all but MRR."""
    return max(abs(a[name] - b[name]) for name in NAMES if name != "mean_reciprocal_rank")


def metrics_case(items: int, classes: int, default: bool) -> Case:
    """Compare our search and metrics with the peer's, and hyperbolic with cosine."""
    hyperbolic = inputs.hyperbolic(inputs.free_scale(DIMENSIONS))
    parts = [
        Implementation(COSINE, ours(inputs.cosine(), items, classes)),
        Implementation(HYPERBOLIC, ours(hyperbolic, items, classes)),
        Implementation(LISTS, peers(items, classes, "max_bin_count")),
    ]
    ratios = [Ratio(LISTS, COSINE, differ), Ratio(HYPERBOLIC, COSINE)]
    if default:
        parts.append(Implementation(DEFAULT, peers(items, classes, None)))
        ratios.insert(1, Ratio(DEFAULT, COSINE, differ_but_rank))
    title = f"{items:,} x {DIMENSIONS}, {classes} classes"
    return Case("metrics", title, tuple(parts), tuple(ratios))


def cases(quick: bool) -> list[Case]:
    """Return the cases."""
    if quick:
        small = metrics_case(200, 10, True), metrics_case(300, 15, False)
        return [replace(case, memory=False) for case in small]
    return [metrics_case(5924, 100, True), metrics_case(20000, 500, False)]


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("metrics", cases(options.quick), options)


if __name__ == "__main__":
    run(main)
