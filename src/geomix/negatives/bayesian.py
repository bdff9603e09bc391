"""The rule `bayesian`: BCL, which weighs negatives by their rank in the row."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import Bayesian
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Table


def bayesian_weights(logits: Tensor, rows: Table, columns: Table, *, settings: Bayesian) -> Tensor:
    r"""Return log-weights, (N, M), by the posterior that a negative is a true and a hard one.

    With u its rank among the row's negatives, from the least similar, over their number, and
    tau_- = 1 - tau_plus:

        a = (1 - 2 alpha)(tau_- - tau_plus)
        b = 2 (alpha tau_- + (1 - alpha) tau_plus)
        a v^2 + b v = u,  f1 = 2 (1 - v),  f2 = 2 v
        w = [alpha (1 - beta) f1 + (1 - alpha) beta f2] / [alpha (1 - beta) + (1 - alpha) beta]
            / [tau_- (alpha f1 + (1 - alpha) f2) + tau_plus ((1 - alpha) f1 + alpha f2)]

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M. Equal logits of a row are ranked in the order of
            the columns.
        settings: alpha is how well the encoder tells true negatives from false ones, 0.5 for not
            at all; beta is the share of hard negatives; tau_plus is the probability that a negative
            has the anchor's class. At beta 0.5 and tau_plus 0 this is uniform.

    Cost:
        A sort of each row.

    Source:
        BCL, its released code. That adds 1e-3 to a and to the denominator; the root here,
        2u / (b + sqrt(b^2 + 4au)), does not need it.
    """
    same_class = rows.label.unsqueeze(1) == columns.label
    order = logits.masked_fill(same_class, torch.inf).argsort(dim=1, stable=True)
    places = torch.arange(1, len(columns) + 1, dtype=logits.dtype, device=logits.device)
    # The inverse of the order; a second argsort takes longer.
    ranks = torch.empty_like(logits).scatter(1, order, places.expand_as(logits))
    shares = ranks / (~same_class).sum(1, keepdim=True)
    weights = _weigh_shares(shares.clamp_max(1), settings)
    return weights.log().masked_fill(same_class, 0)


def _weigh_shares(u: Tensor, settings: Bayesian) -> Tensor:
    alpha, beta, tau_plus = settings.alpha, settings.beta, settings.tau_plus
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus)
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    v = 2 * u / (b + (b * b + 4 * a * u).clamp_min(0).sqrt())
    f1 = 2 * (1 - v).clamp_min(0)
    f2 = 2 * v
    hard = alpha * (1 - beta) * f1 + (1 - alpha) * beta * f2
    hard = hard / (alpha * (1 - beta) + (1 - alpha) * beta)
    true = tau_minus * (alpha * f1 + (1 - alpha) * f2)
    false = tau_plus * ((1 - alpha) * f1 + alpha * f2)
    return hard / (true + false)


def build(settings: Bayesian, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(bayesian_weights, settings=settings))
