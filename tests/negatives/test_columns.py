"""Added columns: centroids and mixtures, by definition in every geometry, laws, refusals."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.losses.losses import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.columns import Cluster, Synthetic, mean_cosine

Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def clusters(start: float = 1.0, momentum: float = 0.9, weight: float = 0.5) -> Cluster:
    return Cluster(clusters=4, momentum=momentum, start=start, weight=weight, generator=generator())


def losses(
    terms: list[tuple[int, int, list[int]]], logits: Tensor, added: Callable[[int], float]
) -> float:
    found = [
        math.log(
            1 + (sum(math.exp(logits[r, q]) for q in unlike) + added(r)) / math.exp(logits[r, p])
        )
        for r, p, unlike in terms
    ]
    return sum(found) / len(found)


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
    expected = losses(
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
    rule = Cluster(clusters=16, momentum=0.9, start=1.0, weight=1.0, generator=generator())
    with pytest.raises(
        InputError, match="negatives.clusters: found 16, expected at most the 15 of a batch"
    ):
        rule(geometry, embeddings, geometry.place(embeddings), batch)


def test_synthetic_equals_its_definition(
    geometry: Geometry, embeddings: Tensor, batch: Table, find_terms: Terms
) -> None:
    points = geometry.place(embeddings)
    found = float(Synthetic(7, generator())(geometry, embeddings, points, batch).detach())
    logits = geometry.logits(points, points).detach()
    mixed, classes = Synthetic(7, generator()).mix(embeddings.detach(), batch)
    scores = geometry.logits(geometry.place(embeddings.detach()), geometry.place(mixed))

    def added(r: int) -> float:
        return sum(math.exp(scores[r, k]) for k in range(7) if batch.label[r] not in classes[k])

    assert any(batch.label[r] in classes for r in range(15))
    assert found == pytest.approx(losses(find_terms(batch, batch), logits, added), rel=1e-5)


def test_mixtures_lie_between_two_samples_of_the_classes_named(
    embeddings: Tensor, batch: Table
) -> None:
    given = embeddings.detach()
    mixed, classes = Synthetic(40, generator()).mix(given, batch)
    shares = []
    for mixture, (first, second) in zip(mixed, classes, strict=True):
        detours = {
            float(
                (mixture - given[a]).norm()
                + (mixture - given[b]).norm()
                - (given[a] - given[b]).norm()
            ): (a, b)
            for a in (batch.label == first).nonzero().flatten()
            for b in (batch.label == second).nonzero().flatten()
        }
        a, b = detours[min(detours)]
        assert min(detours) < 1e-6
        shares += (
            [float((mixture - given[a]).norm() / (given[b] - given[a]).norm())] if a != b else []
        )
    assert min(shares) < 0.2
    assert max(shares) > 0.8
    assert len(set(map(tuple, classes.tolist()))) > 15


def test_no_mixture_is_uniform(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    found = Synthetic(0, generator())(geometry, embeddings, points, batch)
    torch.testing.assert_close(
        found, pairwise_cross_entropy(geometry.logits(points, points), batch, batch)
    )


@pytest.mark.parametrize(
    "rule", [clusters, lambda: Synthetic(3, generator())], ids=["cluster", "synthetic"]
)
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_gradients_are_finite(
    rule: Callable[[], Any], scale: float, geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    given = (embeddings.detach().float() * scale).requires_grad_()
    loss = rule()(geometry, given, geometry.place(given), batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()
