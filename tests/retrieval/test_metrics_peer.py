"""Metrics: equal to pytorch-metric-learning's AccuracyCalculator, from embeddings to means.

Its search is by Euclidean distance in float32. That orders normalised vectors as our cosine does,
except for ties of its rounding; the embeddings here have none. Its R and its lists leave the query
out by row if the first rows of the reference are the queries, and its means leave out "lone
queries", those without any relevant item. Its lists are the whole ranking with k = None, and max R
long with k = "max_bin_count"; MRR then is 0 for a query without a hit in them, as ours is.
"""

import numpy as np
import pytest
import torch

from geomix.geometry.geometry import cosine
from geomix.retrieval.metrics import count_relevant, relevance, score_levels, score_queries
from geomix.retrieval.search import nearest

peer = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")

NAMES = {
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
    "mean_reciprocal_rank": "reciprocal_rank",
}
SIZES = [14, 1, 6, 2, 9, 1, 17, 3, 10]  # of classes; 63 items
# Between cosines of a list; squared distances of unit vectors in float32 err by about 4e-7.
GAP = 1e-6


def draw(seed: int, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw normalised embeddings in loose clusters, and their labels, 3 apart."""
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    embeddings = np.random.default_rng(0).normal(size=(len(sizes), 12))[
        classes
    ] + 1.6 * random.normal(size=(len(classes), 12))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings.astype(np.float32), classes * 3


def assert_equal_to_peer(
    queries: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    labels: np.ndarray,
    excluded: bool,
    whole: bool,
) -> None:
    cosines = queries.astype(float) @ gallery.astype(float).T
    assert np.diff(np.sort(cosines, 1), axis=1).min() > GAP
    calculator = peer.AccuracyCalculator(
        include=tuple(NAMES), k=None if whole else "max_bin_count", device=torch.device("cpu")
    )
    expected = calculator.get_accuracy(
        queries, query_labels, gallery, labels, ref_includes_query=excluded
    )
    relevant = count_relevant(query_labels, labels, excluded)
    k = len(gallery) - excluded if whole else int(relevant.max())
    own = np.arange(len(queries)) if excluded else None
    neighbours = nearest(
        torch.from_numpy(queries), torch.from_numpy(gallery), cosine(), k, exclude=own
    )
    found = score_queries(relevance(neighbours, query_labels, labels), relevant)
    assert (
        found.keys()
        == score_levels(neighbours, {"class": query_labels}, {"class": labels}, excluded)[
            "class"
        ].keys()
    )
    for theirs, ours in NAMES.items():
        assert 0.05 < expected[theirs] < 0.95, "a value that tells little"
        # Their MRR is a mean in float32.
        precision = 1e-6 if ours == "reciprocal_rank" else 1e-12
        assert np.nanmean(found[ours]) == pytest.approx(expected[theirs], rel=precision), ours


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_equal_the_peers_where_the_queries_are_the_gallery(seed: int, whole: bool) -> None:
    embeddings, labels = draw(seed, SIZES)
    assert_equal_to_peer(embeddings, labels, embeddings, labels, excluded=True, whole=whole)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_equal_the_peers_where_the_queries_are_part_of_the_gallery(
    seed: int, whole: bool
) -> None:
    embeddings, labels = draw(seed, SIZES)
    assert_equal_to_peer(
        embeddings[:25], labels[:25], embeddings, labels, excluded=True, whole=whole
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_equal_the_peers_in_a_separate_gallery(seed: int, whole: bool) -> None:
    gallery, labels = draw(seed, SIZES)
    queries, query_labels = draw(
        seed + 10, [5, 2, 1, 4, 0, 3, 2, 6, 2, 3, 1]
    )  # the last two classes are not in the gallery
    assert_equal_to_peer(queries, query_labels, gallery, labels, excluded=False, whole=whole)
