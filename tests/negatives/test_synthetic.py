"""Mixed negatives: the loss by definition in every geometry, what is mixed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.synthetic import SyntheticNegatives
from tests.negatives.conftest import loss_with_added

Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]


def test_synthetic_equals_its_definition(
    geometry: Geometry, embeddings: Tensor, batch: Table, find_terms: Terms
) -> None:
    points = geometry.place(embeddings)
    found = float(SyntheticNegatives(7, seed=1)(geometry, embeddings, points, batch).detach())
    logits = geometry.logits(points, points).detach()
    mixed, classes = SyntheticNegatives(7, seed=1).mix(embeddings.detach(), batch)
    scores = geometry.logits(geometry.place(embeddings.detach()), geometry.place(mixed))

    def added(r: int) -> float:
        return sum(math.exp(scores[r, k]) for k in range(7) if batch.label[r] not in classes[k])

    assert any(batch.label[r] in classes for r in range(15))
    assert found == pytest.approx(
        loss_with_added(find_terms(batch, batch), logits, added), rel=1e-5
    )


def test_mixtures_lie_between_two_samples_of_the_classes_named(
    embeddings: Tensor, batch: Table
) -> None:
    given = embeddings.detach()
    mixed, classes = SyntheticNegatives(40, seed=1).mix(given, batch)
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


def test_mixtures_are_not_compared_with_each_other(
    geometry: Geometry, embeddings: Tensor, batch: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes, logits = [], Geometry.logits

    def note(self: Geometry, x: Points, y: Points) -> Tensor:
        found = logits(self, x, y)
        shapes.append(tuple(found.shape))
        return found

    monkeypatch.setattr(Geometry, "logits", note)
    SyntheticNegatives(7, seed=1)(geometry, embeddings, geometry.place(embeddings), batch)
    assert shapes == [(15, 15), (15, 7)]


def test_no_mixture_is_uniform(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    found = SyntheticNegatives(0, seed=1)(geometry, embeddings, points, batch)
    torch.testing.assert_close(
        found, pairwise_cross_entropy(geometry.logits(points, points), batch, batch)
    )
