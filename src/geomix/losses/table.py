"""Who the rows and the columns of a logits matrix are, and which of them belong together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geomix.errors import InputError

Pairs = tuple[Tensor, Tensor]  # rows and columns, as many of each


@dataclass(frozen=True)
class Table:
    """Who the rows or the columns of a logits matrix are: three int64 tensors of one length.

    Args:
        sample: Number of the embedding: a row and a column of the same number are the same
            embedding. Proxies and others that are no sample have numbers of their own, below 0 say.
        label: Class; where labels are hidden, the image.
        view: Which of the views (images) of its class or of its image; only the losses by views
            read it.

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


def equal_pairs(a: Tensor, b: Tensor) -> Pairs:
    """Give all (i, j) with a_i = b_j, i ascending, without an (N, M) comparison."""
    ordered, order = b.sort(stable=True)
    start, stop = torch.searchsorted(ordered, a), torch.searchsorted(ordered, a, right=True)
    counts = stop - start
    first = torch.arange(len(a), device=a.device).repeat_interleave(counts)
    within = torch.arange(len(first), device=a.device) - (counts.cumsum(0) - counts)[first]
    return first, order[start[first] + within]


def only_positives(same_class: Pairs, rows: Table, columns: Table) -> Pairs:
    """Give those pairs of a row and a column of one class that are of different views and samples."""
    first, second = same_class
    positive = (rows.view[first] != columns.view[second]) & (
        rows.sample[first] != columns.sample[second]
    )
    return first[positive], second[positive]
