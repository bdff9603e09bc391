"""Tables of rows and columns: what they refuse, and which of their entries belong together."""

import pytest
import torch

from geomix.losses.table import Table, equal_pairs, positive_pairs


def test_a_table_of_unequal_columns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"table: found view \(1,\) .* expected int64"):
        Table(torch.arange(2), torch.arange(2), torch.arange(1))
    with pytest.raises(ValueError, match="table: found sample .*float32"):
        Table(torch.ones(2), torch.arange(2), torch.arange(2))


def test_pairs_are_all_that_are_equal_and_positives_those_of_other_views_and_samples() -> None:
    random = torch.Generator().manual_seed(0)
    rows = Table(*(torch.randint(high, (9,), generator=random) for high in (12, 3, 2)))
    columns = Table(*(torch.randint(high, (7,), generator=random) for high in (12, 4, 3)))
    same = [(i, j) for i in range(9) for j in range(7) if rows.label[i] == columns.label[j]]
    found = equal_pairs(rows.label, columns.label)
    assert sorted(zip(*(part.tolist() for part in found), strict=True)) == same
    assert found[0].diff().min() >= 0
    expected = [
        (i, j)
        for i, j in same
        if rows.view[i] != columns.view[j] and rows.sample[i] != columns.sample[j]
    ]
    positives = positive_pairs(rows, columns, found)
    assert 0 < len(expected) < len(same)
    assert sorted(zip(*(part.tolist() for part in positives), strict=True)) == expected


def test_some_entries_of_a_table_keep_who_they_are() -> None:
    table = Table(torch.tensor([7, 8, 9]), torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    part = table[torch.tensor([2, 0])]
    assert (part.sample.tolist(), part.label.tolist(), part.view.tolist()) == (
        [9, 7],
        [0, 0],
        [1, 0],
    )


def test_rows_without_a_positive_are_refused() -> None:
    alone = Table(torch.arange(3), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="found no row with a positive"):
        positive_pairs(alone, alone)
