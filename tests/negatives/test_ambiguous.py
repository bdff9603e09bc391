"""SimANS: its weights by definition."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Ambiguous
from geomix.losses.table import Table
from geomix.negatives.ambiguous import ambiguous_weights
from tests.negatives.conftest import generator, positive_logits

TAU = 0.5


def weight_by_definition(
    values: list[float], mine: list[float], settings: Ambiguous
) -> list[float]:
    last = sorted(values)[-(settings.top or len(values)) :][0]
    mean = sum(mine) / len(mine)
    weights = [
        math.exp(-settings.a * (TAU * (value - mean) - settings.b) ** 2) if value >= last else 0.0
        for value in values
    ]
    return [weight * len(values) / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    "settings",
    [
        Ambiguous(rule="ambiguous", a=0.8, b=0.3, top=3),
        Ambiguous(rule="ambiguous", a=0.8, b=-0.3, top=None),
    ],
    ids=["top", "all"],
)
def test_a_weight_equals_its_definition(
    settings: Ambiguous, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    weights = ambiguous_weights(logits, *pair, settings=settings, tau=TAU).exp()
    compared = 0
    for r in range(len(logits)):
        unlike = [q for q in range(len(pair[1])) if pair[1].label[q] != pair[0].label[r]]
        mine = positive_logits(logits, *pair, r)
        if mine:
            values = [float(logits[r, q]) for q in unlike]
            expected = weight_by_definition(values, mine, settings)
            assert weights[r, unlike].tolist() == pytest.approx(expected, rel=1e-9)
            compared += 1
    assert compared


def test_negatives_far_from_the_positive_count_by_their_shares(batch: Table) -> None:
    settings = Ambiguous(rule="ambiguous", a=0.8, b=0, top=3)
    unlike = batch.label.unsqueeze(1) != batch.label
    logits = torch.randn(15, 15, generator=generator()) + 200 * unlike  # exp(-8000) is 0
    log_weights = ambiguous_weights(logits, batch, batch, settings=settings, tau=TAU)
    means = (log_weights.exp() * unlike).sum(1) / unlike.sum(1)
    torch.testing.assert_close(means, torch.ones(15))
