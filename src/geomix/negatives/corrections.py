"""Rules that weigh negatives and correct for those of the anchor's class. Gradients flow through all of it."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.errors import InputError
from geomix.losses.losses import DROPPED, Terms, collect_terms
from geomix.losses.table import Table


def hard(
    logits: Tensor,
    rows: Table,
    columns: Table,
    *,
    beta: float,
    tau_plus: float = 0.0,
    lowest: float = -math.inf,
) -> Tensor:
    r"""Weigh each negative by its own hardness: HCL over the terms of `pairwise_cross_entropy`.

    With l_q the logits of a term's N negatives, l_p its positive's, and w_q = exp(beta * l_q):

        Ng = max( ( sum w_q exp(l_q) / mean(w_q) - tau_plus N exp(l_p) ) / (1 - tau_plus),  N
        exp(lowest) ) term = -log  exp l_p / (exp l_p + Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        beta: Concentration, at least 0; at 0 this is the debiased loss.
        tau_plus: Probability that a negative has the anchor's class, in [0, 1); 0 with labels. With
            beta 0 and tau_plus 0 this is `pairwise_cross_entropy`.
        lowest: The lowest logit that the geometry can give (`Geometry.lowest_logit`); -1 / tau for
            the cosine.

    Returns:
        Scalar, mean over terms. The gradient flows through the weights.

    Raises:
        InputError: On other shapes or ranges, or where no row has a positive.

    Cost:
        A second sum of exponentials; none at beta 0.

    Source:
        Robinson et al. 2021 (arXiv:2010.04592), and its released code for the floor.
    """
    if not 0 <= beta < math.inf or not 0 <= tau_plus < 1:
        raise InputError(
            f"hard: found beta {beta} and tau_plus {tau_plus}, expected beta >= 0 and 0 <= tau_plus < 1"
        )
    terms = collect_terms(logits, rows, columns, (beta, 1 + beta) if beta else (1.0,))
    log_counts = _log_counts(terms, logits.dtype)
    sums = (
        terms.negatives[1] - terms.negatives[0] + log_counts if beta else terms.negatives[0]
    )  # log sum w exp(l) / mean(w)
    corrected = _subtract(sums, log_counts + terms.positives, tau_plus)
    floor = (log_counts + lowest).clamp_min(torch.finfo(logits.dtype).min)
    return softplus(torch.maximum(corrected, floor) - terms.positives).mean()


def positive_unlabelled(logits: Tensor, rows: Table, columns: Table, *, prior: float) -> Tensor:
    r"""Take negatives for unlabelled samples, a share of which is positive.

    With N the number of a term's negatives, E_unl their mean of exp(l), and E_pos that of the row's
    positives:

        Ng = N max( (E_unl - prior E_pos) / (1 - prior), 0 );    term = -log  exp l_p / (exp l_p +
        Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        prior: Probability that an unlabelled sample is positive, in [0, 1); at 0 this is uniform.

    Returns:
        Scalar, mean over terms. Of two views this is the debiased loss with 0 for its floor.

    Raises:
        InputError: On other shapes or ranges, or where no row has a positive.

    Cost:
        Nothing over (N, M).

    Source:
        After PUCL (arXiv:2401.08690): the nearest known form.
    """
    if not 0 <= prior < 1:
        raise InputError(f"positive_unlabelled: found prior {prior}, expected one in [0, 1)")
    terms = collect_terms(logits, rows, columns)
    row, positives = terms.row, terms.positives
    highest = logits.new_full((len(rows),), -torch.inf).scatter_reduce(
        0, row, positives.detach(), "amax"
    )[row]
    total = logits.new_zeros(len(rows)).index_add(0, row, (positives - highest).exp())[row]
    mean = (
        total.log() + highest - torch.bincount(row, minlength=len(rows))[row].to(logits.dtype).log()
    )
    log_counts = _log_counts(terms, logits.dtype)
    corrected = _subtract(terms.negatives[0], log_counts + mean, prior).clamp_min(
        torch.finfo(logits.dtype).min / 2
    )
    return softplus(corrected - positives).mean()


def _log_counts(terms: Terms, dtype: torch.dtype) -> Tensor:
    """Give the logs of the numbers of negatives, (T,), far below any logit for 0."""
    return torch.where(terms.counts > 0, terms.counts.to(dtype).log(), torch.finfo(dtype).min / 4)


def _subtract(sums: Tensor, expected: Tensor, share: float) -> Tensor:
    """Give log( (exp(sums) - share * exp(expected)) / (1 - share) ), minus infinity where that is not positive."""
    part = share * (expected - sums).clamp_max(DROPPED).exp()
    left = part < 1
    return (
        sums
        + torch.where(left, torch.log1p(-torch.where(left, part, 0)), -torch.inf)
        - math.log1p(-share)
    )
