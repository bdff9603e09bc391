"""Columns drawn for terms: which, and how often."""

import pytest
import torch
from torch import Tensor

from geomix.losses.draws import Urn, draw_negatives
from geomix.losses.table import Table, positive_pairs
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
        chosen, there = draw_negatives(weights, rows, columns, pairs, random)
        assert is_negative(rows, columns, pairs, chosen)[there].all()
        drawn[torch.arange(len(chosen)), chosen] += 1
    every = torch.arange(len(columns)).expand(len(pairs[0]), -1)
    allowed = torch.stack([is_negative(rows, columns, pairs, column) for column in every.T], 1)
    expected = weights[pairs[0]] * allowed
    mass = expected.sum(1, keepdim=True)
    assert torch.equal(there, mass.squeeze(1) > 0)
    assert ((drawn / 1000 - expected / mass)[there].abs() < 0.08).all()
    assert (drawn[there][(expected == 0)[there]] == 0).all()


@pytest.mark.parametrize("part", [False, True], ids=["all", "some allowed"])
def test_columns_are_drawn_alike_from_the_views_of_a_term(
    pair: tuple[Table, Table], part: bool
) -> None:
    rows, columns = pair
    row, positive = positive_pairs(rows, columns)
    allowed = torch.rand(len(rows), len(columns), generator=generator()) < 0.5
    urn = Urn(rows, columns, allowed if part else None)
    chosen = urn.draw(row, positive, 4000, generator())
    for n, (r, p) in enumerate(zip(row.tolist(), positive.tolist(), strict=True)):
        views = (rows.view[r], columns.view[p])
        expected = [
            q
            for q in range(len(columns))
            if columns.view[q] in views and (allowed[r, q] or not part)
        ]
        assert int(urn.find(row, positive)[1].sum(0)[n]) == len(expected)
        if expected:
            assert chosen[n].unique().tolist() == expected
            assert (
                torch.bincount(chosen[n])[expected] / 4000 - 1 / len(expected)
            ).abs().max() < 0.04


def test_where_no_column_is_allowed_none_is_found() -> None:
    batch = five_classes()
    row, positive = positive_pairs(batch, batch)
    urn = Urn(batch, batch, torch.zeros(15, 15, dtype=torch.bool))
    assert not urn.find(row, positive)[1].any()
    assert urn.draw(row, positive, 3, generator()).shape == (len(row), 3)
