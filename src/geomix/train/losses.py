"""Losses on logits, never on embeddings: each serves every geometry."""

import torch
from torch import Tensor

from geomix.errors import InputError


def pairwise_cross_entropy(logits: Tensor, classes: int, views: int) -> Tensor:
    r"""Tell the positive view of an anchor from the other classes of the batch, for every pair of views.

    For views i != j and class a, with l the logits, (class a, view i) being row a*n + i:

        term(i, j, a) = -log  exp l(a i, a j) / ( sum_b exp l(a i, b j) + sum_{b != a} exp l(a i, b i) )

    Args:
        logits: Similarities over temperature, shape `(C*n, C*n)`, rows and columns ordered class-major.
        classes: C, classes in the batch, at least 2.
        views: n, images per class, at least 2.

    Returns:
        Scalar, mean over terms, in nats. Multiply by n(n-1) for the released code's sum.

    Raises:
        InputError: On other shapes or sizes; the message has what was expected and what came.

    Accuracy:
        In float32 within 1e-6 * (1 + max |logit| + log 2C) nats of float64. Call it outside autocast.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833); Yue et al. 2024 (arXiv:2404.15523). One logits matrix
        serves all pairs; the released code builds n(n-1) of them.
    """
    if classes < 2 or views < 2:
        raise InputError(f"pairwise_cross_entropy: found {classes} classes and {views} views, expected at least 2 of each")
    if logits.shape != (classes * views, classes * views):
        raise InputError(f"pairwise_cross_entropy: found logits {tuple(logits.shape)}, expected {(classes * views,) * 2}")
    blocks = logits.view(classes, views, classes, views)  # (a, i, b, j)
    all_classes = blocks.logsumexp(2)  # (a, i, j): all b, in view j
    same_view = blocks.diagonal(dim1=1, dim2=3)  # (a, b, i)
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device).unsqueeze(-1)
    other_classes = same_view.masked_fill(itself, -torch.inf).logsumexp(1)  # (a, i): b != a, in view i
    positives = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (a, i, j)
    terms = torch.logaddexp(all_classes, other_classes.unsqueeze(-1)) - positives
    different = ~torch.eye(views, dtype=torch.bool, device=logits.device)
    return terms[:, different].mean()
