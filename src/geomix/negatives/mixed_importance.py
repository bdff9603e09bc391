"""The rule `mixed_importance`: after UnReMix, weighs negatives by three kinds of importance."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import MixedImportance
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table


def mixed_importance_weights(
    logits: Tensor, rows: Table, columns: Table, *, settings: MixedImportance
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

    Cost:
        The uniform loss and its gradient once more, and about ten passes over (N, M).

    Source:
        After UnReMix (arXiv:2206.01197), of which only the idea is public here: anchor similarity,
        uncertainty from gradients and the mean distance to other negatives.
    """
    same_class = rows.label.unsqueeze(1) == columns.label
    negative = (~same_class).to(logits.dtype)
    counts = negative.sum(1, keepdim=True)

    def divide_by_mean(values: Tensor) -> Tensor:
        """Divide values of columns, (M,), by their mean over a row's negatives; 1 for 0."""
        means = (negative @ values).unsqueeze(1) / counts
        return torch.where(means > 0, values / means, 1)

    with torch.enable_grad():
        given = logits.detach().requires_grad_()
        gradient = torch.autograd.grad(pairwise_cross_entropy(given, rows, columns), given)[0]
    means = (logits * negative).sum(0) / negative.sum(0).clamp_min(1)
    similarity = logits.masked_fill(same_class, -torch.inf).softmax(1) * counts
    uncertainty = divide_by_mean((gradient * negative).norm(dim=0))
    distance = divide_by_mean(means.max() - means)
    rest = max(0.0, 1 - settings.similarity - settings.uncertainty - settings.distance)
    weights = (
        rest
        + settings.similarity * similarity
        + settings.uncertainty * uncertainty
        + settings.distance * distance
    )
    return weights.masked_fill(same_class, 1).log()


def build(settings: MixedImportance, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(mixed_importance_weights, settings=settings))
