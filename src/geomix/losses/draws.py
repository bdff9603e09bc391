"""Draw columns for terms: by weights, or all alike."""

import numpy as np
import torch
from torch import Tensor

from geomix.losses.table import Pairs, Table


class Urn:
    """Columns to draw for terms, all alike and with replacement.

    A term draws from the views of its row and of its positive.
    """

    def __init__(self, rows: Table, columns: Table, allowed: Tensor | None = None) -> None:
        """Find where views start and end.

        Args:
            rows: The anchors, N.
            columns: What they are compared with, M.
            allowed: Booleans (N, M): only these are drawn; None for all.
        """
        self.order = columns.view.argsort(stable=True)
        ordered, self.width = columns.view[self.order], len(columns)
        views, numbers = torch.cat([rows.view, columns.view]).unique(return_inverse=True)
        self.of_row, self.of_column = numbers.split([len(rows), self.width])
        before = torch.arange(len(rows) + 1, device=self.order.device).unsqueeze(1) * self.width
        bounds = (before + torch.searchsorted(ordered, views)).flatten()
        bounds = bounds[: len(rows) * len(views) + 1]
        self.places: Tensor | None = None  # in the flat matrix, columns by view
        if allowed is not None:
            in_order = torch.equal(columns.view, ordered)
            self.places = _places(allowed if in_order else allowed[:, self.order])
            bounds = torch.searchsorted(self.places, bounds)
        # Where a row's view starts and ends.
        self.bounds = torch.stack([bounds[:-1], bounds[1:]]).view(2, len(rows), len(views))

    def find(self, row: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        """Return where both views of each term start, and their sizes, (2, T) each.

        Args:
            row: The rows of the terms, (T,).
            positive: The columns of their positives, (T,).
        """
        start, end = self.bounds[:, row, torch.stack([self.of_row[row], self.of_column[positive]])]
        return start, end - start

    def draw(self, row: Tensor, positive: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Draw columns for such terms, (T, count), int64; any column where none is allowed."""
        start, sizes = (found.unsqueeze(2) for found in self.find(row, positive))
        share = torch.rand(len(row), count, generator=generator).to(row.device)
        place = (share * sizes.sum(0)).long().minimum(sizes.sum(0) - 1)
        place += torch.where(place < sizes[0], start[0], start[1] - sizes[0])
        if self.places is not None and len(self.places):
            place = self.places[place.clamp_(0, len(self.places) - 1)]
        return self.order[place % self.width]


def _places(mask: Tensor) -> Tensor:
    """Return where a mask is true, as places in its flat form, ascending."""
    flat = mask.reshape(-1)
    if mask.device.type != "cpu":
        return flat.nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(flat.numpy()))  # eight times as fast


def draw_negatives(
    weights: Tensor, rows: Table, columns: Table, pairs: Pairs, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a negative of each term by weights, from the views of the row and of the positive.

    Args:
        weights: (N, M), at least 0, and 0 in the columns of the row's own class.
        rows: The anchors, N.
        columns: What they are compared with, M.
        pairs: Row and column of each term's positive, (T,) each.
        generator: For the draws, on the CPU.

    Returns:
        Columns (T,), int64, and (T,) whether the term has any negative to draw.
    """
    row, positive = pairs
    order = columns.view.argsort(stable=True)
    by_view, views = columns.view[order], torch.stack([rows.view[row], columns.view[positive]])
    start = torch.searchsorted(by_view, views)
    end = torch.searchsorted(by_view, views, right=True)
    ordered = weights if torch.equal(order, order.sort().values) else weights[:, order]
    sums = weights.new_zeros(len(rows), len(columns) + 1)  # the weight before a column
    torch.cumsum(ordered, 1, out=sums[:, 1:])
    begin, finish = sums[row, start], sums[row, end]
    mass = finish - begin  # (2, T)
    drawn = torch.rand(len(row), generator=generator, dtype=weights.dtype).to(weights.device)
    drawn = drawn * mass.sum(0)
    which = (drawn >= mass[0]).long().unsqueeze(0)
    which = torch.where(mass[1:] > 0, which, 0)
    begin, finish, low, high = (
        both.gather(0, which).squeeze(0) for both in (begin, finish, start, end)
    )
    target = begin + drawn - torch.where(which.squeeze(0) == 1, mass[0], 0)
    target = torch.minimum(target, torch.nextafter(finish, begin)).maximum(begin)
    high = high - 1
    for _ in range(len(columns).bit_length()):
        # Bisect for the first column after which the sum is above the target.
        middle = (low + high) // 2
        above = sums[row, middle + 1] > target
        low = torch.where(above, low, torch.minimum(middle + 1, high))
        high = torch.where(above, middle, high)
    return order[high.clamp_min(0)], mass.sum(0) > 0
