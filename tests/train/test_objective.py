"""Objectives: the losses they stand for, proxies, losses of pytorch-metric-learning, refusals."""

import math
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Sphere
from geomix.geometry.tangent import Ball
from geomix.losses.losses import pairwise_cross_entropy, proxy_anchor, supervised_contrastive
from geomix.losses.table import Table
from geomix.negatives.corrections import hard
from geomix.regularisers.hier import Hierarchy
from geomix.train.objective import Objective, build_objective, regularise

BATCH = Table(torch.arange(6), torch.tensor([0, 2, 1, 0, 2, 1]), torch.tensor([0, 0, 0, 1, 1, 1]))
BALL = Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2)


def embeddings() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def build(
    geometry: Geometry, seed: int = 0, negatives: dict[str, Any] | None = None, **settings: Any
) -> Objective:
    return build_objective(settings, geometry, 3, 5, seed, negatives or {"rule": "uniform"})


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        ({"name": "pairwise_cross_entropy"}, pairwise_cross_entropy),
        ({"name": "supervised_contrastive"}, supervised_contrastive),
        (
            {"name": "pairwise_cross_entropy", "negatives": {"rule": "debiased", "tau_plus": 0.3}},
            lambda *given: hard(*given, beta=0.0, tau_plus=0.3, lowest=-4 * 2.3 / 0.2),
        ),
    ],
)
def test_an_objective_is_its_loss_of_the_batch_with_itself(
    settings: dict[str, Any], loss: Any
) -> None:
    points = BALL.place(embeddings())
    found = build(BALL, **settings)(embeddings(), points, BATCH)
    torch.testing.assert_close(found, loss(BALL.logits(points, points), BATCH, BATCH))


def test_a_rule_hears_of_epochs_and_hands_over_what_it_learns() -> None:
    name = "pairwise_cross_entropy"
    hcl = build(
        BALL, name=name, negatives={"rule": "hard", "beta": 2.0, "tau_plus": 0.1, "anneal": "down"}
    )
    hcl.start_epoch(1, 2)
    points = BALL.place(embeddings())
    expected = hard(
        BALL.logits(points, points), BATCH, BATCH, beta=1.0, tau_plus=0.1, lowest=BALL.lowest_logit
    )
    torch.testing.assert_close(hcl(embeddings(), points, BATCH), expected)
    assert not hcl.own_parameters()
    settings = {
        "rule": "doubly_contrastive",
        "clusters": 4,
        "temperature": 0.5,
        "weight": 1,
        "rate_factor": 3.0,
    }
    doubly = build(BALL, name=name, negatives=settings)
    assert [weight.shape for weight in doubly.own_parameters()] == [(4, 5)]
    assert doubly.rate_factor == 3.0


