"""Losses of embeddings and labels: those of the pipeline, with views counted within classes."""

from collections.abc import Callable

import pytest
import torch

import geomix
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Flat, Sphere
from geomix.library.losses import label_views, pairwise_loss, proxy_loss, supervised_loss
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table

Loss = Callable[[torch.Tensor, torch.Tensor, Geometry], torch.Tensor]
LABELS = torch.tensor([7, 2, 7, 5, 2, 7, 5])


def draw(count: int = 7) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_the_view_of_a_row_is_its_number_within_its_class() -> None:
    table = label_views(LABELS, draw())
    assert table.view.tolist() == [0, 0, 1, 0, 1, 2, 1]
    assert table.sample.tolist() == list(range(7))
    assert table.label is not LABELS or table.label.tolist() == LABELS.tolist()


def test_losses_are_those_of_the_pipeline() -> None:
    embeddings, geometry = draw(), Geometry([Ball(0.5)], tau=0.3)
    views = torch.tensor([0, 0, 1, 0, 1, 2, 1])
    batch = Table(torch.arange(7), LABELS, views)
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    for own, ours in ((pairwise_loss, pairwise_cross_entropy),
                      (supervised_loss, supervised_contrastive)):  # fmt: skip
        assert torch.equal(own(embeddings, LABELS, geometry), ours(logits, batch, batch))


def test_proxies_are_placed_as_embeddings_are() -> None:
    """Proxy-Anchor by definition, Kim et al. 2020, eq. 4, one pair at a time."""
    embeddings, labels = draw(), torch.tensor([0, 1, 0, 2, 1, 0, 2])
    proxies = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    cosines = torch.nn.functional.cosine_similarity(embeddings[:, None], proxies, dim=2)
    pull, push = [], []
    for number in range(4):
        mine = labels == number
        if mine.any():
            pull.append(torch.log1p(torch.exp(-10 * (cosines[mine, number] - 0.1)).sum()))
        push.append(torch.log1p(torch.exp(10 * (cosines[~mine, number] + 0.1)).sum()))
    expected = torch.stack(pull).mean() + torch.stack(push).mean()
    found = proxy_loss(embeddings, labels, proxies, Geometry([Sphere()], tau=0.1))
    torch.testing.assert_close(found, expected)
    found.backward()
    assert proxies.grad is not None


@pytest.mark.parametrize(("label", "expected"), [(3, "0 to 2"), (-1, "0 to 2")])
def test_a_label_without_a_proxy_is_refused(label: int, expected: str) -> None:
    labels = torch.tensor([0, 1, 0, 2, 1, label, 2])
    with pytest.raises(ValueError, match=f"labels: found {label}, expected {expected}, the rows"):
        proxy_loss(draw(), labels, draw(3), Geometry([Sphere()], tau=0.1))


def test_a_loop_of_ones_own_learns_in_a_geometry_with_parameters() -> None:
    labels = torch.arange(8).repeat(4)
    inputs = torch.nn.functional.one_hot(labels, 8).float() + 0.1
    network = torch.nn.Linear(8, 4)
    ball = geomix.Geometry([geomix.Ball(curvature=0.5, learn_curvature=True)], tau=0.2)
    adam = torch.optim.AdamW([*network.parameters(), *ball.parameters()], lr=0.05)
    losses = []
    for _ in range(20):
        loss = geomix.pairwise_loss(network(inputs), labels, ball)
        adam.zero_grad()
        loss.backward()
        adam.step()
        ball.keep_in_range()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert ball.learned()["0.curvature"] != 0.5


@pytest.mark.parametrize("labels", [LABELS[:6], LABELS.float(), LABELS[:, None]])
def test_labels_that_are_not_one_integer_for_each_row_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels: found .*, expected one integer for each row"):
        pairwise_loss(draw(), labels, Geometry([Sphere()]))


@pytest.mark.parametrize("loss", [pairwise_loss, supervised_loss])
def test_a_batch_of_one_class_is_refused_as_it_teaches_nothing(loss: Loss) -> None:
    with pytest.raises(ValueError, match="found one class, expected two or more"):
        loss(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), Geometry([Flat()]))


def test_what_is_no_tensor_or_no_geometry_is_named() -> None:
    points, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    with pytest.raises(TypeError, match="embeddings: found ndarray, expected a tensor"):
        pairwise_loss(points.numpy(), labels, Geometry([Flat()]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="labels: found list, expected a tensor"):
        supervised_loss(points, labels.tolist(), Geometry([Flat()]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"geometry: found Flat, expected .*Geometry\(\[space\]"):
        pairwise_loss(points, labels, Flat())  # type: ignore[arg-type]
