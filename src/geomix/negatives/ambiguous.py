"""The rule `ambiguous`: SimANS, which prefers negatives about as similar as the positive."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import Ambiguous
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Table
from geomix.losses.terms import positive_means


def ambiguous_weights(
    logits: Tensor, rows: Table, columns: Table, *, settings: Ambiguous, tau: float
) -> Tensor:
    r"""Return log-weights, (N, M), highest for negatives about as similar as the positive.

    With s = tau * logit the similarity and s_+ the mean over the row's positives:

        w = exp(-a (s_j - s_+ - b)^2)

    over the `top` most similar of the row's negatives, all columns of other classes, and 0 for the
    others; all over their mean over the row's negatives, so that only their shares count.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        settings: a is the concentration: at 0, with all negatives, this is uniform; b is how much
            more similar than the positive the preferred negatives are; top is how many of the
            row's negatives count (and all that equal the last one).
        tau: Temperature of the logits.

    Cost:
        The `top` largest of each row, and a few passes over (N, M).

    Source:
        SimANS (arXiv:2210.11773), which samples 15 negatives by these weights; here all count, by
        their shares of the weights.
    """
    same_class = rows.label.unsqueeze(1) == columns.label
    above = tau * (logits - positive_means(logits, rows, columns))
    log_weights = -settings.a * (above - settings.b) ** 2
    if settings.top is not None and settings.top < len(columns):
        negatives = logits.masked_fill(same_class, -torch.inf)
        last = negatives.topk(settings.top, 1).values[:, -1:]
        log_weights = log_weights.masked_fill(negatives < last, -torch.inf)
    shares = log_weights.masked_fill(same_class, -torch.inf).log_softmax(1)
    counts = (~same_class).sum(1, keepdim=True).to(logits.dtype)
    return (shares + counts.log()).masked_fill(same_class, 0)


def build(settings: Ambiguous, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(ambiguous_weights, settings=settings, tau=geometry.tau))
