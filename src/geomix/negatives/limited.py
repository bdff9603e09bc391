"""The rule `limited`: a number of random negatives count, the others do not."""

import math
from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import Limited
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Table


def limited_weights(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    """Return log-weights, (N, M): 0 for random negatives of each row, minus infinity for others.

    Each set of a row's negatives is as likely as any other.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        count: How many negatives a term keeps, at least 1: with two views exactly; with V views on
            average, as count * V / 2 of the row's are kept. Where there are no more this is
            uniform.
        generator: For the draws, on the CPU.

    Cost:
        A random number for each logit, and the largest of each row.

    Source:
        Ash et al. (arXiv:2106.09943), who study the number.
    """
    same_class = rows.label.unsqueeze(1) == columns.label
    kept = math.ceil(count * len(columns.view.unique()) / 2)
    draws = torch.rand(logits.shape, generator=generator).to(logits.device)
    draws = draws.masked_fill(same_class, -1)  # last of all
    chosen = draws.topk(min(kept, len(columns)), 1).indices
    log_weights = torch.full_like(logits, -torch.inf).scatter(1, chosen, 0)
    return log_weights.masked_fill(same_class, 0)


def build(settings: Limited, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    generator = torch.Generator().manual_seed(seed)
    drawn = partial(limited_weights, count=settings.count, generator=generator)
    return weighted(drawn, generator)
