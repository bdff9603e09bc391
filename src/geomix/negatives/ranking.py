"""The rule `ranking`: after GraphRank, ranks the positive above drawn negatives, pair by pair."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.config.negatives import Ranking
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.table import Table, positive_pairs
from geomix.losses.terms import draw_negatives


def ranking(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    r"""Rank the positive above drawn negatives: mean over draws q of -log sigmoid(l_p - l_q).

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        count: Negatives drawn for each term, all alike, with replacement.
        generator: For the draws, on the CPU.

    Returns:
        Scalar, mean over terms; 0 for a term without a negative.

    Raises:
        ValueError: Where no row has a positive.

    Cost:
        A few passes over terms and columns, (T, M).

    Source:
        After GraphRank (arXiv:2310.14525): a stand-in for its idea.
    """
    row, positive = positive_pairs(rows, columns)
    chosen, found = draw_negatives(torch.zeros_like(logits), rows, columns, count, generator)
    gaps = logits[row].gather(1, chosen) - logits[row, positive].unsqueeze(1)
    return torch.where(found, softplus(gaps).mean(1), 0).mean()


def build(settings: Ranking, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    generator = torch.Generator().manual_seed(seed)
    return OnLogits(partial(ranking, count=settings.count, generator=generator), generator)
