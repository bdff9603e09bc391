"""Weights of negatives: their definitions in slow loops, uniform at neutral settings, extremes, order."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.losses.losses import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.weights import (
    _spread,
    ambiguous_weights,
    bayesian_weights,
    limited_weights,
    mixed_importance_weights,
    weigh,
    weighting,
)

TAU = 0.5


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


RULES: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "ambiguous": (ambiguous_weights, {"a": 0.8, "b": 0.3, "top": 3, "tau": TAU}),
    "ambiguous, all": (ambiguous_weights, {"a": 0.8, "b": -0.3, "top": None, "tau": TAU}),
    "bayesian": (bayesian_weights, {"alpha": 0.7, "beta": 0.8, "tau_plus": 0.1}),
    "bayesian, as released": (bayesian_weights, {"alpha": 0.5, "beta": 1, "tau_plus": 0.1}),
    "mixed": (
        mixed_importance_weights,
        {"similarity": 0.3, "uncertainty": 0.4, "distance": 0.2, "tau": TAU},
    ),
}
NEUTRAL: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "ambiguous": (ambiguous_weights, {"a": 0, "b": 0.3, "top": 100, "tau": TAU}),
    "bayesian": (bayesian_weights, {"alpha": 0.7, "beta": 0.5, "tau_plus": 0}),
    "mixed": (
        mixed_importance_weights,
        {"similarity": 0, "uncertainty": 0, "distance": 0, "tau": TAU},
    ),
    "limited": (limited_weights, {"count": 100, "generator": generator()}),
}


def positives(logits: Tensor, rows: Table, columns: Table, r: int) -> list[float]:
    return [
        float(logits[r, p])
        for p in range(len(columns))
        if columns.label[p] == rows.label[r]
        and columns.view[p] != rows.view[r]
        and columns.sample[p] != rows.sample[r]
    ]


def ambiguous_by_definition(
    values: list[float], mine: list[float], a: float, b: float, top: int | None, tau: float
) -> list[float]:
    last = sorted(values)[-(top or len(values)) :][0]
    mean = sum(mine) / len(mine)
    return [
        math.exp(-a * (tau * (value - mean) - b) ** 2) if value >= last else 0.0 for value in values
    ]


def bayesian_by_definition(
    values: list[float], mine: list[float], alpha: float, beta: float, tau_plus: float
) -> list[float]:
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
    ("name", "definition"),
    [
        ("ambiguous", ambiguous_by_definition),
        ("ambiguous, all", ambiguous_by_definition),
        ("bayesian", bayesian_by_definition),
        ("bayesian, as released", bayesian_by_definition),
    ],
)
def test_a_weight_equals_its_definition(
    name: str, definition: Callable[..., list[float]], logits: Tensor, pair: tuple[Table, Table]
) -> None:
    rule, settings = RULES[name]
    weights = rule(logits, *pair, **settings).exp()
    for r in range(len(logits)):
        unlike = [q for q in range(len(pair[1])) if pair[1].label[q] != pair[0].label[r]]
        mine = positives(logits, *pair, r)
        if mine:
            expected = definition([float(logits[r, q]) for q in unlike], mine, **settings)
            assert weights[r, unlike].tolist() == pytest.approx(expected, rel=1e-9)


def test_mixed_importance_equals_its_definition(logits: Tensor, pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    given = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pairwise_cross_entropy(given, rows, columns), given)
    weights = RULES["mixed"][0](logits, rows, columns, **RULES["mixed"][1]).exp()
    unlike = rows.label.unsqueeze(1) != columns.label
    means = [float(logits[unlike[:, q], q].mean()) * TAU for q in range(len(columns))]
    for r in range(len(rows)):
        chosen = [q for q in range(len(columns)) if unlike[r, q]]
        a = [math.exp(logits[r, q]) for q in chosen]
        u = [
            math.sqrt(sum(float(gradient[k, q]) ** 2 for k in range(len(rows)) if unlike[k, q]))
            for q in chosen
        ]
        d = [max(means) - means[q] for q in chosen]
        for n, q in enumerate(chosen):
            share = [kind[n] * len(kind) / sum(kind) - 1 for kind in (a, u, d)]
            assert float(weights[r, q]) == pytest.approx(
                1 + 0.3 * share[0] + 0.4 * share[1] + 0.2 * share[2], rel=1e-9
            )


@pytest.mark.parametrize("name", RULES)
def test_a_weighted_loss_equals_its_definition(
    name: str, logits: Tensor, pair: tuple[Table, Table], find_terms: Callable[..., Any]
) -> None:
    rule, settings = RULES[name]
    weights = rule(logits, *pair, **settings).exp()
    terms = [
        math.log(
            1 + sum(float(weights[r, q]) * math.exp(logits[r, q] - logits[r, p]) for q in unlike)
        )
        for r, p, unlike in find_terms(*pair)
    ]
    assert float(weighting(rule, **settings)(logits, *pair)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-10
    )


@pytest.mark.parametrize("name", NEUTRAL)
def test_the_neutral_setting_is_uniform(
    name: str, geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    rule, settings = NEUTRAL[name]
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    found = weighting(rule, **settings)(logits, batch, batch)
    torch.testing.assert_close(
        found, pairwise_cross_entropy(logits, batch, batch), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("name", [*RULES, "limited"])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_weights_and_gradients_are_finite_at_extreme_logits(
    name: str, scale: float, batch: Table
) -> None:
    rule, settings = RULES.get(name) or NEUTRAL["limited"]
    signs = (
        torch.randn(15, 15, generator=generator()).sign()
        * torch.rand(15, 15, generator=generator()).round()
    )
    logits = (signs * scale).requires_grad_()
    weights = rule(logits.detach(), batch, batch, **settings).exp()
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    loss = weighting(rule, **settings)(logits, batch, batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", RULES)
def test_order_of_rows_and_columns_moves_the_weights_along(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    rule, settings = RULES[name]
    orders = [torch.randperm(len(part), generator=generator()) for part in pair]
    rows, columns = (
        Table(t.sample[k], t.label[k], t.view[k]) for t, k in zip(pair, orders, strict=True)
    )
    moved = logits[orders[0]][:, orders[1]]
    expected = rule(logits, *pair, **settings)[orders[0]][:, orders[1]]
    torch.testing.assert_close(rule(moved, rows, columns, **settings), expected)


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
    order = _spread(torch.arange(number).float().expand(3, -1), logits, *mine).argsort(1)
    assert torch.equal(order.sort(1).values, torch.arange(number).expand(3, -1))
    assert torch.equal(order[:, -1], mine[1])
    ordered = logits.gather(1, order)[:, :-1]
    near = max(number / 2**30, 2**-21) * float(logits.max() - logits.min())
    assert (ordered.diff() >= -near).all()
    if spread == "equal":
        assert (order[:, :-1].diff() > 0).all()


@pytest.mark.parametrize("count", [1, 3, 8])
def test_limited_keeps_as_many_of_each_row(count: int, batch: Table) -> None:
    two = Table(batch.sample[:10], batch.label[:10], batch.view[:10])
    weights = limited_weights(
        torch.zeros(10, 10), two, two, count=count, generator=generator()
    ).exp()
    unlike = two.label.unsqueeze(1) != two.label
    assert ((weights * unlike).sum(1) == count).all()
    assert (weights[~unlike] == 1).all()


def test_limited_keeps_every_negative_alike() -> None:
    batch = Table(torch.arange(8), torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4))
    random, kept = generator(), torch.zeros(8, 8)
    for _ in range(2000):
        kept += limited_weights(torch.zeros(8, 8), batch, batch, count=2, generator=random).exp()
    unlike = batch.label.unsqueeze(1) != batch.label
    assert kept[unlike].div(2000).sub(2 / 6).abs().max() < 0.06


def test_no_gradient_flows_through_weights(logits: Tensor, pair: tuple[Table, Table]) -> None:
    given = logits.clone().requires_grad_()
    fixed = torch.full_like(logits, math.log(2.0)).masked_fill(
        pair[0].label.unsqueeze(1) == pair[1].label, 0
    )
    by_rule = torch.autograd.grad(
        weigh(given, *pair, weights=lambda given, *_: fixed + given * 0), given
    )[0]
    expected = torch.autograd.grad(pairwise_cross_entropy(given + fixed, *pair), given)[0]
    torch.testing.assert_close(by_rule, expected)
