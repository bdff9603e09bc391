"""The doubly contrastive rule: its definition, prototypes that learn, order, refusals."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import DoublyContrastive
from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table
from geomix.negatives.doubly_contrastive import AssignmentContrast, by_view


def contrasting(weight: float = 0.7) -> AssignmentContrast:
    settings = DoublyContrastive(
        rule="doubly_contrastive", clusters=3, temperature=0.5, weight=weight, rate_factor=2.0
    )
    return AssignmentContrast(settings, dimensions=4, seed=1)


def contrast(x: Tensor, y: Tensor) -> float:
    """Return the mean InfoNCE of x_a with positives y_a; all other vectors are negatives."""
    terms = []
    for a in range(len(x)):
        near = [
            math.exp(float(torch.cosine_similarity(x[a], y[b], dim=0)) / 0.5) for b in range(len(y))
        ]
        own = [
            math.exp(float(torch.cosine_similarity(x[a], x[b], dim=0)) / 0.5)
            for b in range(len(x))
            if b != a
        ]
        terms.append(-math.log(near[a] / (sum(near) + sum(own))))
    return sum(terms) / len(terms)


def test_the_loss_equals_its_definition(batch: Table) -> None:
    assignments = (
        torch.rand(15, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    )
    assignments /= assignments.sum(1, keepdim=True)
    views = [
        [int(((batch.view == view) & (batch.label == label)).nonzero()) for label in range(5)]
        for view in range(3)
    ]
    pairs = [
        (assignments[views[i]], assignments[views[j]]) for i in range(3) for j in range(3) if i != j
    ]
    by_rows = sum(contrast(x, y) for x, y in pairs) / 6
    by_columns = sum(contrast(x.T, y.T) for x, y in pairs) / 6
    mean = assignments.mean(0).tolist()
    expected = (
        by_rows + 0.7 * by_columns + math.log(3) + sum(share * math.log(share) for share in mean)
    )
    assert float(contrasting().loss(assignments.log(), batch).detach()) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("far", [60.0, 200.0, 1000.0])
def test_a_prototype_far_from_all_is_compared_like_others(batch: Table, far: float) -> None:
    drawn = torch.randn(15, 3, generator=torch.Generator().manual_seed(0))
    rule = contrasting(weight=1000.0)  # that of columns
    losses: list[Tensor] = []
    gradients: list[Tensor] = []
    for shift in (20.0, far):
        logits = (drawn - torch.tensor([0.0, 0.0, shift])).requires_grad_()
        loss = rule.loss(logits, batch)
        losses.append(loss)
        gradients += torch.autograd.grad(loss, logits)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3)
    assert gradients[0].abs().max() > 1


def test_prototypes_and_embeddings_get_gradients(
    geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    rule = contrasting()
    rule(geometry, embeddings, geometry.place(embeddings), batch).backward()
    for given in (rule.prototypes, embeddings):
        assert given.grad is not None
        assert torch.isfinite(given.grad).all()
        assert given.grad.abs().sum() > 0


def test_order_of_the_batch_does_not_matter(batch: Table) -> None:
    logits = torch.randn(15, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    moved = batch[order]
    torch.testing.assert_close(
        contrasting().loss(logits[order], moved), contrasting().loss(logits, batch)
    )


@pytest.mark.parametrize("labels", [[0, 1, 0, 2], [0, 0, 0, 0], [0, 0, 0, 1]])
def test_views_of_different_classes_are_refused(labels: list[int]) -> None:
    batch = Table(torch.arange(4), torch.tensor(labels), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="found views of different classes"):
        by_view(torch.ones(4, 3), batch)
