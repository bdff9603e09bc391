"""The rule `bayesian`: BCL, which weighs negatives by their rank in the row."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from geomix.config.negatives import Bayesian
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Pairs, Table, equal_pairs
from geomix.losses.terms import BLOCK

MOST_BITS = 12  # of a key that name the column


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
            the columns. On the CPU in float32 this includes logits that differ by at most
            M / 2^30, or 2^-21, of the range of all logits.
        settings: alpha is how well the encoder tells true negatives from false ones, 0.5 for not
            at all; beta is the share of hard negatives; tau_plus is the probability that a negative
            has the anchor's class. At beta 0.5 and tau_plus 0 this is uniform.

    Cost:
        A sort of each row.

    Source:
        BCL, its released code. That adds 1e-3 to a and to the denominator; the root here,
        2u / (b + sqrt(b^2 + 4au)), does not need it.
    """
    same_class = equal_pairs(rows.label, columns.label)
    counts = logits.shape[1] - torch.bincount(same_class[0], minlength=len(rows))
    sizes, which = counts.clamp_min(1).unique(return_inverse=True)
    ranks = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)
    table = _weigh_ranks((ranks / sizes.unsqueeze(1)).clamp_max(1), settings).log()
    by_rank = table.expand(len(rows), -1) if len(sizes) == 1 else table[which]
    log_weights = _spread(by_rank, logits, same_class)
    log_weights[same_class] = 0
    return log_weights


def _weigh_ranks(shares: Tensor, settings: Bayesian) -> Tensor:
    """Return the weights of the ranks u."""
    alpha, beta, tau_plus = settings.alpha, settings.beta, settings.tau_plus
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus)
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    v = 2 * shares / (b + (b * b + 4 * a * shares).clamp_min(0).sqrt())
    f1, f2 = 2 * (1 - v).clamp_min(0), 2 * v
    hard = alpha * (1 - beta) * f1 + (1 - alpha) * beta * f2
    hard = hard / (alpha * (1 - beta) + (1 - alpha) * beta)
    true = tau_minus * (alpha * f1 + (1 - alpha) * f2)
    return hard / (true + tau_plus * ((1 - alpha) * f1 + alpha * f2))


def _spread(by_rank: Tensor, logits: Tensor, last: Pairs) -> Tensor:
    """Return for each column of a row the value of `by_rank` at the column's rank.

    Ranks are places in ascending order of the row's logits; the pairs come last. On the CPU a
    float32 becomes an integer of 32 bits, its place in the range of all above and its column below,
    as these sort six times as fast as torch's argsort. All steps share one (N, M), as fresh memory
    costs more than they do.
    """
    count = logits.shape[1]
    bits = (count - 1).bit_length()
    if logits.device.type != "cpu" or logits.dtype != torch.float32 or bits > MOST_BITS:
        spread = logits.clone()
        spread[last] = torch.inf
        orders = (part.argsort(dim=1, stable=True) for part in spread.split(BLOCK))
    else:
        low, high = (float(bound) for bound in logits.aminmax())
        scale = (2.0 ** min(23, 32 - bits) - 8) / max(high - low, 1e-20)
        if abs(low) > high - low:  # products would be rounded to more than ones
            logits, low = logits - low, 0.0
        # From 2^23 to 2^24 the bits of a float count by ones.
        spread = torch.add(2.0**23 + 4 - low * scale, logits, alpha=scale)
        keys = spread.view(torch.int32)
        torch.add(torch.arange(count, dtype=torch.int32), keys, alpha=1 << bits, out=keys)
        keys[last] = last[1].int() - (1 << bits)
        keys.numpy().view(np.uint32).sort(1)
        orders = (part.bitwise_and_((1 << bits) - 1).long() for part in keys.split(BLOCK))
    for order, of_rank, into in zip(orders, by_rank.split(BLOCK), spread.split(BLOCK), strict=True):
        into.scatter_(1, order, of_rank)
    return spread


def build(settings: Bayesian, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return weighted(partial(bayesian_weights, settings=settings))
