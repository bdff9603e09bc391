"""Tables and logits that several tests use."""

import pytest
import torch
from torch import Tensor

from geomix.losses.table import Table


def table(labels: list[int], views: list[int], samples: list[int] | None = None) -> Table:
    return Table(
        *(torch.tensor(column) for column in (samples or list(range(len(labels))), labels, views))
    )


def class_major(classes: int, views: int) -> Table:
    return table([a for a in range(classes) for _ in range(views)], list(range(views)) * classes)


def random_logits(rows: int, columns: int, scale: float = 2.0) -> Tensor:
    return (
        torch.randn(rows, columns, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        * scale
    )


# Columns from elsewhere: views out of order, a class twice in a view, a view and a class that no
# row has.
ROWS = table([0, 1, 2, 0, 1, 3], [0, 0, 1, 1, 2, 0])
COLUMNS = table([1, 0, 0, 2, 1, 4, 0, 1], [1, 0, 1, 0, 0, 3, 1, 2], [9, 0, 8, 7, 1, 6, 3, 4])


def five_classes() -> Table:
    """Return a batch of five classes in three views, each class once in a view."""
    return table([0, 1, 2, 3, 4, 1, 0, 2, 4, 3, 0, 1, 2, 3, 4], [0] * 5 + [1] * 5 + [2] * 5)


@pytest.fixture(params=["batch", "elsewhere"])
def pair(request: pytest.FixtureRequest) -> tuple[Table, Table]:
    """Return rows and columns: a batch with itself, and columns from elsewhere."""
    batch = five_classes()
    return (batch, batch) if request.param == "batch" else (ROWS, COLUMNS)
