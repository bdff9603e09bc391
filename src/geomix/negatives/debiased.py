"""The rule `debiased`: corrects the sum of negatives for those of the anchor's class."""

import math

from torch import Tensor

from geomix.config.negatives import Debiased
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.table import Table
from geomix.losses.terms import collect_terms, debiased_loss


def debiased(
    logits: Tensor, rows: Table, columns: Table, *, tau_plus: float, lowest: float = -math.inf
) -> Tensor:
    r"""Subtract from a term's negatives those that are expected to have the anchor's class.

    With l_q the logits of a term's N negatives and l_p its positive's:

        Ng = max( (sum_q exp(l_q) - tau_plus N exp(l_p)) / (1 - tau_plus),  N exp(lowest) )
        term = -log  exp l_p / (exp l_p + Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        tau_plus: Probability that a negative has the anchor's class, in [0, 1); 0 with labels. At 0
            this is `pairwise_cross_entropy`.
        lowest: The lowest logit that the geometry allows (`Geometry.lowest_logit`); -1 / tau for
            the cosine.

    Returns:
        Scalar, mean over terms.

    Raises:
        ValueError: On other shapes, or where no row has a positive.

    Source:
        Chuang et al. 2020 (arXiv:2007.00224): HCL at beta 0, with the floor of its released code.
    """
    terms = collect_terms(logits, rows, columns)
    return debiased_loss(terms, terms.negatives[0], tau_plus, lowest)


def build(settings: Debiased, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return OnLogits(
        lambda *given: debiased(*given, tau_plus=settings.tau_plus, lowest=geometry.lowest_logit)
    )
