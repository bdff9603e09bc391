"""Batches and columns from elsewhere, and the terms of the losses by views, one at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Sphere
from geomix.geometry.tangent import Ball
from geomix.losses.table import Table

Found = list[tuple[int, int, list[int]]]


def table(labels: list[int], views: list[int], samples: list[int] | None = None) -> Table:
    return Table(
        *(torch.tensor(column) for column in (samples or list(range(len(labels))), labels, views))
    )


# Columns from elsewhere: views out of order, a class twice in a view, a view and a class that no
# row has.
ELSEWHERE = (
    table([0, 1, 2, 0, 1, 3], [0, 0, 1, 1, 2, 0]),
    table([1, 0, 0, 2, 1, 4, 0, 1], [1, 0, 1, 0, 0, 3, 1, 2], [9, 0, 8, 7, 1, 6, 3, 4]),
)
GEOMETRIES = {
    "cosine": Geometry([Sphere()], [1.0], 0.3),
    "ball": Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.6),
    "hybrid": Geometry([Sphere(), Ball(0.5, 0.4, 2.3)], [1.0, 0.7], 0.4),
}


@pytest.fixture
def batch() -> Table:
    """Give a batch of five classes in three views, each class once in a view."""
    return table([0, 1, 2, 3, 4, 1, 0, 2, 4, 3, 0, 1, 2, 3, 4], [0] * 5 + [1] * 5 + [2] * 5)


@pytest.fixture(params=["batch", "elsewhere"])
def pair(request: pytest.FixtureRequest, batch: Table) -> tuple[Table, Table]:
    """Give rows and columns: a batch with itself, and columns from elsewhere."""
    return (batch, batch) if request.param == "batch" else ELSEWHERE


@pytest.fixture
def logits(pair: tuple[Table, Table]) -> Tensor:
    """Give logits of rows and columns, float64."""
    return torch.randn(
        len(pair[0]), len(pair[1]), generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )


@pytest.fixture
def embeddings(batch: Table) -> Tensor:
    """Give embeddings of the batch, float64, with a gradient."""
    drawn = torch.randn(
        len(batch), 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    return drawn.requires_grad_()


@pytest.fixture(params=GEOMETRIES)
def geometry(request: pytest.FixtureRequest) -> Geometry:
    """Give each geometry."""
    return GEOMETRIES[request.param]


@pytest.fixture
def find_terms() -> Callable[[Table, Table], Found]:
    """Give the terms by definition: row, column of the positive, columns of the negatives."""

    def find(rows: Table, columns: Table) -> Found:
        found = []
        for r in range(len(rows)):
            for p in range(len(columns)):
                if (
                    rows.label[r] != columns.label[p]
                    or rows.view[r] == columns.view[p]
                    or rows.sample[r] == columns.sample[p]
                ):
                    continue
                views = (rows.view[r], columns.view[p])
                unlike = [
                    q
                    for q in range(len(columns))
                    if columns.label[q] != rows.label[r] and columns.view[q] in views
                ]
                found.append((r, p, unlike))
        return found

    return find
