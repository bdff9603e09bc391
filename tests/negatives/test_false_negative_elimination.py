"""FNE: what is drawn and how often, the loss by definition, running statistics."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import FalseNegativeElimination
from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table, positive_pairs
from geomix.negatives.false_negative_elimination import Elimination, Running
from tests.negatives.conftest import generator

TAU = 0.5


def elimination(tau: float = TAU) -> Elimination:
    settings = FalseNegativeElimination(
        rule="false_negative_elimination", margin=0.2, prior=0.4, suspicious=0.4
    )
    return Elimination(settings, tau, seed=1)


def density(score: float, seen: Tensor) -> float:
    mean, sd = float(seen.mean()), float(seen.std(correction=0))
    return math.exp(-((score - mean) ** 2) / (2 * sd**2)) / sd


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
            rule.loss(logits, batch, batch)
        weights = rule.log_weights(logits, batch, batch).exp()
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
    row, positive = positive_pairs(batch, batch)
    chosen, _ = elimination().draw(logits, batch, batch)
    expected = ((logits[row, chosen] - logits[row, positive]) * TAU + 0.2).clamp_min(0).mean()
    torch.testing.assert_close(elimination().loss(logits, batch, batch), expected)


@pytest.mark.parametrize("epoch", [0, 1])
def test_elimination_draws_by_its_weights(epoch: int, batch: Table) -> None:
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64) * 4
    rule = elimination()
    rule.start_epoch(epoch, 2)
    for _ in range(8):  # 240 positives
        rule.loss(logits, batch, batch)
    row, positive = positive_pairs(batch, batch)
    seen = (batch.view == batch.view[row].unsqueeze(1)) | (
        batch.view == batch.view[positive].unsqueeze(1)
    )
    weights = rule.log_weights(logits, batch, batch).exp()[row] * seen
    drawn = torch.zeros(len(row), 15)
    for _ in range(1000):
        chosen, there = rule.draw(logits, batch, batch)
        drawn[torch.arange(len(chosen)), chosen] += there
    mass = weights.sum(1, keepdim=True)
    assert torch.equal(there, mass.squeeze(1) > 0)
    assert ((drawn / 1000 - weights / mass)[there].abs() < 0.08).all()


def test_negatives_far_from_the_positives_are_drawn_too(batch: Table) -> None:
    unlike = batch.label.unsqueeze(1) != batch.label
    logits = torch.randn(15, 15, generator=generator()) + 200 * unlike  # 100 of scores
    rule = elimination()
    assert not rule.log_weights(logits, batch, batch).exp().any()  # as float32 has them
    drawn, found = rule.draw(logits, batch, batch)
    assert found.all()
    row, _ = positive_pairs(batch, batch)
    assert unlike[row, drawn].all()
    assert rule.loss(logits, batch, batch) > 90


def test_statistics_are_those_of_all_numbers_and_forgotten_each_epoch(batch: Table) -> None:
    seen, numbers = Running(), torch.randn(30, generator=generator(), dtype=torch.float64) + 5
    for part in numbers.split([3, 20, 7]):
        seen.add(part)
    assert (seen.count, seen.mean, seen.variance) == pytest.approx(
        (30, float(numbers.mean()), float(numbers.var(correction=0)))
    )
    rule = elimination()
    rule.loss(torch.zeros(15, 15), batch, batch)
    assert rule.positives.count == 30
    rule.start_epoch(1, 2)
    assert rule.positives.count == 0


def test_order_of_rows_and_columns_moves_the_weights_along(batch: Table) -> None:
    logits = torch.randn(15, 15, generator=generator(), dtype=torch.float64)
    order = torch.randperm(15, generator=generator())
    moved = batch[order]
    found = elimination().log_weights(logits[order][:, order], moved, moved)
    expected = elimination().log_weights(logits, batch, batch)[order][:, order]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_loss_and_gradient_are_finite_at_extreme_logits(scale: float, batch: Table) -> None:
    logits = (torch.randn(15, 15, generator=generator()).sign() * scale).requires_grad_()
    rule = elimination()
    rule.start_epoch(1, 2)
    for _ in range(8):
        loss = rule.loss(logits, batch, batch)
    log_weights = rule.log_weights(logits.detach(), batch, batch)
    assert (log_weights <= 0).all()  # nor NaN
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_every_geometry_is_served(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    assert torch.isfinite(elimination(geometry.tau)(geometry, embeddings, points, batch))
