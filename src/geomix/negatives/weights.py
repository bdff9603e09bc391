"""Rules that weigh each negative of a row by its logits. `weigh` makes a loss of them.

Each gives log-weights (N, M): minus infinity for a weight of 0, 0 in the columns of the row's own
class. No gradient flows through them. A row's negatives are all columns of other classes; s = tau *
logit is the similarity; where a row has several positives (more than two views), s_+ is their mean.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geomix.losses.losses import pairwise_cross_entropy
from geomix.losses.table import Table, equal_pairs, only_positives
from geomix.negatives.positives import positive_means

BLOCK = 64  # rows at a time: what a core's cache holds
MOST_BITS = 12  # of a key that name the column
Weights = Callable[[Tensor, Table, Table], Tensor]


def weigh(logits: Tensor, rows: Table, columns: Table, weights: Weights) -> Tensor:
    """Give `pairwise_cross_entropy` with negatives that count w times: sum w exp(l) in place of sum
    exp(l).

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        weights: From logits, rows and columns to log-weights (N, M), a new tensor each time.

    Returns:
        Scalar, mean over terms.
    """
    with torch.no_grad():
        log_weights = weights(logits.detach(), rows, columns)
    return pairwise_cross_entropy(logits, rows, columns, log_weights)


def ambiguous_weights(
    logits: Tensor, rows: Table, columns: Table, *, a: float, b: float, top: int | None, tau: float
) -> Tensor:
    r"""Prefer negatives about as similar as the positive: w = exp(-a (s_j - s_+ - b)^2) over the
    row's `top` most similar.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        a: Concentration, at least 0; at 0, with all negatives, this is uniform.
        b: How much more similar than the positive the preferred ones are.
        top: How many of the row's negatives count (all that equal the last one too); None for all.
        tau: Temperature of the logits.

    Cost:
        A partial sort of each row and about five passes over (N, M).

    Source:
        SimANS (arXiv:2210.11773), which samples 15 negatives by these weights; here all count, by
        their weights.
    """
    first, second = equal_pairs(rows.label, columns.label)
    means = positive_means(logits, only_positives((first, second), rows, columns)).unsqueeze(1)
    log_weights = (logits - (means + b / tau)).square_().mul_(-a * tau**2)
    if top is not None and top < logits.shape[1]:
        masked = logits.clone()
        masked[first, second] = torch.finfo(logits.dtype).min
        below = torch.lt(logits, _largest(masked, top), out=masked)
        log_weights.sub_(below, alpha=torch.finfo(logits.dtype).max)
    log_weights[first, second] = 0
    return log_weights


def _largest(values: Tensor, number: int) -> Tensor:
    """Give the number-th largest of each row, (N, 1); the values are left in another order."""
    if values.device.type != "cpu":
        return values.topk(number, 1).values[:, -1:]
    place = values.shape[1] - number
    values.numpy().partition(place, 1)  # ten times as fast as topk
    return values[:, place : place + 1].clone()


def bayesian_weights(
    logits: Tensor, rows: Table, columns: Table, *, alpha: float, beta: float, tau_plus: float
) -> Tensor:
    r"""Weigh by the posterior that a negative is a true and a hard one, from its rank in the row.

    With u its rank among the row's negatives, from the least similar, over their number, and tau_-
    = 1 - tau_plus:

        a = (1 - 2 alpha)(tau_- - tau_plus),  b = 2 (alpha tau_- + (1 - alpha) tau_plus),  a v^2 + b
        v = u f1 = 2 (1 - v),  f2 = 2 v
        w = [alpha (1 - beta) f1 + (1 - alpha) beta f2] / [alpha (1 - beta) + (1 - alpha) beta]
            / [tau_- (alpha f1 + (1 - alpha) f2) + tau_plus ((1 - alpha) f1 + alpha f2)]

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M. Equal logits of a row are ranked in the order of
            the columns; on the CPU in float32 those too that are M / 2^30, or 2^-21, of the range
            of all logits apart or less.
        alpha: How well the encoder tells true negatives from false ones, in (0, 1); 0.5 for not at
            all.
        beta: Share of hard negatives, in [0, 1]. At beta 0.5 and tau_plus 0 this is uniform.
        tau_plus: Probability that a negative has the anchor's class, in [0, 1).

    Cost:
        A sort of each row.

    Source:
        BCL, its released code. That adds 1e-3 to a and to the denominator; the root here, 2u / (b +
        sqrt(b^2 + 4au)), does not need it.
    """
    first, second = equal_pairs(rows.label, columns.label)
    counts = logits.shape[1] - torch.bincount(first, minlength=len(rows))
    sizes, which = counts.clamp_min(1).unique(return_inverse=True)
    ranks = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)
    table = _bayesian((ranks / sizes.unsqueeze(1)).clamp_max(1), alpha, beta, tau_plus).log()
    by_rank = table.expand(len(rows), -1) if len(sizes) == 1 else table[which]
    log_weights = _spread(by_rank, logits, first, second)
    log_weights[first, second] = 0
    return log_weights


def _bayesian(shares: Tensor, alpha: float, beta: float, tau_plus: float) -> Tensor:
    tau_minus = 1 - tau_plus
    a, b = (
        (1 - 2 * alpha) * (tau_minus - tau_plus),
        2 * (alpha * tau_minus + (1 - alpha) * tau_plus),
    )
    v = 2 * shares / (b + (b * b + 4 * a * shares).clamp_min(0).sqrt())
    f1, f2 = 2 * (1 - v).clamp_min(0), 2 * v
    hard = (alpha * (1 - beta) * f1 + (1 - alpha) * beta * f2) / (
        alpha * (1 - beta) + (1 - alpha) * beta
    )
    return hard / (
        tau_minus * (alpha * f1 + (1 - alpha) * f2) + tau_plus * ((1 - alpha) * f1 + alpha * f2)
    )


def _spread(by_rank: Tensor, logits: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Give each column of a row what stands in `by_rank` at its place in ascending order of the
    row's logits; the pairs last.

    On the CPU a float32 becomes an integer of 32 bits, its place in the range of all above and its
    column below, as these sort six times as fast as torch's argsort. All steps share one (N, M), as
    fresh memory costs more than they do.
    """
    count = logits.shape[1]
    bits = (count - 1).bit_length()
    if logits.device.type != "cpu" or logits.dtype != torch.float32 or bits > MOST_BITS:
        spread = logits.clone()
        spread[first, second] = torch.inf
        orders = (part.argsort(dim=1, stable=True) for part in spread.split(BLOCK))
    else:
        low, high = (float(bound) for bound in logits.aminmax())
        scale = (2.0 ** min(23, 32 - bits) - 8) / max(high - low, 1e-20)
        if abs(low) > high - low:  # products would be rounded to more than ones
            logits, low = logits - low, 0.0
        spread = torch.add(
            2.0**23 + 4 - low * scale, logits, alpha=scale
        )  # in 2^23 to 2^24 the bits of a float count by ones
        keys = spread.view(torch.int32)
        torch.add(torch.arange(count, dtype=torch.int32), keys, alpha=1 << bits, out=keys)
        keys[first, second] = second.int() - (1 << bits)
        keys.numpy().view(np.uint32).sort(1)
        orders = (part.bitwise_and_((1 << bits) - 1).long() for part in keys.split(BLOCK))
    for order, of_rank, into in zip(orders, by_rank.split(BLOCK), spread.split(BLOCK), strict=True):
        into.scatter_(1, order, of_rank)
    return spread


