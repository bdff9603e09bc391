"""Drawn negatives: which are drawn and how often, the losses over them by definition, running statistics."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table, equal_pairs
from geomix.negatives import sampled
from geomix.negatives.draws import Urn
from geomix.negatives.positives import positive_pairs
from geomix.negatives.sampled import FalseNegativeElimination, Running, ranking

TAU = 0.5


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def elimination() -> FalseNegativeElimination:
    return FalseNegativeElimination(margin=0.2, prior=0.4, suspicious=0.4, generator=generator())


def density(score: float, seen: Tensor) -> float:
    mean, sd = float(seen.mean()), float(seen.std(correction=0))
    return math.exp(-((score - mean) ** 2) / (2 * sd**2)) / sd


def test_ranking_equals_its_definition(logits: Tensor, pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    pairs = positive_pairs(rows, columns)
    chosen = Urn(rows, columns).draw(*pairs, 4, generator())
    terms = []
    for n, (r, p) in enumerate(zip(*(part.tolist() for part in pairs), strict=True)):
        unlike = [q for q in chosen[n].tolist() if columns.label[q] != rows.label[r]]
        assert all(columns.view[q] in (rows.view[r], columns.view[p]) for q in chosen[n])
        values = [math.log(1 + math.exp(logits[r, q] - logits[r, p])) for q in unlike]
        terms.append(sum(values) / len(values) if values else 0.0)
    found = ranking(logits, rows, columns, count=4, generator=generator())
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-10)


def test_elimination_equals_its_definition_before_and_after_the_statistics_are_used(
    batch: Table,
) -> None:
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64)
    unlike = batch.label.unsqueeze(1) != batch.label
    logits += 0.5 * ~unlike
    mine, others = logits[positive_pairs(batch, batch)] * TAU, logits[unlike] * TAU
    rule, branches = elimination(), set()
    for epoch in (0, 1):
        rule.start_epoch(epoch, 2)
        for _ in range(8):  # 240 positives
            rule.loss(logits, batch, batch, TAU)
        weights = rule.weights(logits, batch, batch, TAU)
        assert (weights[~unlike] == 0).all()
        for r in range(15):
            positives = [p for p in range(15) if not unlike[r, p] and p != r]
            mean = float(logits[r, positives].mean()) * TAU
            for q in unlike[r].nonzero().flatten().tolist():
                score = float(logits[r, q]) * TAU
                expected = math.exp(-0.5 * (score - mean) ** 2)
                if epoch:
                    like, not_like = density(score, mine) * 0.4, density(score, others) * 0.6
                    match = like / (like + not_like)
                    expected = math.exp(-0.5 * match) if match > 0.4 else expected
                    expected = 0.0 if score < float(mine.mean()) - 0.2 else expected
                    branches.add((match > 0.4, expected == 0.0))
                assert float(weights[r, q]) == pytest.approx(expected, rel=1e-9)
    assert len(branches) >= 3


def test_elimination_is_a_triplet_loss_over_drawn_negatives(batch: Table) -> None:
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64)
    same = equal_pairs(batch.label, batch.label)
    row, positive = pairs = positive_pairs(batch, batch)
    chosen, _ = elimination().draw(logits, batch, batch, pairs, same, TAU)
    expected = ((logits[row, chosen] - logits[row, positive]) * TAU + 0.2).clamp_min(0).mean()
    torch.testing.assert_close(elimination().loss(logits, batch, batch, TAU), expected)


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("tries", [(), (1,), (8, 64)], ids=["all weighed", "one try", "as used"])
def test_elimination_draws_by_its_weights_however_often_it_tries(
    epoch: int, tries: tuple[int, ...], batch: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "TRIES", tries)
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64) * 4
    same, pairs = equal_pairs(batch.label, batch.label), positive_pairs(batch, batch)
    rule = elimination()
    rule.start_epoch(epoch, 2)
    for _ in range(8):  # 240 positives
        rule.loss(logits, batch, batch, TAU)
    row, positive = pairs
    seen = (batch.view == batch.view[row].unsqueeze(1)) | (
        batch.view == batch.view[positive].unsqueeze(1)
    )
    weights = rule.weights(logits, batch, batch, TAU)[row] * seen
    drawn = torch.zeros(len(pairs[0]), 15)
    for _ in range(1000):
        chosen, there = rule.draw(logits, batch, batch, pairs, same, TAU)
        drawn[torch.arange(len(chosen)), chosen] += there
    mass = weights.sum(1, keepdim=True)
    assert torch.equal(there, mass.squeeze(1) > 0)
    assert ((drawn / 1000 - weights / mass)[there].abs() < 0.08).all()


def test_statistics_are_those_of_all_numbers_and_forgotten_each_epoch(batch: Table) -> None:
    seen, numbers = Running(), torch.randn(30, generator=generator(), dtype=torch.float64) + 5
    for part in numbers.split([3, 20, 7]):
        seen.add(len(part), float(part.mean()), float((part - part.mean()).square().sum()))
    assert (seen.count, seen.mean, seen.variance) == pytest.approx(
        (30, float(numbers.mean()), float(numbers.var(correction=0)))
    )
    rule = elimination()
    rule.loss(torch.zeros(15, 15), batch, batch, TAU)
    assert rule.positives.count == 30
    rule.start_epoch(1, 2)
    assert rule.positives.count == 0


def test_order_of_rows_and_columns_moves_the_weights_along(batch: Table) -> None:
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64)
    order = torch.randperm(15, generator=generator())
    moved = Table(batch.sample[order], batch.label[order], batch.view[order])
    found = elimination().weights(logits[order][:, order], moved, moved, TAU)
    torch.testing.assert_close(
        found, elimination().weights(logits, batch, batch, TAU)[order][:, order]
    )


@pytest.mark.parametrize("name", ["ranking", "elimination"])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_losses_and_gradients_are_finite_at_extreme_logits(
    name: str, scale: float, batch: Table
) -> None:
    logits = (torch.randn(15, 15, generator=generator()).sign() * scale).requires_grad_()
    rule = elimination()
    rule.start_epoch(1, 2)
    for _ in range(8):
        loss = rule.loss(logits, batch, batch, TAU)
    weights = rule.weights(logits.detach(), batch, batch, TAU)
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    if name == "ranking":
        loss = ranking(logits, batch, batch, count=3, generator=generator())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_every_geometry_is_served(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    assert torch.isfinite(elimination()(geometry, embeddings, points, batch))
    logits = geometry.logits(points, points).detach()
    assert float(ranking(logits, batch, batch, count=5, generator=generator())) <= float(
        softplus(logits.max() - logits.min())
    )


def test_a_batch_without_positives_is_refused() -> None:
    alone = Table(torch.arange(3), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InputError, match="negatives: found no row with a positive"):
        ranking(torch.zeros(3, 3), alone, alone, count=1, generator=generator())
