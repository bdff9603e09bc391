"""The rule `limited`: a number of random negatives count, the others do not."""

from functools import partial

import torch
from torch import Tensor

from geomix.config.negatives import Limited
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, weighted
from geomix.losses.table import Table, equal_pairs


def limited_weights(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    """Return log-weights, (N, M): 0 for random negatives of each row, minus infinity for others.

    Columns are put in one random order, as a ring; a row keeps the first negatives from a random
    place on. So each set of negatives is as likely for a row as any other.

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M.
        count: How many negatives a term keeps, at least 1: with two views exactly; with V views on
            average, as count * V / 2 of the row's are kept. Where there are no more this is
            uniform.
        generator: For the draws, on the CPU.

    Cost:
        One (N, M) tensor and (N, count) draws.

    Source:
        Ash et al. (arXiv:2106.09943), who study the number.
    """
    same_class = equal_pairs(rows.label, columns.label)
    columns_of_class = torch.bincount(same_class[0], minlength=len(rows))
    kept = -(-count * len(columns.view.unique()) // 2)
    ring = torch.randperm(len(columns), generator=generator)
    start = torch.randint(len(columns), (len(rows), 1), generator=generator)
    length = min(len(columns), kept + int(columns_of_class.max()))
    chosen = ring[(start + torch.arange(length)) % len(columns)].to(logits.device)
    negative = columns.label[chosen] != rows.label.unsqueeze(1)
    drawn = torch.where(negative & (negative.cumsum(1) <= kept), 0, -torch.inf).to(logits.dtype)
    log_weights = torch.full_like(logits, -torch.inf).scatter_(1, chosen, drawn)
    log_weights[same_class] = 0
    return log_weights


def build(settings: Limited, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    generator = torch.Generator().manual_seed(seed)
    return weighted(partial(limited_weights, count=settings.count, generator=generator))
