"""The terms of the losses by views, each of a row and one of its positives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.losses.sums import DROPPED, LogSums, check_shape, mark_pairs
from geomix.losses.table import Table, equal_pairs, positive_pairs


@dataclass(frozen=True)
class Terms:
    """The T terms of the losses by views, each of a row r and a positive p.

    Args:
        row: The row of each term, (T,).
        positives: l(r, p), (T,).
        negatives: For each power b the log of the sum of exp(b * logit) over the term's negatives,
            (T,).
        counts: The number of its negatives, (T,), int64.
    """

    row: Tensor
    positives: Tensor
    negatives: list[Tensor]
    counts: Tensor

    @property
    def log_counts(self) -> Tensor:
        """Return the logs of the numbers of negatives, (T,), far below any logit for 0."""
        dtype = self.positives.dtype
        logs = self.counts.to(dtype).log()
        return torch.where(self.counts > 0, logs, torch.finfo(dtype).min / 4)


def collect_terms(
    logits: Tensor,
    rows: Table,
    columns: Table,
    powers: Sequence[float] = (1.0,),
    log_weights: Tensor | None = None,
) -> Terms:
    """Collect the terms of `pairwise_cross_entropy`; several powers cost little more than one.

    Args:
        logits: (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        powers: The b of the sums of exp(b * logit), positive.
        log_weights: Added to logits in the sums, (N, M), without gradient; minus infinity leaves a
            negative out of them, though not out of the counts. Overwritten.

    Raises:
        ValueError: On other shapes, or where no row has a positive.
        InputError: On logits that are not finite.
    """
    check_shape(logits, rows, columns)
    if (columns.view.diff() < 0).any():
        order = columns.view.argsort(stable=True)
        logits, columns = logits[:, order], columns[order]
        log_weights = None if log_weights is None else log_weights[:, order]
    views, position, sizes = columns.view.unique_consecutive(
        return_inverse=True, return_counts=True
    )
    first, second = equal_pairs(rows.label, columns.label)
    if log_weights is None:
        left_out = mark_pairs(logits, first, second)
    else:
        left_out = log_weights
        left_out[first, second] = -torch.inf
    # The row's view among those of the columns.
    mine = torch.searchsorted(views, rows.view).clamp_max(len(views) - 1)
    absent = views[mine] != rows.view
    unlike = sizes.repeat(len(rows), 1)
    unlike.view(-1).sub_(
        torch.bincount(first * len(views) + position[second], minlength=unlike.numel())
    )
    first, second = positive_pairs(rows, columns, (first, second))
    by_view, positives = LogSums.apply(
        logits, left_out, sizes.tolist(), first, second, tuple(powers)
    )
    nothing = torch.finfo(logits.dtype).min / 2
    by_view = by_view.clamp_min(nothing)  # a view without negatives
    absent, mine, other = absent[first], mine[first], position[second]
    sums = []
    for part in by_view.split(len(views), 1):
        in_mine = torch.where(absent, nothing, part[first, mine])
        sums.append(torch.logaddexp(in_mine, part[first, other]))
    counts = torch.where(absent, 0, unlike[first, mine]) + unlike[first, other]
    return Terms(first, positives, sums, counts)


def positive_means(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    """Return each row's mean logit over its positives, (N, 1); 0 without one."""
    first, second = positive_pairs(rows, columns)
    counts = torch.bincount(first, minlength=len(logits)).clamp_min(1)
    sums = logits.new_zeros(len(logits)).index_add(0, first, logits[first, second])
    return (sums / counts).unsqueeze(1)


def draw_negatives(
    log_weights: Tensor, rows: Table, columns: Table, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw negatives of each term by their weights, with replacement.

    Args:
        log_weights: (N, M), of any size, as only those of a term's negatives are compared; minus
            infinity for what is never drawn.
        rows: The anchors, N.
        columns: What they are compared with, M.
        count: How many are drawn for each term; terms are in the order of `positive_pairs`.
        generator: For the draws, on the CPU.

    Returns:
        Columns (T, count), int64, and (T,) whether the term has any negative to draw; where it has
        none, its columns have no meaning.
    """
    row, positive = positive_pairs(rows, columns)
    views = torch.stack([rows.view[row], columns.view[positive]]).unsqueeze(2)
    negative = (columns.view == views).any(0) & (columns.label != rows.label[row].unsqueeze(1))
    log_weights = log_weights[row].masked_fill(~negative, -torch.inf)  # (T, M)
    found = (log_weights > -torch.inf).any(1)
    shares = torch.where(found.unsqueeze(1), log_weights, 0).softmax(1)
    chosen = torch.multinomial(shares.cpu(), count, replacement=True, generator=generator)
    return chosen.to(shares.device), found


def subtract_share(sums: Tensor, expected: Tensor, share: float) -> Tensor:
    """Return log( (exp(sums) - share * exp(expected)) / (1 - share) ).

    It is minus infinity where that is not positive.
    """
    part = share * (expected - sums).clamp_max(DROPPED).exp()
    left = part < 1
    rest = torch.where(left, torch.log1p(-torch.where(left, part, 0)), -torch.inf)
    return sums + rest - math.log1p(-share)


def debiased_loss(terms: Terms, sums: Tensor, tau_plus: float, lowest: float) -> Tensor:
    """Return the mean over terms of -log( exp l_p / (exp l_p + Ng) ), a scalar.

    Ng = max( (exp(sum) - tau_plus N exp(l_p)) / (1 - tau_plus),  N exp(lowest) ), for N negatives.

    Args:
        terms: The positives l_p and the numbers of negatives.
        sums: Log of the sum over the negatives of each term, (T,).
        tau_plus: Probability that a negative has the anchor's class, in [0, 1).
        lowest: The lowest logit.
    """
    corrected = subtract_share(sums, terms.log_counts + terms.positives, tau_plus)
    floor = (terms.log_counts + lowest).clamp_min(torch.finfo(sums.dtype).min)
    return softplus(torch.maximum(corrected, floor) - terms.positives).mean()
