"""The supervised contrastive loss: all positives against all other samples, views ignored."""

import torch
from torch import Tensor

from geomix.losses.sums import LogSums, check_shape, mark_pairs
from geomix.losses.table import Table, equal_pairs, require_pairs


def supervised_contrastive(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    r"""Tell every positive of an anchor from all other samples.

        loss(r) = mean over p of ( log sum_{q not r itself} exp l(r, q)  -  l(r, p) )

    where p are the columns of r's class, not r itself.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.

    Returns:
        Scalar, mean over rows with a positive.

    Raises:
        ValueError: On other shapes, or where no row has a positive.

    Accuracy:
        In float32 within 1e-6 * (1 + max |logit| + log M) nats of float64.

    Source:
        Khosla et al. 2020 (arXiv:2004.11362), eq. 2 (L_out).
    """
    check_shape(logits, rows, columns)
    itself = mark_pairs(logits, *equal_pairs(rows.sample, columns.sample))
    first, second = equal_pairs(rows.label, columns.label)
    others = rows.sample[first] != columns.sample[second]
    first, second = require_pairs((first[others], second[others]))
    sums, positives = LogSums.apply(logits, itself, [logits.shape[1]], first, second, (1.0,))
    counts = torch.bincount(first, minlength=len(rows)).to(logits.dtype)
    means = logits.new_zeros(len(rows)).index_add(0, first, positives) / counts.clamp_min(1)
    return torch.where(counts > 0, sums.squeeze(1) - means, 0).sum() / (counts > 0).sum()
