"""Every rule of params.yaml is found by its name, trains in every geometry and repeats itself.

Further laws are those of rules on logits: weights, neutral settings, order, gradients, extremes.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from pydantic import TypeAdapter
from torch import Tensor

from geomix.config.negatives import Negatives
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Sphere
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.ambiguous import ambiguous_weights
from geomix.negatives.bayesian import bayesian_weights
from geomix.negatives.debiased import debiased
from geomix.negatives.hard import hard
from geomix.negatives.limited import limited_weights
from geomix.negatives.mixed_importance import mixed_importance_weights
from geomix.negatives.positive_unlabelled import positive_unlabelled
from tests.negatives.conftest import generator, weighted_loss

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    yaml.safe_load(found)
    for found in re.findall(r"^# (\{rule: .*?\})", (ROOT / "params.yaml").read_text(), re.M)
]
NAMES = [
    get_args(kind.model_fields["rule"].annotation)[0] for kind in get_args(get_args(Negatives)[0])
]
FEW = {"clusters": 4, "top": 4}  # a small batch
TAU = 0.5


def section(**settings: Any) -> Any:
    return TypeAdapter(Negatives).validate_python(settings)


def build(settings: dict[str, Any], geometry: Geometry) -> BatchLoss:
    rule = import_module(f"geomix.negatives.{settings['rule']}")
    built: BatchLoss = rule.build(section(**settings), geometry, 4, seed=7)
    return built


def test_params_names_every_rule_and_every_rule_has_its_file() -> None:
    assert [rule["rule"] for rule in RULES] == NAMES
    files = {path.stem for path in (ROOT / "src/geomix/negatives").glob("*.py")}
    assert files - {"__init__"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_imports_no_other_rule(name: str) -> None:
    program = (
        f"import geomix.negatives.{name}, sys;"
        "print(*(name for name in sys.modules if name.startswith('geomix.')))"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, cwd=ROOT / "src", capture_output=True, text=True, check=True
    ).stdout.split()
    rooms = {module.split(".")[1] for module in found}
    assert rooms <= {"negatives", "losses", "geometry", "config", "errors"}
    rules = {module for module in found if module.startswith("geomix.negatives.")}
    assert rules == {f"geomix.negatives.{name}"}


@pytest.mark.parametrize("settings", RULES, ids=lambda settings: settings["rule"])
def test_a_rule_gives_finite_gradients_and_the_seed_fixes_it(
    settings: dict[str, Any], geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    small = {key: FEW.get(key, value) for key, value in settings.items()}
    found = []
    for _ in range(2):
        rule = build(small, geometry)
        rule.start_epoch(0, 2)
        points = geometry.place(embeddings)
        losses = [rule(geometry, embeddings, points, batch) for _ in range(3)]
        (gradient,) = torch.autograd.grad(losses[-1], embeddings)
        assert torch.isfinite(gradient).all()
        found.append(torch.stack(losses))
    assert torch.isfinite(found[0]).all()
    assert torch.equal(*found)


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "cluster", "clusters": 4, "momentum": 0.9, "start": 1.0, "weight": 0.5},
        {"rule": "synthetic", "count": 3},
    ],
    ids=lambda settings: settings["rule"],
)
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_gradients_are_finite_with_added_columns(
    settings: dict[str, Any], scale: float, geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    given = (embeddings.detach().float() * scale).requires_grad_()
    loss = build(settings, geometry)(geometry, given, geometry.place(given), batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()


WEIGHTS: dict[str, Callable[..., Tensor]] = {
    "ambiguous": ambiguous_weights,
    "bayesian": bayesian_weights,
    "mixed_importance": mixed_importance_weights,
}
WEIGHTED: dict[str, dict[str, Any]] = {
    "ambiguous": {"rule": "ambiguous", "a": 0.8, "b": 0.3, "top": 3},
    "ambiguous, all": {"rule": "ambiguous", "a": 0.8, "b": -0.3, "top": None},
    "bayesian": {"rule": "bayesian", "alpha": 0.7, "beta": 0.8, "tau_plus": 0.1},
    "bayesian, as released": {"rule": "bayesian", "alpha": 0.5, "beta": 1, "tau_plus": 0.1},
    "mixed": {
        "rule": "mixed_importance",
        "similarity": 0.3,
        "uncertainty": 0.4,
        "distance": 0.2,
    },
}
NEUTRAL: dict[str, dict[str, Any]] = {
    "ambiguous": {"rule": "ambiguous", "a": 0, "b": 0.3, "top": 100},
    "bayesian": {"rule": "bayesian", "alpha": 0.7, "beta": 0.5, "tau_plus": 0},
    "mixed": {"rule": "mixed_importance", "similarity": 0, "uncertainty": 0, "distance": 0},
    "limited": {"rule": "limited", "count": 100},
    "uniform": {"rule": "uniform"},
}


def log_weights(settings: dict[str, Any], logits: Tensor, rows: Table, columns: Table) -> Tensor:
    rule = settings["rule"]
    if rule == "limited":
        return limited_weights(logits, rows, columns, count=100, generator=generator())
    options = {"tau": TAU} if rule == "ambiguous" else {}
    return WEIGHTS[rule](logits, rows, columns, settings=section(**settings), **options)


def loss_on_logits(settings: dict[str, Any], logits: Tensor, rows: Table, columns: Table) -> Tensor:
    rule = build(settings, Geometry([Sphere()], [1.0], TAU))
    assert isinstance(rule, OnLogits)
    return rule.loss(logits, rows, columns)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weighted_loss_equals_its_definition(
    name: str, logits: Tensor, pair: tuple[Table, Table], find_terms: Callable[..., Any]
) -> None:
    weights = log_weights(WEIGHTED[name], logits, *pair).exp()
    expected = weighted_loss(find_terms(*pair), logits, weights)
    found = loss_on_logits(WEIGHTED[name], logits, *pair)
    assert float(found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", NEUTRAL)
def test_the_neutral_setting_is_uniform(
    name: str, geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    points = geometry.place(embeddings)
    found = build(NEUTRAL[name], geometry)(geometry, embeddings, points, batch)
    expected = pairwise_cross_entropy(geometry.logits(points, points), batch, batch)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [*WEIGHTED, "limited"])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_weights_and_gradients_are_finite_at_extreme_logits(
    name: str, scale: float, batch: Table
) -> None:
    settings = WEIGHTED.get(name) or NEUTRAL["limited"]
    signs = (
        torch.randn(15, 15, generator=generator()).sign()
        * torch.rand(15, 15, generator=generator()).round()
    )
    logits = (signs * scale).requires_grad_()
    weights = log_weights(settings, logits.detach(), batch, batch).exp()
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    loss = loss_on_logits(settings, logits, batch, batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", WEIGHTED)
def test_order_of_rows_and_columns_moves_the_weights_along(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    i, j = (torch.randperm(len(part), generator=generator()) for part in pair)
    moved = log_weights(WEIGHTED[name], logits[i][:, j], pair[0][i], pair[1][j])
    expected = log_weights(WEIGHTED[name], logits, *pair)[i][:, j]
    torch.testing.assert_close(moved, expected)


CORRECTED: dict[str, Callable[..., Tensor]] = {
    "hard": lambda *given: hard(*given, beta=1.0, tau_plus=0.1, lowest=-10.0),
    "debiased": lambda *given: debiased(*given, tau_plus=0.1, lowest=-10.0),
    "positive_unlabelled": lambda *given: positive_unlabelled(*given, prior=0.1),
}


@pytest.mark.parametrize("name", CORRECTED)
def test_a_row_without_negatives_costs_nothing_however_low_its_logits(name: str) -> None:
    batch = Table(torch.arange(2), torch.zeros(2, dtype=torch.int64), torch.arange(2))
    logits = torch.full((2, 2), -180.0, requires_grad=True)
    loss = CORRECTED[name](logits, batch, batch)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", CORRECTED)
def test_order_of_rows_and_columns_does_not_matter(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    i, j = (torch.randperm(len(part), generator=generator()) for part in pair)
    moved = CORRECTED[name](logits[i][:, j], pair[0][i], pair[1][j])
    torch.testing.assert_close(moved, CORRECTED[name](logits, *pair))


@pytest.mark.parametrize("name", CORRECTED)
def test_gradients_equal_finite_differences(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    assert torch.autograd.gradcheck(
        lambda given: CORRECTED[name](given, *pair), logits.requires_grad_()
    )


@pytest.mark.parametrize("name", CORRECTED)
def test_loss_and_gradient_are_finite_at_extreme_logits(name: str, batch: Table) -> None:
    signs = torch.randn(15, 15, generator=torch.Generator().manual_seed(2)).sign()
    logits = (signs * 1e4).requires_grad_()
    loss = CORRECTED[name](logits, batch, batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
