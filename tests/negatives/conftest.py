"""Batches and columns from elsewhere, and the terms of the losses by views, one at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Sphere
from geomix.losses.table import Table
from tests.losses.conftest import COLUMNS, ROWS, five_classes

Found = list[tuple[int, int, list[int]]]
GEOMETRIES = {
    "cosine": Geometry([Sphere()], [1.0], 0.3),
    "ball": Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.6),
    "hybrid": Geometry([Sphere(), Ball(0.5, 0.4, 2.3)], [1.0, 0.7], 0.4),
}


@pytest.fixture
def batch() -> Table:
    """Return a batch of five classes in three views, each class once in a view."""
    return five_classes()


@pytest.fixture(params=["batch", "elsewhere"])
def pair(request: pytest.FixtureRequest, batch: Table) -> tuple[Table, Table]:
    """Return rows and columns: a batch with itself, and columns from elsewhere."""
    return (batch, batch) if request.param == "batch" else (ROWS, COLUMNS)


@pytest.fixture
def logits(pair: tuple[Table, Table]) -> Tensor:
    """Return logits of rows and columns, float64."""
    return torch.randn(
        len(pair[0]), len(pair[1]), generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )


@pytest.fixture
def embeddings(batch: Table) -> Tensor:
    """Return embeddings of the batch, float64, with a gradient."""
    drawn = torch.randn(
        len(batch), 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    return drawn.requires_grad_()


@pytest.fixture(params=GEOMETRIES)
def geometry(request: pytest.FixtureRequest) -> Geometry:
    """Return each geometry."""
    return GEOMETRIES[request.param]


@pytest.fixture
def find_terms() -> Callable[[Table, Table], Found]:
    """Return the terms by definition: row, column of the positive, columns of the negatives."""

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


def generator() -> torch.Generator:
    """Return a generator with the same seed each time."""
    return torch.Generator().manual_seed(1)


def positive_logits(logits: Tensor, rows: Table, columns: Table, r: int) -> list[float]:
    """Return the logits of a row's positives."""
    return [
        float(logits[r, p])
        for p in range(len(columns))
        if columns.label[p] == rows.label[r]
        and columns.view[p] != rows.view[r]
        and columns.sample[p] != rows.sample[r]
    ]


def weighted_loss(terms: Found, logits: Tensor, weights: Tensor) -> float:
    """Return the mean over terms of -log( exp l_p / (exp l_p + sum w exp l_q) )."""
    losses = []
    for r, p, unlike in terms:
        ratios = [float(weights[r, q]) * math.exp(logits[r, q] - logits[r, p]) for q in unlike]
        losses.append(math.log(1 + sum(ratios)))
    return sum(losses) / len(losses)


def loss_with_added(terms: Found, logits: Tensor, added: Callable[[int], float]) -> float:
    """Return the mean over terms of -log( exp l_p / (exp l_p + sum exp l_q + added) )."""
    losses = []
    for r, p, unlike in terms:
        negatives = sum(math.exp(logits[r, q]) for q in unlike) + added(r)
        losses.append(math.log(1 + negatives / math.exp(logits[r, p])))
    return sum(losses) / len(losses)
