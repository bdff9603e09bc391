"""Limited negatives: how many are kept, and how often each."""

import pytest
import torch

from geomix.losses.table import Table
from geomix.negatives.limited import limited_weights
from tests.negatives.conftest import generator


@pytest.mark.parametrize("count", [1, 3, 8])
def test_each_row_keeps_the_same_number(count: int, batch: Table) -> None:
    two = batch[torch.arange(10)]
    weights = limited_weights(
        torch.zeros(10, 10), two, two, count=count, generator=generator()
    ).exp()
    unlike = two.label.unsqueeze(1) != two.label
    assert ((weights * unlike).sum(1) == count).all()
    assert (weights[~unlike] == 1).all()


def test_every_negative_is_equally_likely() -> None:
    batch = Table(torch.arange(8), torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4))
    random, kept = generator(), torch.zeros(8, 8)
    for _ in range(2000):
        kept += limited_weights(torch.zeros(8, 8), batch, batch, count=2, generator=random).exp()
    unlike = batch.label.unsqueeze(1) != batch.label
    assert kept[unlike].div(2000).sub(2 / 6).abs().max() < 0.06
