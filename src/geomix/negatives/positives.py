"""Which pairs of a row and a column are positives."""

import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.losses.table import Pairs, Table, equal_pairs, only_positives


def positive_means(logits: Tensor, positives: Pairs) -> Tensor:
    """Give each row's mean logit over its positives, (N,); 0 without one."""
    first, second = positives
    counts = torch.bincount(first, minlength=len(logits)).clamp_min(1)
    return logits.new_zeros(len(logits)).index_add(0, first, logits[first, second]) / counts


def positive_pairs(rows: Table, columns: Table, same_class: Pairs | None = None) -> Pairs:
    """Give row and column of each term's positive, (T,) each: of one class, in different views.

    Args:
        rows: The anchors, N.
        columns: What they are compared with, M.
        same_class: All pairs of one class, if they are known.

    Raises:
        InputError: If there is none.
    """
    found = only_positives(same_class or equal_pairs(rows.label, columns.label), rows, columns)
    if not len(found[0]):
        raise InputError(
            "negatives: found no row with a positive, expected at least one class with two samples or views"
        )
    return found
