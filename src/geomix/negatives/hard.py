"""The rule `hard`: HCL, which weighs each negative by its own hardness."""

import math

from torch import Tensor

from geomix.config.negatives import Hard
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.table import Table
from geomix.losses.terms import collect_terms, debiased_loss


def hard(
    logits: Tensor,
    rows: Table,
    columns: Table,
    *,
    beta: float,
    tau_plus: float = 0.0,
    lowest: float = -math.inf,
) -> Tensor:
    r"""Weigh each negative by its own hardness: HCL over the terms of `pairwise_cross_entropy`.

    With l_q the logits of a term's N negatives, l_p its positive's, and w_q = exp(beta * l_q):

        sum = sum over q of w_q exp(l_q) / mean(w_q)
        Ng = max( (sum - tau_plus N exp(l_p)) / (1 - tau_plus),  N exp(lowest) )
        term = -log  exp l_p / (exp l_p + Ng)

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        beta: Concentration, at least 0; at 0 this is the debiased loss.
        tau_plus: Probability that a negative has the anchor's class, in [0, 1); 0 with labels. With
            beta 0 and tau_plus 0 this is `pairwise_cross_entropy`.
        lowest: The lowest logit that the geometry allows (`Geometry.lowest_logit`); -1 / tau for
            the cosine.

    Returns:
        Scalar, mean over terms. The gradient flows through the weights.

    Raises:
        ValueError: On other shapes, or where no row has a positive.

    Cost:
        A second sum of exponentials; none at beta 0.

    Source:
        Robinson et al. 2021 (arXiv:2010.04592), and its released code for the floor.
    """
    terms = collect_terms(logits, rows, columns, (beta, 1 + beta) if beta else (1.0,))
    sums = terms.negatives[0]
    if beta:
        sums = terms.negatives[1] - sums + terms.log_counts
    return debiased_loss(terms, sums, tau_plus, lowest)


class HardNegatives(OnLogits):
    """HCL whose beta is constant, rises to its value or falls from it, linearly over the epochs."""

    def __init__(self, settings: Hard, geometry: Geometry) -> None:
        """Take the settings; beta has its value until an epoch starts."""
        super().__init__(
            lambda *given: hard(
                *given,
                beta=self.beta,
                tau_plus=settings.tau_plus,
                lowest=geometry.lowest_logit,
            )
        )
        self.settings, self.beta = settings, settings.beta

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set beta: up to (epoch + 1) / epochs of it, or down to 1 - epoch / epochs of it."""
        shares = {"none": 1.0, "up": (epoch + 1) / epochs, "down": 1 - epoch / epochs}
        self.beta = self.settings.beta * shares[self.settings.anneal]


def build(settings: Hard, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return HardNegatives(settings, geometry)
