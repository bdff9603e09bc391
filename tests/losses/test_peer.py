"""Losses of pytorch-metric-learning: what they take and learn, refusals."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses

from geomix.config.losses import PeerLoss
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Sphere
from geomix.losses.peer import Peer, build_peer
from tests.losses.conftest import table

BATCH = table([0, 2, 1, 0, 2, 1], [0, 0, 0, 1, 1, 1])


def embeddings() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def build(
    geometry: Geometry,
    loss: str,
    arguments: dict[str, Any] | None = None,
    rate_factor: float = 1,
    seed: int = 0,
    classes: int | None = 3,
) -> Peer:
    settings = PeerLoss(
        name="pytorch_metric_learning",
        loss=loss,
        arguments=arguments or {},
        rate_factor=rate_factor,
    )
    return build_peer(settings, geometry, classes, 5, seed)


@pytest.mark.parametrize(
    ("arguments", "temperature"), [({}, 0.07), ({"temperature": 0.5}, 0.5)], ids=["tau", "own"]
)
def test_a_peer_takes_the_temperature_and_its_arguments(
    arguments: dict[str, float], temperature: float
) -> None:
    geometry = Geometry([Sphere()], [1.0], 0.07)
    points = geometry.place(embeddings())
    found = build(geometry, "SupConLoss", arguments)(geometry, embeddings(), points, BATCH)
    expected = losses.SupConLoss(temperature=temperature)(embeddings(), BATCH.label)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_the_seed_fixes_what_a_peer_learns() -> None:
    global_state = torch.get_rng_state()
    peers = [build(cosine(), "ProxyNCALoss", rate_factor=10, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), global_state)
    first, again, other = (next(peer.parameters()) for peer in peers)
    assert first.shape == (3, 5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert peers[0].rate_factor == 10


@pytest.mark.parametrize(
    ("geometry", "loss", "arguments", "message"),
    [
        (
            Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2),
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
        build(geometry, loss, arguments)


@pytest.mark.parametrize(
    ("loss", "arguments"), [("ProxyNCALoss", {}), ("ArcFaceLoss", {"num_classes": 3})]
)
def test_a_peer_of_classes_is_refused_where_labels_are_hidden(
    loss: str, arguments: dict[str, Any]
) -> None:
    message = f"labels: found hidden for the loss {loss}, expected given"
    with pytest.raises(InputError, match=message):
        build(cosine(), loss, arguments, classes=None)


def test_a_peer_of_pairs_takes_hidden_labels() -> None:
    assert not list(build(cosine(), "NTXentLoss", classes=None).parameters())
