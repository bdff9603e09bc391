"""Negatives drawn for terms: which, and how often."""

import torch
from torch import Tensor

from geomix.losses.table import Table, positive_pairs
from geomix.losses.terms import draw_negatives
from tests.losses.conftest import five_classes


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def is_negative(
    rows: Table, columns: Table, pairs: tuple[Tensor, Tensor], chosen: Tensor
) -> Tensor:
    row, positive = pairs
    seen = (columns.view[chosen] == rows.view[row]) | (
        columns.view[chosen] == columns.view[positive]
    )
    return seen & (columns.label[chosen] != rows.label[row])


def test_negatives_are_drawn_by_weight_from_the_views_of_a_term(pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    pairs = positive_pairs(rows, columns)
    weights = torch.rand(len(rows), len(columns), generator=generator()).round(decimals=1)
    weights *= rows.label.unsqueeze(1) != columns.label
    random, drawn = generator(), torch.zeros(len(pairs[0]), len(columns))
    for _ in range(1000):
        chosen, there = draw_negatives(weights.log(), rows, columns, 1, random)
        chosen = chosen.squeeze(1)
        assert is_negative(rows, columns, pairs, chosen)[there].all()
        drawn[torch.arange(len(chosen)), chosen] += 1
    every = torch.arange(len(columns)).expand(len(pairs[0]), -1)
    allowed = torch.stack([is_negative(rows, columns, pairs, column) for column in every.T], 1)
    expected = weights[pairs[0]] * allowed
    mass = expected.sum(1, keepdim=True)
    assert torch.equal(there, mass.squeeze(1) > 0)
    assert ((drawn / 1000 - expected / mass)[there].abs() < 0.08).all()
    assert (drawn[there][(expected == 0)[there]] == 0).all()


def test_several_negatives_of_a_term_are_drawn_alike(pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    row, positive = positive_pairs(rows, columns)
    alike = torch.zeros(len(rows), len(columns))
    chosen, there = draw_negatives(alike, rows, columns, 4000, generator())
    for n, (r, p) in enumerate(zip(row.tolist(), positive.tolist(), strict=True)):
        views = (rows.view[r], columns.view[p])
        expected = [
            q
            for q in range(len(columns))
            if columns.view[q] in views and columns.label[q] != rows.label[r]
        ]
        assert bool(there[n]) == bool(expected)
        if expected:
            assert chosen[n].unique().tolist() == expected
            assert (
                torch.bincount(chosen[n])[expected] / 4000 - 1 / len(expected)
            ).abs().max() < 0.04


def test_where_all_weights_are_0_none_is_found() -> None:
    batch = five_classes()
    chosen, there = draw_negatives(torch.zeros(15, 15).log(), batch, batch, 3, generator())
    assert not there.any()
    assert chosen.shape == (len(positive_pairs(batch, batch)[0]), 3)


def test_only_differences_of_log_weights_count_however_low_they_are() -> None:
    batch = five_classes()
    log_weights = torch.randn(15, 15, generator=generator())
    expected = draw_negatives(log_weights, batch, batch, 50, generator())
    found = draw_negatives(log_weights - 1000, batch, batch, 50, generator())
    assert expected[1].all()
    assert torch.equal(found[1], expected[1])
    assert (found[0] == expected[0]).double().mean() > 0.99  # but for rounding
