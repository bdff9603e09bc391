"""Who the rows and the columns of a logits matrix are, and which of them belong together."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geomix.errors import InputError

Pairs = tuple[Tensor, Tensor]  # rows and columns, the same number of each


@dataclass(frozen=True)
class Table:
    """Who the rows or the columns of a logits matrix are: tensors of one length, n.

    Args:
        sample: Number of the embedding: a row and a column of the same number are the same
            embedding. Proxies and others that are no sample have numbers of their own, for example
            below 0.
        label: Class; where labels are hidden, the image.
        view: Which of the views (images) of its class or of its image; only the losses by views
            read it.
        path: Of samples in a tree the node at each level, coarse to fine, int64 (n, L); -1 below
            the sample's own node. A number stands for a whole path, see `data.lineages`.
        place: Of samples in a flat space their coordinates, float (n, k).

    Raises:
        ValueError: On other types or shapes.
    """

    sample: Tensor
    label: Tensor
    view: Tensor
    path: Tensor | None = None
    place: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("sample", "label", "view"):
            given = getattr(self, name)
            if given.dtype != torch.int64 or given.shape != (len(self.label),):
                found = f"{name} {tuple(given.shape)} {given.dtype}"
                raise ValueError(
                    f"table: found {found} beside label {tuple(self.label.shape)}, "
                    "expected int64 (n,), all of one length"
                )

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: Tensor) -> "Table":
        """Return the table of some entries, in the order of their numbers."""
        return self._each(lambda part: part[rows])

    def to(self, device: torch.device) -> "Table":
        """Return the same table on a device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Table":
        """Return the table with each of its tensors changed."""
        return Table(
            change(self.sample),
            change(self.label),
            change(self.view),
            None if self.path is None else change(self.path),
            None if self.place is None else change(self.place),
        )


def equal_pairs(a: Tensor, b: Tensor) -> Pairs:
    """Return all (i, j) with a_i = b_j, i ascending, without an (N, M) comparison."""
    ordered, order = b.sort(stable=True)
    start, stop = torch.searchsorted(ordered, a), torch.searchsorted(ordered, a, right=True)
    counts = stop - start
    first = torch.arange(len(a), device=a.device).repeat_interleave(counts)
    within = torch.arange(len(first), device=a.device) - (counts.cumsum(0) - counts)[first]
    return first, order[start[first] + within]


def positive_pairs(rows: Table, columns: Table, same_class: Pairs | None = None) -> Pairs:
    """Return the row and the column of each term's positive, (T,) each.

    A positive is a column of the row's class, of another view and another sample.

    Args:
        rows: The anchors, N.
        columns: What they are compared with, M.
        same_class: All pairs of one class, if the caller has them.

    Raises:
        ValueError: If there is none.
    """
    first, second = same_class or equal_pairs(rows.label, columns.label)
    other_view = rows.view[first] != columns.view[second]
    positive = other_view & (rows.sample[first] != columns.sample[second])
    return require_pairs((first[positive], second[positive]))


def require_pairs(pairs: Pairs) -> Pairs:
    """Return the pairs of a row and its positive.

    Raises:
        InputError: If there is none, as in a batch of a tree in which few samples have relatives.
    """
    if not len(pairs[0]):
        raise InputError(
            "loss: found no row with a positive, "
            "expected at least one class with two samples or views, or two relatives in a tree"
        )
    return pairs
