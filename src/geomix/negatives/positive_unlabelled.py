"""The rule `positive_unlabelled`: negatives are unlabelled, and a share of them is positive."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.config.negatives import PositiveUnlabelled
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.table import Table
from geomix.losses.terms import collect_terms, subtract_share


def positive_unlabelled(logits: Tensor, rows: Table, columns: Table, *, prior: float) -> Tensor:
    r"""Take negatives for unlabelled samples, a share of which is positive.

    With N the number of a term's negatives, E_unl their mean of exp(l), and E_pos that of the row's
    positives:

        Ng = N max( (E_unl - prior E_pos) / (1 - prior), 0 )
        term = -log  exp l_p / (exp l_p + Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        prior: Probability that an unlabelled sample is positive, in [0, 1); at 0 this is uniform.

    Returns:
        Scalar, mean over terms. With two views this is the debiased loss with 0 for its floor.

    Raises:
        ValueError: On other shapes, or where no row has a positive.

    Cost:
        Nothing over (N, M).

    Source:
        After PUCL (arXiv:2401.08690): the nearest known form.
    """
    terms = collect_terms(logits, rows, columns)
    row, positives = terms.row, terms.positives
    highest = logits.new_full((len(rows),), -torch.inf)
    highest = highest.scatter_reduce(0, row, positives.detach(), "amax")[row]
    total = logits.new_zeros(len(rows)).index_add(0, row, (positives - highest).exp())[row]
    counts = torch.bincount(row, minlength=len(rows))[row].to(logits.dtype)
    mean = total.log() + highest - counts.log()
    corrected = subtract_share(terms.negatives[0], terms.log_counts + mean, prior)
    corrected = corrected.clamp_min(torch.finfo(logits.dtype).min / 2)
    return softplus(corrected - positives).mean()


def build(
    settings: PositiveUnlabelled, geometry: Geometry, dimensions: int, seed: int
) -> BatchLoss:
    """Build the loss with this rule."""
    return OnLogits(partial(positive_unlabelled, prior=settings.prior))
