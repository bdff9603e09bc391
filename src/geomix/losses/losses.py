"""Losses on logits (N, M), never on embeddings: each serves every geometry.

Two tables say who the rows and the columns are. Columns may be the batch itself, proxies,
centroids, or samples gathered from other processes. All losses are means, in nats. Call them
outside autocast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.errors import InputError
from geomix.losses.table import Table, equal_pairs, only_positives

DROPPED = 80.0  # terms this far below the largest of a sum, e^-80 of it, count as 0: in float32 they would underflow


def pairwise_cross_entropy(
    logits: Tensor, rows: Table, columns: Table, log_weights: Tensor | None = None
) -> Tensor:
    r"""Tell the positive view of an anchor from the other classes of the batch, for every pair of
    views.

    For a row r of class a and view i, and a column p of the same class and another view j, with l
    the logits:

        term(r, p) = -log  exp l(r, p) / ( exp l(r, p) + sum over columns q of views i and j, of
        other classes, of exp l(r, q) )

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M. Fastest where views follow each other: all of view
            0, all of view 1, ...
        log_weights: Of the negatives, (N, M), without gradient: sum of w exp l in place of exp l.
            Overwritten.

    Returns:
        Scalar, mean over terms. In a batch of C classes with n views each, n(n-1) times it is the
        released code's sum.

    Raises:
        InputError: On other shapes, or where no row has a positive.

    Accuracy:
        In float32 within 1e-6 * (1 + max |logit| + log M) nats of float64.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833); Yue et al. 2024 (arXiv:2404.15523). One logits
        matrix serves all pairs; the released code builds n(n-1) of them. It never meets a class
        twice in a view; where one does occur twice, its members are no negatives of each other
        here.
    """
    terms = collect_terms(logits, rows, columns, log_weights=log_weights)
    return softplus(terms.negatives[0] - terms.positives).mean()


def supervised_contrastive(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    r"""Tell every positive of an anchor from all other samples: all positives, all negatives, views
    ignored.

        loss(r) = mean over columns p of r's class, not r itself, of ( log sum_{q not r itself} exp
        l(r, q)  -  l(r, p) )

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.

    Returns:
        Scalar, mean over rows with a positive.

    Raises:
        InputError: On other shapes, or where no row has a positive.

    Accuracy:
        In float32 within 1e-6 * (1 + max |logit| + log M) nats of float64.

    Source:
        Khosla et al. 2020 (arXiv:2004.11362), eq. 2 (L_out).
    """
    _check(logits, rows, columns)
    itself = _mask(logits, *equal_pairs(rows.sample, columns.sample))
    first, second = equal_pairs(rows.label, columns.label)
    others = rows.sample[first] != columns.sample[second]
    first, second = first[others], second[others]
    if not len(first):
        return _no_positive("supervised_contrastive")
    sums, positives = _LogSums.apply(logits, itself, [logits.shape[1]], first, second, (1.0,))
    counts = torch.bincount(first, minlength=len(rows)).to(logits.dtype)
    means = logits.new_zeros(len(rows)).index_add(0, first, positives) / counts.clamp_min(1)
    return torch.where(counts > 0, sums.squeeze(1) - means, 0).sum() / (counts > 0).sum()


def proxy_anchor(logits: Tensor, rows: Table, columns: Table, *, margin: float) -> Tensor:
    r"""Pull the samples of a class to its proxy and push the others away, the hardest most.

        mean over proxies p with a sample in the rows of  log(1 + sum_{r of p's class} exp(margin -
        l(r, p))) + mean over all proxies p of  log(1 + sum_{r of other classes} exp(margin + l(r,
        p)))

    A logit of 0 parts near from far, as for the cosine. Where similarities are minus distances, and
    so never above 0, it pulls at any distance and pushes within the margin.

    Args:
        logits: Similarities over temperature, (N, M); 1 / temperature is the paper's alpha, 32.
        rows: The samples, N.
        columns: The proxies, M, one for each class.
        margin: In logits: the paper's, 0.1, over temperature.

    Returns:
        Scalar.

    Raises:
        InputError: On other shapes or proxies, or where no row has a proxy.

    Source:
        Kim et al. 2020 (arXiv:2003.13911), eq. 4.
    """
    _check(logits, rows, columns)
    if len(columns.label.unique()) != len(columns):
        raise InputError("proxy_anchor: found several proxies of a class, expected one for each")
    first, second = equal_pairs(columns.label, rows.label)  # proxy, sample
    if not len(first):
        return _no_positive("proxy_anchor")
    negatives, positives = _LogSums.apply(
        logits.T, _mask(logits.T, first, second), [len(rows)], first, second, (1.0,)
    )
    pulls = margin - positives
    present, group = first.unique(return_inverse=True)
    highest = pulls.new_full((len(present),), -torch.inf).scatter_reduce(
        0, group, pulls.detach(), "amax"
    )
    sums = pulls.new_zeros(len(present)).index_add(0, group, (pulls - highest[group]).exp())
    pull = softplus(sums.log() + highest).mean()
    return pull + softplus(negatives.clamp_min(torch.finfo(logits.dtype).min / 2) + margin).mean()


@dataclass(frozen=True)
class Terms:
    """The T terms of the losses by views, each of a row r and a positive p.

    Args:
        row: Of each term, (T,).
        positives: l(r, p), (T,).
        negatives: For each power b the log of the sum of exp(b * logit) over the term's negatives,
            (T,).
        counts: The number of its negatives, (T,), int64.
    """

    row: Tensor
    positives: Tensor
    negatives: list[Tensor]
    counts: Tensor


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
        InputError: On other shapes, logits that are not finite, or where no row has a positive.
    """
    _check(logits, rows, columns)
    if (columns.view.diff() < 0).any():
        order = columns.view.argsort(stable=True)
        logits, columns = (
            logits[:, order],
            Table(columns.sample[order], columns.label[order], columns.view[order]),
        )
        log_weights = None if log_weights is None else log_weights[:, order]
    views, position, sizes = columns.view.unique_consecutive(
        return_inverse=True, return_counts=True
    )
    first, second = equal_pairs(rows.label, columns.label)
    if log_weights is None:
        left_out = _mask(logits, first, second)
    else:
        left_out = log_weights
        left_out[first, second] = -torch.inf
    own = torch.searchsorted(views, rows.view).clamp_max(
        len(views) - 1
    )  # the row's view among the columns'
    absent = views[own] != rows.view
    unlike = sizes.repeat(len(rows), 1)
    unlike.view(-1).sub_(
        torch.bincount(first * len(views) + position[second], minlength=unlike.numel())
    )
    first, second = only_positives((first, second), rows, columns)
    if not len(first):
        return _no_positive("pairwise_cross_entropy")
    by_view, positives = _LogSums.apply(
        logits, left_out, sizes.tolist(), first, second, tuple(powers)
    )
    by_view = by_view.clamp_min(torch.finfo(logits.dtype).min / 2)  # a view without negatives
    sums = []
    for part in by_view.split(len(views), 1):
        mine = torch.where(
            absent[first], torch.finfo(logits.dtype).min / 2, part[first, own[first]]
        )
        sums.append(torch.logaddexp(mine, part[first, position[second]]))
    counts = (
        torch.where(absent[first], 0, unlike[first, own[first]]) + unlike[first, position[second]]
    )
    return Terms(first, positives, sums, counts)


