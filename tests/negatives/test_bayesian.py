"""BCL: its weights by definition, and ranks of equal logits."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Bayesian
from geomix.losses.table import Table
from geomix.negatives.bayesian import bayesian_weights


def weight_by_definition(values: list[float], settings: Bayesian) -> list[float]:
    alpha, beta, tau_plus = settings.alpha, settings.beta, settings.tau_plus
    found = []
    for value in values:
        u = sum(other <= value for other in values) / len(values)
        a = (1 - 2 * alpha) * (1 - 2 * tau_plus)
        b = 2 * (alpha * (1 - tau_plus) + (1 - alpha) * tau_plus)
        v = (-b + math.sqrt(b * b + 4 * a * u)) / (2 * a) if a else u / b
        f1, f2 = 2 * (1 - v), 2 * v
        hard = (alpha * (1 - beta) * f1 + (1 - alpha) * beta * f2) / (
            alpha * (1 - beta) + (1 - alpha) * beta
        )
        true = (1 - tau_plus) * (alpha * f1 + (1 - alpha) * f2) + tau_plus * (
            (1 - alpha) * f1 + alpha * f2
        )
        found.append(hard / true)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        Bayesian(rule="bayesian", alpha=0.7, beta=0.8, tau_plus=0.1),
        Bayesian(rule="bayesian", alpha=0.5, beta=1, tau_plus=0.1),
    ],
    ids=["other", "as released"],
)
def test_a_weight_equals_its_definition(
    settings: Bayesian, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    weights = bayesian_weights(logits, *pair, settings=settings).exp()
    for r in range(len(logits)):
        unlike = [q for q in range(len(pair[1])) if pair[1].label[q] != pair[0].label[r]]
        expected = weight_by_definition([float(logits[r, q]) for q in unlike], settings)
        assert weights[r, unlike].tolist() == pytest.approx(expected, rel=1e-9)


def test_equal_logits_are_ranked_in_the_order_of_columns(batch: Table) -> None:
    settings = Bayesian(rule="bayesian", alpha=0.7, beta=0.8, tau_plus=0.1)
    ascending = torch.arange(15.0).expand(15, -1)
    expected = bayesian_weights(ascending, batch, batch, settings=settings)
    found = bayesian_weights(torch.zeros(15, 15), batch, batch, settings=settings)
    assert torch.equal(found, expected)
    assert len(found[0].unique()) == 13  # 12 negatives, and the row's own class