def test_proxies_are_placed_in_the_geometry_and_learned() -> None:
    objective = build(BALL, name="proxy_anchor", margin=0.1, rate_factor=50.0)
    (proxies,) = objective.own_parameters()
    assert proxies.shape == (3, 5)
    assert objective.rate_factor == 50.0
    points = BALL.place(embeddings())
    loss = objective(embeddings(), points, BATCH)
    columns = Table(torch.tensor([-1, -2, -3]), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    expected = proxy_anchor(
        BALL.logits(points, BALL.place(proxies.detach())), BATCH, columns, margin=0.1 / 0.2
    )
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    assert proxies.grad is not None
    assert (proxies.grad.abs().sum(1) > 0).all()


def test_the_seed_fixes_the_proxies() -> None:
    first, again, other = (
        build(BALL, seed, name="proxy_anchor", margin=0, rate_factor=1).own_parameters()[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_loss_of_pytorch_metric_learning_takes_the_temperature_and_its_arguments() -> None:
    geometry = Geometry([Sphere()], [1.0], 0.07)
    points = geometry.place(embeddings())
    found = build(
        geometry, name="pytorch_metric_learning", loss="SupConLoss", arguments={}, rate_factor=1
    )
    torch.testing.assert_close(
        found(embeddings(), points, BATCH),
        losses.SupConLoss(temperature=0.07)(embeddings(), BATCH.label),
        rtol=1e-6,
        atol=0,
    )
    own = build(
        geometry,
        name="pytorch_metric_learning",
        loss="SupConLoss",
        arguments={"temperature": 0.5},
        rate_factor=1,
    )
    torch.testing.assert_close(
        own(embeddings(), points, BATCH),
        losses.SupConLoss(temperature=0.5)(embeddings(), BATCH.label),
    )


def test_what_a_peer_learns_is_handed_to_the_optimiser() -> None:
    global_state = torch.get_rng_state()
    peers = [
        build(
            cosine(),
            seed,
            name="pytorch_metric_learning",
            loss="ProxyNCALoss",
            arguments={},
            rate_factor=10,
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), global_state)
    first, again, other = (peer.own_parameters()[0] for peer in peers)
    assert first.shape == (3, 5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert peers[0].rate_factor == 10


@pytest.mark.parametrize(
    ("geometry", "loss", "arguments", "message"),
    [
        (
            BALL,
            "SupConLoss",
            {},
            "found pytorch_metric_learning for a geometry of ball, expected .* one sphere",
        ),
        (
            Geometry([Sphere()], [1.0], 0.1, ["cosine"], learn_weights=[True]),
            "SupConLoss",
            {},
            "that learns cosine.weight",
        ),
        (
            cosine(),
            "NoSuchLoss",
            {},
            "loss.loss: found NoSuchLoss, expected one of .*TripletMarginLoss",
        ),
        (
            cosine(),
            "SupConLoss",
            {"heat": 1},
            "loss.arguments: found {'heat': 1}, refused by SupConLoss",
        ),
    ],
)
def test_peers_that_cannot_be_are_refused(
    geometry: Geometry, loss: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(
            geometry, name="pytorch_metric_learning", loss=loss, arguments=arguments, rate_factor=1
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 1},
        {
            "name": "pytorch_metric_learning",
            "loss": "ProxyNCALoss",
            "arguments": {},
            "rate_factor": 1,
        },
        {
            "name": "pytorch_metric_learning",
            "loss": "ArcFaceLoss",
            "arguments": {"num_classes": 3},
            "rate_factor": 1,
        },
    ],
)
def test_a_loss_of_classes_is_refused_where_labels_are_hidden(settings: dict[str, Any]) -> None:
    name = settings.get("loss", settings["name"])
    with pytest.raises(
        InputError, match=f"labels: found hidden for the loss {name}, expected given"
    ):
        build_objective(settings, cosine(), None, 5, 0, {"rule": "uniform"})


@pytest.mark.parametrize(
    "name", ["supervised_contrastive", "proxy_anchor", "pytorch_metric_learning"]
)
def test_a_rule_beside_a_loss_that_takes_none_is_refused(name: str) -> None:
    settings: dict[str, Any] = {
        "margin": 0.1,
        "rate_factor": 1,
        "loss": "NTXentLoss",
        "arguments": {},
    }
    message = f"^negatives.rule: found debiased with loss {name}, expected uniform with this loss$"
    with pytest.raises(InputError, match=message):
        build(cosine(), name=name, negatives={"rule": "debiased", "tau_plus": 0.1}, **settings)


def test_a_loss_of_pairs_takes_hidden_labels() -> None:
    settings = {
        "name": "pytorch_metric_learning",
        "loss": "NTXentLoss",
        "arguments": {},
        "rate_factor": 1,
    }
    assert not build_objective(settings, cosine(), None, 5, 0, {"rule": "uniform"}).own_parameters()


HIER = {"name": "hier", "weight": 0.5, "proxies": 6, "neighbours": 3, "triplets": 4, "margin": 0.1}
HIER |= {"curvature": 0.1, "clip_radius": 2.3, "rate_factor": 50}


@pytest.mark.parametrize(
    "settings",
    [{"name": "pairwise_cross_entropy"}, {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 1}],
    ids=lambda settings: settings["name"],
)
def test_a_regulariser_is_added_to_any_loss_and_none_changes_nothing(
    settings: dict[str, Any],
) -> None:
    points = BALL.place(embeddings())
    plain, none, hier = (
        regularise(build(BALL, **settings), section, 5, 0)
        for section in ({"name": "none"}, {"name": "none"}, HIER)
    )
    loss = plain(embeddings(), points, BATCH)
    assert torch.equal(none(embeddings(), points, BATCH), loss)
    assert none.hierarchy is None
    expected = loss + Hierarchy(HIER, 5, 0)(embeddings(), BATCH)
    torch.testing.assert_close(hier(embeddings(), points, BATCH), expected)
    assert expected > loss
    assert hier.hierarchy is not None
    assert len(hier.own_parameters()) == len(plain.own_parameters())


def test_the_lowest_logit_is_that_of_opposite_points() -> None:
    hybrid = Geometry([Sphere(), Ball(0.5, 1, 2.3)], [1.0, 0.7], 0.2)
    opposite = torch.tensor([[9.0, 0.0], [-9.0, 0.0]])
    points = hybrid.place(opposite)
    assert hybrid.lowest_logit == pytest.approx(
        float(hybrid.logits(points, points)[0, 1]), rel=1e-6
    )
    assert Geometry([Ball(0.5, 1, None)], [1.0], 0.2).lowest_logit == -math.inf
    assert Geometry([Ball(0.5, 1, None, normalize=True)], [1.0], 0.2).lowest_logit == pytest.approx(
        -4 / 0.2
    )
