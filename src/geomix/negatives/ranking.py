"""The rule `ranking`: after GraphRank, ranks the positive above drawn negatives, pair by pair."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.config.negatives import Ranking
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.draws import Urn
from geomix.losses.table import Table, positive_pairs


def ranking(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    r"""Rank the positive above drawn negatives: mean over draws q of -log sigmoid(l_p - l_q).

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        count: Columns drawn for each term from the views of the row and of the positive, all alike,
            with replacement; those of the row's own class are passed over.
        generator: For the draws, on the CPU.

    Returns:
        Scalar, mean over terms; 0 for a term without a negative among its draws.

    Raises:
        ValueError: Where no row has a positive.

    Cost:
        A few passes over the draws, (T, count), and none over (N, M) but the gradient.

    Source:
        After GraphRank (arXiv:2310.14525): a stand-in for its idea.
    """
    row, positive = positive_pairs(rows, columns)
    chosen = Urn(rows, columns).draw(row, positive, count, generator)
    negative = (columns.label[chosen] != rows.label[row].unsqueeze(1)).to(logits.dtype)
    flat, start = logits.reshape(-1), row * len(columns)
    gaps = flat[start.unsqueeze(1) + chosen] - flat[start + positive].unsqueeze(1)
    terms = softplus(gaps) * negative
    return (terms.sum(1) / negative.sum(1).clamp_min(1)).mean()


def build(settings: Ranking, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    generator = torch.Generator().manual_seed(seed)
    return OnLogits(partial(ranking, count=settings.count, generator=generator))
