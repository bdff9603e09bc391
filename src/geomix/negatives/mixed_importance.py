"""The rule `mixed_importance`: after UnReMix, weighs negatives by three kinds of importance."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import MixedImportance
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table, equal_pairs


def mixed_importance_weights(
    logits: Tensor, rows: Table, columns: Table, *, settings: MixedImportance, tau: float
) -> Tensor:
    r"""Return log-weights, (N, M), of a mixture of three kinds of importance.

        w = 1 + similarity (A - 1) + uncertainty (U - 1) + distance (D - 1)

    Each of A, U, D has mean 1 over the row's negatives, all columns of other classes. A is exp(l),
    the similarity to the anchor; U the norm of the uniform loss's gradient with respect to the
    column's logits, how much the batch still moves it; D by how much the column's mean similarity
    to the rows falls short of the most similar column's, its distance from other negatives.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        settings: similarity, uncertainty and distance are the shares of A, U and D; all at 0 are
            uniform.
        tau: Temperature of the logits.

    Cost:
        The uniform loss and its gradient once more, and about ten passes over (N, M).

    Source:
        After UnReMix (arXiv:2206.01197), of which only the idea is public here: anchor similarity,
        uncertainty from gradients and the mean distance to other negatives.
    """
    same_class = equal_pairs(rows.label, columns.label)
    negative = torch.ones_like(logits)
    negative[same_class] = 0
    highest = logits.masked_fill(negative == 0, -torch.inf).amax(1, keepdim=True)
    highest = highest.clamp_min(torch.finfo(logits.dtype).min)
    with torch.enable_grad():
        given = logits.detach().requires_grad_()
        gradient = torch.autograd.grad(pairwise_cross_entropy(given, rows, columns), given)[0]
    means = (logits * negative).sum(0) * tau / negative.sum(0).clamp_min(1)
    kinds = [
        (settings.similarity, (logits - highest).clamp_max_(0).exp_()),
        (settings.uncertainty, (gradient * negative).norm(dim=0).expand_as(logits)),
        (settings.distance, (means.max() - means).expand_as(logits)),
    ]
    rest = 1 - settings.similarity - settings.uncertainty - settings.distance
    weights = torch.full_like(logits, rest).clamp_min_(0)
    counts = negative.sum(1, keepdim=True)
    for share, values in kinds:
        total = (values * negative).sum(1, keepdim=True)
        relative = values * counts / total.clamp_min(torch.finfo(values.dtype).tiny)
        weights += share * torch.where(total > 0, relative, 1)
    weights[same_class] = 1
    return weights.log()


def build(settings: MixedImportance, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(mixed_importance_weights, settings=settings, tau=geometry.tau))
