"""Proxy-Anchor: its definition, its peer, gradients, learned proxies, refusals."""

import math

import pytest
import torch

from geomix.config.losses import ProxyAnchor
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Sphere
from geomix.losses.proxy_anchor import LearnedProxies, proxy_anchor
from geomix.losses.table import Table
from tests.losses.conftest import ROWS, random_logits, table

BATCH = table([0, 2, 1, 0, 2, 1], [0, 0, 0, 1, 1, 1])
BALL = Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2)


def learned(seed: int) -> LearnedProxies:
    settings = ProxyAnchor(name="proxy_anchor", margin=0.1, rate_factor=50.0)
    return LearnedProxies(settings, BALL, classes=3, dimensions=5, seed=seed)


def test_proxy_anchor_equals_its_definition() -> None:
    rows, proxies = table([0, 1, 1, 2, 5], [0] * 5), table([2, 0, 1, 3], [0] * 4, [-1, -2, -3, -4])
    logits, margin = random_logits(5, 4), 0.7
    pull, push = [], []
    for p in range(4):
        mine = [float(logits[r, p]) for r in range(5) if rows.label[r] == proxies.label[p]]
        others = [float(logits[r, p]) for r in range(5) if rows.label[r] != proxies.label[p]]
        if mine:
            pull.append(math.log(1 + sum(math.exp(margin - value) for value in mine)))
        push.append(math.log(1 + sum(math.exp(margin + value) for value in others)))
    expected = sum(pull) / len(pull) + sum(push) / len(push)
    assert float(proxy_anchor(logits, rows, proxies, margin=margin)) == pytest.approx(
        expected, rel=1e-12
    )


def test_it_equals_pytorch_metric_learning() -> None:
    from pytorch_metric_learning import losses

    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 3])
    batch = table(labels.tolist(), [0] * 8)
    features = random_logits(8, 6)
    cosine = Geometry([Sphere()], [1.0], 0.1)
    peer = losses.ProxyAnchorLoss(5, 6, margin=0.1, alpha=32).double()
    proxies = table(list(range(5)), [0] * 5, [-1, -2, -3, -4, -5])
    points = cosine.place(features)
    logits = cosine.similarity(points, cosine.place(peer.proxies.detach())) * 32
    assert float(proxy_anchor(logits, batch, proxies, margin=3.2)) == pytest.approx(
        float(peer(features, labels).detach()), rel=1e-9
    )


def test_gradients_equal_finite_differences() -> None:
    proxies = table([0, 1, 2, 3], [0] * 4, [-1, -2, -3, -4])
    given = random_logits(6, 4, 1.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda logits: proxy_anchor(logits, ROWS, proxies, margin=0.3), given
    )


def test_several_proxies_of_a_class_are_refused() -> None:
    with pytest.raises(ValueError, match="several proxies of a class"):
        proxy_anchor(torch.zeros(2, 2), table([0, 1], [0, 0]), table([1, 1], [0, 0]), margin=0)


def test_rows_without_a_proxy_are_refused() -> None:
    with pytest.raises(ValueError, match="found no row with a positive"):
        proxy_anchor(torch.zeros(2, 1), table([0, 1], [0, 0]), table([2], [0]), margin=0)


def test_proxies_are_placed_in_the_geometry_and_learned() -> None:
    loss, embeddings = learned(0), random_logits(6, 5).float()
    (proxies,) = loss.parameters()
    assert proxies.shape == (3, 5)
    assert loss.rate_factor == 50.0
    points = BALL.place(embeddings)
    value = loss(BALL, embeddings, points, BATCH)
    columns = Table(torch.tensor([-1, -2, -3]), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    logits = BALL.logits(points, BALL.place(proxies.detach()))
    expected = proxy_anchor(logits, BATCH, columns, margin=0.1 / 0.2)
    torch.testing.assert_close(value.detach(), expected)
    value.backward()
    assert proxies.grad is not None
    assert (proxies.grad.abs().sum(1) > 0).all()


def test_the_seed_fixes_the_proxies() -> None:
    first, again, other = (learned(seed).proxies for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