def mixed_importance_weights(
    logits: Tensor,
    rows: Table,
    columns: Table,
    *,
    similarity: float,
    uncertainty: float,
    distance: float,
    tau: float,
) -> Tensor:
    r"""Weigh by three kinds of importance: w = 1 + similarity (A - 1) + uncertainty (U - 1) +
    distance (D - 1).

    Each of A, U, D has mean 1 over the row's negatives. A is exp(l), the similarity to the anchor;
    U the norm of the uniform loss's gradient with respect to the column's logits, how much the
    batch still moves it; D by how much the column's mean similarity to the rows falls short of the
    most similar column's, its distance from other negatives.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        similarity: Share of A, at least 0; the three shares sum to 1 at most, and all at 0 are
            uniform.
        uncertainty: Share of U.
        distance: Share of D.
        tau: Temperature of the logits.

    Cost:
        The uniform loss and its gradient once more, and about ten passes over (N, M).

    Source:
        After UnReMix (arXiv:2206.01197), of which only the idea is public here: anchor similarity,
        uncertainty from gradients and the mean distance to other negatives.
    """
    first, second = equal_pairs(rows.label, columns.label)
    negative = torch.ones_like(logits)
    negative[first, second] = 0
    highest = (
        (logits.masked_fill(negative == 0, -torch.inf))
        .amax(1, keepdim=True)
        .clamp_min(torch.finfo(logits.dtype).min)
    )
    with torch.enable_grad():
        given = logits.detach().requires_grad_()
        gradient = torch.autograd.grad(pairwise_cross_entropy(given, rows, columns), given)[0]
    means = (logits * negative).sum(0) * tau / negative.sum(0).clamp_min(1)
    kinds = [
        (similarity, (logits - highest).clamp_max_(0).exp_()),
        (uncertainty, (gradient * negative).norm(dim=0).expand_as(logits)),
        (distance, (means.max() - means).expand_as(logits)),
    ]
    weights = torch.full_like(logits, 1 - similarity - uncertainty - distance).clamp_min_(0)
    counts = negative.sum(1, keepdim=True)
    for share, values in kinds:
        total = (values * negative).sum(1, keepdim=True)
        weights += share * torch.where(
            total > 0, values * counts / total.clamp_min(torch.finfo(values.dtype).tiny), 1
        )
    weights[first, second] = 1
    return weights.log()


def limited_weights(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    """Keep a number of random negatives of each row, with weight 1, and drop the others.

    Columns are put in one random order, as a ring; a row keeps the first negatives from a random
    place on. So each set of negatives is as likely for a row as any other.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        count: Of the negatives that a term keeps: of two views exactly; of V views on average, as
            count * V / 2 of the row's are kept. At least 1; with as many as there are this is
            uniform.
        generator: Of the draws, on the CPU.

    Cost:
        One (N, M) tensor and (N, count) draws.

    Source:
        Ash et al. (arXiv:2106.09943), who study the number.
    """
    columns_of_class = torch.bincount(
        equal_pairs(rows.label, columns.label)[0], minlength=len(rows)
    )
    kept = -(-count * len(columns.view.unique()) // 2)
    ring = torch.randperm(len(columns), generator=generator)
    start = torch.randint(len(columns), (len(rows), 1), generator=generator)
    length = min(len(columns), kept + int(columns_of_class.max()))
    chosen = ring[(start + torch.arange(length)) % len(columns)].to(logits.device)
    negative = columns.label[chosen] != rows.label.unsqueeze(1)
    drawn = torch.where(negative & (negative.cumsum(1) <= kept), 0, -torch.inf).to(logits.dtype)
    log_weights = torch.full_like(logits, -torch.inf).scatter_(1, chosen, drawn)
    log_weights[equal_pairs(rows.label, columns.label)] = 0
    return log_weights


def weighting(
    weights: Callable[..., Tensor], **settings: Any
) -> Callable[[Tensor, Table, Table], Tensor]:
    """Make a loss of a rule above and its settings."""
    return partial(weigh, weights=partial(weights, **settings))
