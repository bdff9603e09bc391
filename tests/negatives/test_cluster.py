"""Clusters: the loss by definition, centroids that move, their start, refusals."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Cluster
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.cluster import ClusterNegatives, mean_cosine
from tests.negatives.conftest import generator, loss_with_added

Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]


def clusters(
    start: float = 1.0, momentum: float = 0.9, weight: float = 0.5, number: int = 4
) -> ClusterNegatives:
    settings = Cluster(
        rule="cluster", clusters=number, momentum=momentum, start=start, weight=weight
    )
    return ClusterNegatives(settings, seed=1)


def test_cluster_equals_its_definition(
    geometry: Geometry, embeddings: Tensor, batch: Table, find_terms: Terms
) -> None:
    rule, points = clusters(), geometry.place(embeddings)
    found = float(rule(geometry, embeddings, points, batch).detach())
    start = embeddings.detach()[torch.randperm(15, generator=generator())[:4]]
    logits, scores = (
        geometry.logits(points, points).detach(),
        geometry.logits(points, geometry.place(start)).detach(),
    )
    ranked = scores.argsort(1, descending=True)
    columns = [
        [int(ranked[q, 1]) for q in range(15) if batch.view[q] == batch.view[r]] for r in range(15)
    ]
    expected = loss_with_added(
        find_terms(batch, batch), logits, lambda r: sum(math.exp(scores[r, c]) for c in columns[r])
    )
    bands = []
    for r in range(15):
        mine = [
            float(logits[r, p]) for p in range(15) if batch.label[p] == batch.label[r] and p != r
        ]
        for q in range(15):
            if batch.label[q] != batch.label[r] and ranked[q, 0] == ranked[r, 0]:
                apart = geometry.tau * (float(logits[r, q]) - sum(mine) / len(mine))
                bands.append(max(0.0, apart + 0.2) + max(0.0, -apart - 0.5))
    assert bands
    assert found == pytest.approx(expected + 0.5 * sum(bands) / len(bands), rel=1e-5)


def test_centroids_move_towards_their_members(
    geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    rule, points = clusters(momentum=0.75), geometry.place(embeddings)
    rule(geometry, embeddings, points, batch)
    start = embeddings.detach()[torch.randperm(15, generator=generator())[:4]]
    nearest = geometry.logits(points, geometry.place(start)).argmax(1)
    for number, centroid in enumerate(start):
        members = embeddings.detach()[nearest == number]
        expected = 0.75 * centroid + 0.25 * members.mean(0) if len(members) else centroid
        torch.testing.assert_close(rule.centroids[number], expected)


def test_clustering_starts_when_embeddings_are_spread(
    geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    points = geometry.place(embeddings)
    uniform = pairwise_cross_entropy(geometry.logits(points, points), batch, batch)
    units = embeddings.detach() / embeddings.detach().norm(dim=1, keepdim=True)
    mean = float((units @ units.T).fill_diagonal_(0).sum() / (15 * 14))
    assert mean_cosine(embeddings.detach()) == pytest.approx(mean)
    waiting = clusters(start=mean - 1e-6)
    torch.testing.assert_close(waiting(geometry, embeddings, points, batch), uniform)
    assert not len(waiting.centroids)
    started = clusters(start=mean + 1e-6)
    assert started(geometry, embeddings, points, batch) > uniform
    assert started.centroids.shape == (4, 4)


def test_more_clusters_than_samples_are_refused(
    geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    rule = clusters(number=16)
    with pytest.raises(
        InputError, match="negatives.clusters: found 16, expected at most the 15 of a batch"
    ):
        rule(geometry, embeddings, geometry.place(embeddings), batch)
