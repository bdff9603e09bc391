"""The positive-unlabelled form: its definition, limits, refusals."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import PositiveUnlabelled
from geomix.geometry.geometry import Geometry
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.hard import hard
from geomix.negatives.positive_unlabelled import positive_unlabelled

Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]


@pytest.mark.parametrize("prior", [0.0, 0.1, 0.7])
def test_positive_unlabelled_equals_its_definition(
    logits: Tensor, pair: tuple[Table, Table], find_terms: Terms, prior: float
) -> None:
    found = find_terms(*pair)
    terms = []
    for r, p, unlike in found:
        mine = [math.exp(logits[row, column]) for row, column, _ in found if row == r]
        unlabelled = sum(math.exp(logits[r, q]) for q in unlike) / max(1, len(unlike))
        rest = max(0.0, (unlabelled - prior * sum(mine) / len(mine)) / (1 - prior))
        terms.append(math.log(1 + len(unlike) * rest / math.exp(logits[r, p])))
    assert float(positive_unlabelled(logits, *pair, prior=prior)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-10
    )


def test_a_prior_of_0_is_uniform(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    expected = pairwise_cross_entropy(logits, batch, batch)
    torch.testing.assert_close(positive_unlabelled(logits, batch, batch, prior=0), expected)


def test_of_two_views_positive_unlabelled_is_the_debiased_loss_with_0_for_its_floor(
    batch: Table,
) -> None:
    two = batch[torch.arange(10)]
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        positive_unlabelled(logits, two, two, prior=0.3),
        hard(logits, two, two, beta=0, tau_plus=0.3, lowest=-math.inf),
    )


def test_a_prior_of_1_is_refused() -> None:
    with pytest.raises(ValueError, match="prior"):
        PositiveUnlabelled(rule="positive_unlabelled", prior=1.0)
