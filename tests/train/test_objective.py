"""Objectives: the losses they stand for, rules, what is learned, regularisers, lazy imports."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from geomix.config.losses import Hier, Loss, NoRegulariser, Regulariser
from geomix.config.negatives import Negatives
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table
from geomix.negatives.hard import hard
from geomix.regularisers.hier import Hierarchy
from geomix.train.objective import Objective, build_objective

ROOT = Path(__file__).parents[2]
BATCH = Table(torch.arange(6), torch.tensor([0, 2, 1, 0, 2, 1]), torch.tensor([0, 0, 0, 1, 1, 1]))
BALL = Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2)
PAIRWISE = {"name": "pairwise_cross_entropy"}
PROXIES = {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 50.0}
UNIFORM = {"rule": "uniform"}
HIER = Hier(
    name="hier",
    weight=0.5,
    proxies=6,
    neighbours=3,
    triplets=4,
    margin=0.1,
    curvature=0.1,
    clip_radius=2.3,
    rate_factor=50,
)


def embeddings() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def build(
    loss: dict[str, Any],
    negatives: dict[str, Any] = UNIFORM,
    regulariser: Regulariser | None = None,
    geometry: Geometry = BALL,
    classes: int | None = 3,
) -> Objective:
    return build_objective(
        TypeAdapter(Loss).validate_python(loss),
        TypeAdapter(Negatives).validate_python(negatives),
        regulariser or NoRegulariser(name="none"),
        geometry,
        classes,
        dimensions=5,
        seed=0,
    )


@pytest.mark.parametrize(
    ("settings", "negatives", "loss"),
    [
        (PAIRWISE, UNIFORM, pairwise_cross_entropy),
        ({"name": "supervised_contrastive"}, UNIFORM, supervised_contrastive),
        (
            PAIRWISE,
            {"rule": "debiased", "tau_plus": 0.3},
            lambda *given: hard(*given, beta=0.0, tau_plus=0.3, lowest=-4 * 2.3 / 0.2),
        ),
    ],
)
def test_an_objective_is_its_loss_of_the_batch_with_itself(
    settings: dict[str, Any], negatives: dict[str, Any], loss: Any
) -> None:
    points = BALL.place(embeddings())
    found = build(settings, negatives)(BALL, embeddings(), points, BATCH)
    torch.testing.assert_close(found, loss(BALL.logits(points, points), BATCH, BATCH))


def test_a_rule_hears_of_epochs_and_hands_over_what_it_learns() -> None:
    hcl = build(PAIRWISE, {"rule": "hard", "beta": 2.0, "tau_plus": 0.1, "anneal": "down"})
    hcl.start_epoch(1, 2)
    points = BALL.place(embeddings())
    logits, lowest = BALL.logits(points, points), BALL.lowest_logit
    expected = hard(logits, BATCH, BATCH, beta=1.0, tau_plus=0.1, lowest=lowest)
    torch.testing.assert_close(hcl(BALL, embeddings(), points, BATCH), expected)
    assert not hcl.own_parameters()
    settings = {"clusters": 4, "temperature": 0.5, "weight": 1, "rate_factor": 3.0}
    doubly = build(PAIRWISE, {"rule": "doubly_contrastive", **settings})
    assert [weight.shape for weight in doubly.own_parameters()] == [(4, 5)]
    assert doubly.rate_factor == 3.0


@pytest.mark.parametrize(
    ("loss", "geometry", "factor"),
    [
        (PROXIES, BALL, 50.0),
        (
            {"name": "pytorch_metric_learning", "loss": "ProxyNCALoss", "rate_factor": 10},
            cosine(),
            10,
        ),
    ],
    ids=["proxy_anchor", "peer"],
)
def test_proxies_of_a_loss_are_handed_to_the_optimiser(
    loss: dict[str, Any], geometry: Geometry, factor: float
) -> None:
    objective = build(loss, geometry=geometry)
    assert [weight.shape for weight in objective.own_parameters()] == [(3, 5)]
    assert objective.rate_factor == factor


def test_a_loss_of_classes_is_refused_where_labels_are_hidden() -> None:
    message = "labels: found hidden for the loss proxy_anchor, expected given"
    with pytest.raises(InputError, match=message):
        build(PROXIES, classes=None)


@pytest.mark.parametrize("settings", [PAIRWISE, PROXIES], ids=lambda settings: settings["name"])
def test_a_regulariser_is_added_to_any_loss_and_none_changes_nothing(
    settings: dict[str, Any],
) -> None:
    points = BALL.place(embeddings())
    none, hier = build(settings), build(settings, regulariser=HIER)
    loss = none(BALL, embeddings(), points, BATCH)
    assert torch.equal(none.loss(BALL, embeddings(), points, BATCH), loss)
    assert none.hierarchy is None
    assert not none.optimizers(0.1)
    expected = loss + Hierarchy(HIER, 5, 0)(embeddings(), BATCH)
    torch.testing.assert_close(hier(BALL, embeddings(), points, BATCH), expected)
    assert expected > loss
    assert len(hier.own_parameters()) == len(none.own_parameters())
    (riemannian,) = hier.optimizers(0.1)
    (group,) = riemannian.param_groups
    assert [weight.shape for weight in group["params"]] == [(6, 5)]
    assert (group["lr"], group["factor"]) == (0.1, 50)


@pytest.mark.parametrize(
    ("loss", "negatives", "expected"),
    [
        (PAIRWISE, UNIFORM, {"negatives.uniform", "regularisers.none"}),
        (PAIRWISE, {"rule": "limited", "count": 2}, {"negatives.limited", "regularisers.none"}),
        ({"name": "supervised_contrastive"}, UNIFORM, {"regularisers.none"}),
    ],
    ids=["uniform", "limited", "a loss that takes no rule"],
)
def test_only_the_named_rule_and_regulariser_are_imported(
    loss: dict[str, Any], negatives: dict[str, Any], expected: set[str]
) -> None:
    program = f"""
import sys
from pydantic import TypeAdapter
from geomix.config.losses import Loss, NoRegulariser
from geomix.config.negatives import Negatives
from geomix.geometry.geometry import cosine
from geomix.train.objective import build_objective
loss = TypeAdapter(Loss).validate_python({loss!r})
negatives = TypeAdapter(Negatives).validate_python({negatives!r})
build_objective(loss, negatives, NoRegulariser(name="none"), cosine(), 3, 5, 0)
rooms = ("geomix.negatives.", "geomix.regularisers.")
print(*(name.removeprefix("geomix.") for name in sys.modules if name.startswith(rooms)))
"""
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, cwd=ROOT / "src", capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(found) == expected
