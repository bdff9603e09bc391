"""The rule `ambiguous`: SimANS, which prefers negatives about as similar as the positive."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import Ambiguous
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Table, equal_pairs, only_positives
from geomix.losses.terms import positive_means


def ambiguous_weights(
    logits: Tensor, rows: Table, columns: Table, *, settings: Ambiguous, tau: float
) -> Tensor:
    r"""Return log-weights, (N, M), highest for negatives about as similar as the positive.

    With s = tau * logit the similarity and s_+ the mean over the row's positives:

        w = exp(-a (s_j - s_+ - b)^2)

    over the `top` most similar of the row's negatives, all columns of other classes; 0 for others.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        settings: a is the concentration: at 0, with all negatives, this is uniform; b is how much
            more similar than the positive the preferred negatives are; top is how many of the
            row's negatives count (and all that equal the last one).
        tau: Temperature of the logits.

    Cost:
        A partial sort of each row and about five passes over (N, M).

    Source:
        SimANS (arXiv:2210.11773), which samples 15 negatives by these weights; here all count, by
        their weights.
    """
    first, second = equal_pairs(rows.label, columns.label)
    means = positive_means(logits, only_positives((first, second), rows, columns)).unsqueeze(1)
    log_weights = (logits - (means + settings.b / tau)).square_().mul_(-settings.a * tau**2)
    if settings.top is not None and settings.top < logits.shape[1]:
        masked = logits.clone()
        masked[first, second] = torch.finfo(logits.dtype).min
        below = torch.lt(logits, _largest(masked, settings.top), out=masked)
        log_weights.sub_(below, alpha=torch.finfo(logits.dtype).max)
    log_weights[first, second] = 0
    return log_weights


def _largest(values: Tensor, number: int) -> Tensor:
    """Return the number-th largest of each row, (N, 1); the values are left in another order."""
    if values.device.type != "cpu":
        return values.topk(number, 1).values[:, -1:]
    place = values.shape[1] - number
    values.numpy().partition(place, 1)  # ten times as fast as topk
    return values[:, place : place + 1].clone()


def build(settings: Ambiguous, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(ambiguous_weights, settings=settings, tau=geometry.tau))
