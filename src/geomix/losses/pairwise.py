"""The pairwise cross-entropy of Hyp-ViT and HypMix, with weights or added negatives."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.losses.table import Table
from geomix.losses.terms import collect_terms


def pairwise_cross_entropy(
    logits: Tensor, rows: Table, columns: Table, log_weights: Tensor | None = None
) -> Tensor:
    r"""Tell the positive view of an anchor from the other classes, for every pair of views.

    For a row r of class a and view i, and a column p of the same class and another view j, with l
    the logits:

        term(r, p) = -log  exp l(r, p) / ( exp l(r, p) + sum over q of exp l(r, q) )

    where q are the columns of views i and j, of other classes.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M. Fastest where views follow each other: all of view
            0, all of view 1, ...
        log_weights: Those of the negatives, (N, M), without gradient: sum of w exp l in place of
            sum of exp l. Overwritten.

    Returns:
        Scalar, mean over terms. In a batch of C classes with n views each, n(n-1) times it is the
        released code's sum.

    Raises:
        ValueError: On other shapes, or where no row has a positive.

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


def cross_entropy_with_added(logits: Tensor, batch: Table, added: Tensor) -> Tensor:
    """Return `pairwise_cross_entropy` of a batch with itself and further negatives.

    Args:
        logits: (N, N).
        batch: Who rows and columns are.
        added: Log of what is added to the sum over the negatives of each row, (N,).
    """
    terms = collect_terms(logits, batch, batch)
    sums = torch.logaddexp(terms.negatives[0], added.index_select(0, terms.row))
    return softplus(sums - terms.positives).mean()
