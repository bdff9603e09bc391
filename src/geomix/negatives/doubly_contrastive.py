"""The rule `doubly_contrastive`: compares soft assignments to learned prototypes twice."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from geomix.config.negatives import DoublyContrastive
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table


class AssignmentContrast(BatchLoss):
    r"""Compare soft assignments of samples to K learned prototypes, in place of the samples.

    With A = softmax over prototypes of the geometry's logits, (N, K), and A_i its part of view i
    with classes in one order:

        loss = between rows of A (samples)
            + weight * between columns of A_i and A_j (prototype k against all others)
            + log K - entropy of the mean row of A

    Both comparisons are the `pairwise_cross_entropy` of cosines over a temperature.

    Cost:
        Logits of N samples and K prototypes, and two losses, over (N, N) and (n K, n K) with n
        views.

    Source:
        After DCDC (arXiv:2103.05484), its released code, with prototypes in the geometry for its
        assignment layer.
    """

    def __init__(self, settings: DoublyContrastive, dimensions: int, seed: int) -> None:
        """Draw the prototypes.

        Args:
            settings: clusters is K.
            dimensions: D of the embeddings.
            seed: Of the first prototypes.
        """
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(settings.clusters, dimensions, generator=generator)
        self.prototypes = nn.Parameter(start)
        self.settings, self.rate_factor = settings, settings.rate_factor

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar."""
        return self.loss(geometry.logits(points, geometry.place(self.prototypes)), batch)

    def loss(self, logits: Tensor, batch: Table) -> Tensor:
        """Return the loss of the logits of assignments, (N, K).

        Raises:
            ValueError: If views do not hold the same classes, each once.
        """
        logs = logits.log_softmax(1)
        assignments = logs.exp()
        by_rows = self._contrast(normalize(assignments), batch)
        across = by_view(logs, batch).transpose(1, 2)
        # The largest of a column becomes 1: float32 cannot hold assignments to a far prototype.
        across = (across - across.detach().amax(2, keepdim=True)).exp()
        across = normalize(across, dim=2).flatten(0, 1)  # (n K, C)
        number = torch.arange(len(across), device=across.device)
        width = logits.shape[1]
        by_columns = self._contrast(across, Table(number, number % width, number // width))
        mean = assignments.mean(0)
        entropy = -torch.special.xlogy(mean, mean.clamp_min(torch.finfo(mean.dtype).tiny)).sum()
        return by_rows + self.settings.weight * by_columns + math.log(width) - entropy

    def _contrast(self, units: Tensor, table: Table) -> Tensor:
        return pairwise_cross_entropy(units @ units.T / self.settings.temperature, table, table)


def by_view(values: Tensor, batch: Table) -> Tensor:
    """Return values (N, K) as (n, C, K), classes of every view in one order.

    Raises:
        ValueError: If views do not hold the same classes, each once.
    """
    order = batch.label.argsort(stable=True)
    order = order[batch.view[order].argsort(stable=True)]
    views, classes = batch.view.unique(), batch.label.unique()
    if not (
        torch.equal(batch.view[order], views.repeat_interleave(len(classes)))
        and torch.equal(batch.label[order], classes.repeat(len(views)))
    ):
        raise ValueError(
            "negatives: found views of different classes, expected each class once in every view"
        )
    return values[order].view(len(views), len(classes), -1)


def build(settings: DoublyContrastive, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return AssignmentContrast(settings, dimensions, seed)
