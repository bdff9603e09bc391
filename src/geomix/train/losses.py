"""Losses on logits (N, M), never on embeddings: each serves every geometry.

Two tables say who the rows and the columns are. Columns may be the batch itself, proxies, centroids, or samples gathered
from other processes. All losses are means, in nats. Call them outside autocast.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.errors import InputError

DROPPED = 80.0  # terms this far below the largest of a sum, e^-80 of it, count as 0: in float32 they would underflow


@dataclass(frozen=True)
class Table:
    """Who the rows or the columns of a logits matrix are: three int64 tensors of one length.

    Args:
        sample: Number of the embedding: a row and a column of the same number are the same embedding. Proxies and others
            that are no sample have numbers of their own, below 0 say.
        label: Class; where labels are hidden, the image.
        view: Which of the views (images) of its class or of its image; only the losses by views read it.

    Raises:
        InputError: On other types or shapes.
    """

    sample: Tensor
    label: Tensor
    view: Tensor

    def __post_init__(self) -> None:
        for name in ("sample", "label", "view"):
            column = getattr(self, name)
            if column.dtype != torch.int64 or column.shape != (len(self.label),):
                found = f"{name} {tuple(column.shape)} {column.dtype} beside label {tuple(self.label.shape)}"
                raise InputError(f"table: found {found}, expected int64 (n,), all of one length")

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> "Table":
        """Give the same table on a device."""
        return Table(self.sample.to(device), self.label.to(device), self.view.to(device))


def pairwise_cross_entropy(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    r"""Tell the positive view of an anchor from the other classes of the batch, for every pair of views.

    For a row r of class a and view i, and a column p of the same class and another view j, with l the logits:

        term(r, p) = -log  exp l(r, p) / ( exp l(r, p) + sum over columns q of views i and j, of other classes, of exp l(r, q) )

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M. Fastest where views follow each other: all of view 0, all of view 1, ...

    Returns:
        Scalar, mean over terms. In a batch of C classes with n views each, n(n-1) times it is the released code's sum.

    Raises:
        InputError: On other shapes, or where no row has a positive.

    Accuracy:
        In float32 within 1e-6 * (1 + max |logit| + log M) nats of float64.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833); Yue et al. 2024 (arXiv:2404.15523). One logits matrix
        serves all pairs; the released code builds n(n-1) of them. It never meets a class twice in a view; where one does
        occur twice, its members are no negatives of each other here.
    """
    anchors, positives, negatives, _ = _by_views(logits, rows, columns, [1.0])
    return softplus(negatives[0] - positives).mean() if len(anchors) else _no_positive("pairwise_cross_entropy")


def hard_contrastive(
    logits: Tensor, rows: Table, columns: Table, *, beta: float, tau_plus: float = 0.0, lowest: float = -math.inf
) -> Tensor:
    r"""Weigh each negative by its own hardness: HCL over the terms of `pairwise_cross_entropy`.

    With l_q the logits of a term's N negatives, l_p its positive's, and w_q = exp(beta * l_q):

        Ng = max( ( sum w_q exp(l_q) / mean(w_q) - tau_plus N exp(l_p) ) / (1 - tau_plus),  N exp(lowest) )
        term = -log  exp l_p / (exp l_p + Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        beta: Concentration, at least 0; at 0 this is the debiased loss.
        tau_plus: Probability that a negative has the anchor's class, in [0, 1); 0 with labels. With beta 0 and tau_plus 0
            this is `pairwise_cross_entropy`.
        lowest: The lowest logit that the geometry can give (`Geometry.lowest_logit`); -1 / tau for the cosine.

    Returns:
        Scalar, mean over terms. The gradient flows through the weights.

    Raises:
        InputError: On other shapes or ranges, or where no row has a positive.

    Source:
        Robinson et al. 2021 (arXiv:2010.04592), and its released code for the floor.
    """
    if not 0 <= beta < math.inf or not 0 <= tau_plus < 1:
        raise InputError(f"hard_contrastive: found beta {beta} and tau_plus {tau_plus}, expected beta >= 0 and 0 <= tau_plus < 1")
    anchors, positives, (weighted, weights), counts = _by_views(logits, rows, columns, [1 + beta, beta])
    if not len(anchors):
        return _no_positive("hard_contrastive")
    log_counts = counts.to(logits.dtype).clamp_min(1e-30).log()
    sums = weighted - weights + log_counts  # log of sum w exp(l) / mean(w)
    share = tau_plus * (log_counts + positives - sums).clamp_max(DROPPED).exp()
    left = share < 1
    corrected = sums + torch.where(left, torch.log1p(-torch.where(left, share, 0)), -torch.inf) - math.log1p(-tau_plus)
    floor = (log_counts + lowest).clamp_min(torch.finfo(logits.dtype).min)
    return softplus(torch.maximum(corrected, floor) - positives).mean()


def supervised_contrastive(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    r"""Tell every positive of an anchor from all other samples: all positives, all negatives, views ignored.

        loss(r) = mean over columns p of r's class, not r itself, of ( log sum_{q not r itself} exp l(r, q)  -  l(r, p) )

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
    itself = _mask(logits, *_equal_pairs(rows.sample, columns.sample))
    first, second = _equal_pairs(rows.label, columns.label)
    others = rows.sample[first] != columns.sample[second]
    first, second = first[others], second[others]
    if not len(first):
        return _no_positive("supervised_contrastive")
    sums, positives = _LogSums.apply(logits, itself, [logits.shape[1]], first, second, 1.0)
    counts = torch.bincount(first, minlength=len(rows)).to(logits.dtype)
    means = logits.new_zeros(len(rows)).index_add(0, first, positives) / counts.clamp_min(1)
    return torch.where(counts > 0, sums.squeeze(1) - means, 0).sum() / (counts > 0).sum()


def proxy_anchor(logits: Tensor, rows: Table, columns: Table, *, margin: float) -> Tensor:
    r"""Pull the samples of a class to its proxy and push the others away, the hardest most.

        mean over proxies p with a sample in the rows of  log(1 + sum_{r of p's class} exp(margin - l(r, p)))
        + mean over all proxies p of  log(1 + sum_{r of other classes} exp(margin + l(r, p)))

    A logit of 0 parts near from far, as for the cosine. Where similarities are minus distances, and so never above 0, it
    pulls at any distance and pushes within the margin.

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
    first, second = _equal_pairs(columns.label, rows.label)  # proxy, sample
    if not len(first):
        return _no_positive("proxy_anchor")
    negatives, positives = _LogSums.apply(logits.T, _mask(logits.T, first, second), [len(rows)], first, second, 1.0)
    pulls = margin - positives
    present, group = first.unique(return_inverse=True)
    highest = pulls.new_full((len(present),), -torch.inf).scatter_reduce(0, group, pulls.detach(), "amax")
    sums = pulls.new_zeros(len(present)).index_add(0, group, (pulls - highest[group]).exp())
    pull = softplus(sums.log() + highest).mean()
    return pull + softplus(negatives.clamp_min(torch.finfo(logits.dtype).min / 2) + margin).mean()


def _by_views(logits: Tensor, rows: Table, columns: Table, powers: list[float]) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """Collect the terms of the losses by views.

    Returns:
        For each term, (T,): its row; its positive's logit; for each power b the log of the sum of exp(b * logit) over its
        negatives; and the number of its negatives.
    """
    _check(logits, rows, columns)
    if (columns.view.diff() < 0).any():
        order = columns.view.argsort(stable=True)
        logits, columns = logits[:, order], Table(columns.sample[order], columns.label[order], columns.view[order])
    views, position, sizes = columns.view.unique_consecutive(return_inverse=True, return_counts=True)
    first, second = _equal_pairs(rows.label, columns.label)
    same_class = _mask(logits, first, second)
    own = torch.searchsorted(views, rows.view).clamp_max(len(views) - 1)  # the row's view among the columns'
    absent = views[own] != rows.view
    positive = (rows.view[first] != columns.view[second]) & (rows.sample[first] != columns.sample[second])
    first, second = first[positive], second[positive]
    where = (first, own[first]), (first, position[second])
    sums = []
    positives = logits.new_empty(0)
    for power in powers:
        by_view, positives = _LogSums.apply(logits, same_class, sizes.tolist(), first, second, power)
        by_view = by_view.clamp_min(torch.finfo(logits.dtype).min / 2)  # a view without negatives
        mine = torch.where(absent[first], torch.finfo(logits.dtype).min / 2, by_view[where[0]])
        sums.append(torch.logaddexp(mine, by_view[where[1]]))
    unlike = torch.stack([(~part).sum(1) for part in same_class.split(sizes.tolist(), 1)], 1) if len(powers) > 1 else None
    counts = first.new_empty(0) if unlike is None else torch.where(absent[first], 0, unlike[where[0]]) + unlike[where[1]]
    return first, positives, sums, counts


def _equal_pairs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give all (i, j) with a_i = b_j, i ascending, without an (N, M) comparison."""
    ordered, order = b.sort(stable=True)
    start, stop = torch.searchsorted(ordered, a), torch.searchsorted(ordered, a, right=True)
    counts = stop - start
    first = torch.arange(len(a), device=a.device).repeat_interleave(counts)
    within = torch.arange(len(first), device=a.device) - (counts.cumsum(0) - counts)[first]
    return first, order[start[first] + within]


def _mask(logits: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Give booleans of the shape of logits, true at the pairs."""
    mask = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    mask[first, second] = True
    return mask


class _LogSums(torch.autograd.Function):
    """Log of sums of exp(power * logit) over stretches of columns, (N, S), and the logits of some pairs, (T,).

    Masked entries are left out, exactly; the pairs must be distinct.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, mask: Tensor, sizes: list[int], first: Tensor, second: Tensor, power: float
    ) -> tuple[Tensor, Tensor]:
        """Sum; stretches are `sizes` columns long, pairs are (first, second). Keep each term's share for the gradient."""
        sums, shares = [], []
        for part, left_out in zip(logits.split(sizes, 1), mask.split(sizes, 1), strict=True):
            terms = part.masked_fill(left_out, -torch.inf)
            if power != 1:
                terms = torch.where(left_out, -torch.inf, part * power)
            highest = terms.amax(1, keepdim=True)
            highest = torch.where(highest == -torch.inf, 0, highest)
            terms = torch.threshold_(terms.sub_(highest), -DROPPED, -torch.inf).exp_()
            total = terms.sum(1, keepdim=True)
            sums.append(total.log() + highest)
            shares += [terms, total]
        ctx.save_for_backward(first, second, *shares)
        ctx.power = power
        picked = logits[first, second]
        if not (torch.isfinite(picked).all() and all(torch.isfinite(total).all() for total in shares[1::2])):
            raise InputError("loss: found logits that are not finite, expected finite ones")
        return torch.cat(sums, 1), picked

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradient of the logits: power * share of the sum, and that of the pairs."""
        if torch.is_grad_enabled():
            raise RuntimeError("loss: found a derivative to be differentiated again, expected first derivatives only")
        first, second, *shares = ctx.saved_tensors
        tiny = torch.finfo(grads[0].dtype).tiny
        parts = zip(grads[0].split(1, 1), shares[::2], shares[1::2], strict=True)
        grad = torch.cat([terms * (ctx.power * grad / total.clamp_min(tiny)) for grad, terms, total in parts], 1)
        grad[first, second] += grads[1]
        return grad, None, None, None, None, None


def _check(logits: Tensor, rows: Table, columns: Table) -> None:
    if logits.shape != (len(rows), len(columns)) or not logits.numel():
        sizes = f"({len(rows)}, {len(columns)})"
        raise InputError(f"loss: found logits {tuple(logits.shape)}, expected {sizes} of rows and columns, at least one of each")


def _no_positive(loss: str) -> Tensor:
    raise InputError(f"{loss}: found no row with a positive, expected at least one class with two samples or views")
