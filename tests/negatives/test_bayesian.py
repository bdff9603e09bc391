"""BCL: its weights by definition, and the order of a row, which is found by integers."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Bayesian
from geomix.losses.table import Table
from geomix.negatives.bayesian import _spread, bayesian_weights
from tests.negatives.conftest import generator


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


@pytest.mark.parametrize("number", [2, 15, 33, 128, 512, 513, 900, 4096, 4097])
@pytest.mark.parametrize("spread", ["wide", "narrow", "far apart", "aside", "equal"])
def test_order_in_float32_is_exact_but_for_near_ties(number: int, spread: str) -> None:
    mine = (
        torch.tensor([0, 1, 2]),
        torch.tensor([number - 1, 0, number // 2]),
    )  # a row and a column of its class
    logits = torch.randn(3, number, generator=generator())
    if spread == "far apart":
        logits[0, 0], logits[1, -1] = -1e4, 1e4
    others = {
        "narrow": 10 + logits * 1e-4,
        "aside": logits - logits.amax() * 1.9,
        "equal": torch.zeros_like(logits),
    }
    logits = others.get(spread, logits)
    order = _spread(torch.arange(number).float().expand(3, -1), logits, mine).argsort(1)
    assert torch.equal(order.sort(1).values, torch.arange(number).expand(3, -1))
    assert torch.equal(order[:, -1], mine[1])
    ordered = logits.gather(1, order)[:, :-1]
    near = max(number / 2**30, 2**-21) * float(logits.max() - logits.min())
    assert (ordered.diff() >= -near).all()
    if spread == "equal":
        assert (order[:, :-1].diff() > 0).all()
