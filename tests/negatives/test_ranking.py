"""Ranked pairs: their definition, geometries, refusals."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table, positive_pairs
from geomix.losses.terms import draw_negatives
from geomix.negatives.ranking import ranking
from tests.negatives.conftest import generator


def test_ranking_equals_its_definition(logits: Tensor, pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    pairs = positive_pairs(rows, columns)
    alike = torch.zeros_like(logits)
    chosen, there = draw_negatives(alike, rows, columns, 4, generator())
    terms = []
    for n, (r, p) in enumerate(zip(*(part.tolist() for part in pairs), strict=True)):
        unlike = chosen[n].tolist() if there[n] else []
        assert all(columns.view[q] in (rows.view[r], columns.view[p]) for q in unlike)
        assert all(columns.label[q] != rows.label[r] for q in unlike)
        values = [math.log(1 + math.exp(logits[r, q] - logits[r, p])) for q in unlike]
        terms.append(sum(values) / len(values) if values else 0.0)
    found = ranking(logits, rows, columns, count=4, generator=generator())
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-10)


def test_every_geometry_is_served(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points).detach()
    loss = ranking(logits, batch, batch, count=5, generator=generator())
    assert float(loss) <= float(softplus(logits.max() - logits.min()))


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_loss_and_gradient_are_finite_at_extreme_logits(scale: float, batch: Table) -> None:
    logits = (torch.randn(15, 15, generator=generator()).sign() * scale).requires_grad_()
    loss = ranking(logits, batch, batch, count=3, generator=generator())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_a_batch_without_positives_is_refused() -> None:
    alone = Table(torch.arange(3), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="found no row with a positive"):
        ranking(torch.zeros(3, 3), alone, alone, count=1, generator=generator())
