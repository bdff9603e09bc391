"""SimANS: its weights by definition."""

import math

import pytest
from torch import Tensor

from geomix.config.negatives import Ambiguous
from geomix.losses.table import Table
from geomix.negatives.ambiguous import ambiguous_weights
from tests.negatives.conftest import positive_logits

TAU = 0.5


def weight_by_definition(
    values: list[float], mine: list[float], settings: Ambiguous
) -> list[float]:
    last = sorted(values)[-(settings.top or len(values)) :][0]
    mean = sum(mine) / len(mine)
    return [
        math.exp(-settings.a * (TAU * (value - mean) - settings.b) ** 2) if value >= last else 0.0
        for value in values
    ]


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