def _mask(logits: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Give booleans of the shape of logits, true at the pairs."""
    mask = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    mask[first, second] = True
    return mask


class _LogSums(torch.autograd.Function):
    """Log of sums of exp(power * logit) over S stretches of columns, (N, S) for each power side by
    side, and some logits, (T,).

    What is left out of the sums, exactly, a mask says, or log-weights that are added; the pairs
    that name the logits must be distinct.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        left_out: Tensor,
        sizes: list[int],
        first: Tensor,
        second: Tensor,
        powers: Sequence[float],
    ) -> tuple[Tensor, Tensor]:
        """Sum; stretches are `sizes` columns long, pairs are (first, second). Keep each term's share for the gradient."""
        sums: list[list[Tensor]] = [[] for _ in powers]
        shares = []
        for part, without in zip(logits.split(sizes, 1), left_out.split(sizes, 1), strict=True):
            below = (
                part.masked_fill(without, -torch.inf)
                if without.dtype == torch.bool
                else without.add_(part)
            )
            highest = below.amax(1, keepdim=True)
            highest = torch.where(highest == -torch.inf, 0, highest)
            below.sub_(highest)
            for number, power in enumerate(powers):
                terms = below if number == len(powers) - 1 else below.clone()
                terms = terms if power == 1 else terms.mul_(power)
                terms = torch.threshold_(
                    terms, -DROPPED, -DROPPED
                ).exp_()  # exp of minus infinity takes ten times as long
                terms = torch.threshold_(terms, math.exp(-DROPPED) * (1 + 1e-6), 0)
                total = terms.sum(1, keepdim=True)
                sums[number].append(total.log() + (highest if power == 1 else highest * power))
                shares += [terms, total]
        ctx.save_for_backward(first, second, *shares)
        ctx.powers = powers
        picked = logits[first, second]
        if not (
            torch.isfinite(picked).all()
            and all(torch.isfinite(total).all() for total in shares[1::2])
        ):
            raise InputError("loss: found logits that are not finite, expected finite ones")
        return torch.cat([part for parts in sums for part in parts], 1), picked

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradient of the logits: power * share of the sum, and that of the pairs."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "loss: found a derivative to be differentiated again, expected first derivatives only"
            )
        first, second, *shares = ctx.saved_tensors
        tiny = torch.finfo(grads[0].dtype).tiny
        count = len(ctx.powers)
        by_power = [part.split(1, 1) for part in grads[0].split(grads[0].shape[1] // count, 1)]
        parts = []
        for stretch in range(len(by_power[0])):
            stored = shares[2 * count * stretch : 2 * count * (stretch + 1)]
            found: Tensor | None = None
            for power, grad, terms, total in zip(
                ctx.powers, by_power, stored[::2], stored[1::2], strict=True
            ):
                factor = power * grad[stretch] / total.clamp_min(tiny)
                found = terms * factor if found is None else found.addcmul_(terms, factor)
            parts.append(cast(Tensor, found))
        grad = torch.cat(parts, 1)
        grad[first, second] += grads[1]
        return grad, None, None, None, None, None


def _check(logits: Tensor, rows: Table, columns: Table) -> None:
    if logits.shape != (len(rows), len(columns)) or not logits.numel():
        sizes = f"({len(rows)}, {len(columns)})"
        raise InputError(
            f"loss: found logits {tuple(logits.shape)}, expected {sizes} of rows and columns, at least one of each"
        )


def _no_positive(loss: str) -> NoReturn:
    raise InputError(
        f"{loss}: found no row with a positive, expected at least one class with two samples or views"
    )
