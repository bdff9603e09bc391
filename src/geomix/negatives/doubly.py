"""The doubly contrastive rule: soft assignments to learned prototypes, compared by rows and by columns."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.losses import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.rule import Rule


class DoublyContrastive(Rule):
    r"""Compare soft assignments of samples to K learned prototypes, in place of the samples.

    With A = softmax over prototypes of the geometry's logits, (N, K), A_i its part of view i with
    classes in one order, and both comparisons by `pairwise_cross_entropy` of cosines over a
    temperature:

        loss = between rows of A (samples) + weight * between columns of A_i and A_j (prototype k
        against all others)
             + log K - entropy of the mean row of A

    Cost:
        Logits of N samples and K prototypes, and two losses, over (N, N) and (n K, n K) with n
        views.

    Source:
        After DCDC (arXiv:2103.05484), its released code, with prototypes in the geometry for its
        assignment layer.
    """

    def __init__(
        self,
        clusters: int,
        temperature: float,
        weight: float,
        rate_factor: float,
        dimensions: int,
        generator: torch.Generator,
    ) -> None:
        """Build the rule.

        Args:
            clusters: K, at least 2.
            temperature: Of the comparisons of assignments.
            weight: Of the comparison between columns.
            rate_factor: Times the learning rate, for the prototypes.
            dimensions: D of the embeddings.
            generator: Of the first prototypes, on the CPU.
        """
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(clusters, dimensions, generator=generator))
        self.temperature, self.weight, self.rate_factor = temperature, weight, rate_factor

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        return self.loss(geometry.logits(points, geometry.place(self.prototypes)).softmax(1), batch)

    def loss(self, assignments: Tensor, batch: Table) -> Tensor:
        """Give the loss of assignments (N, K).

        Raises:
            InputError: If views do not hold the same classes, each once.
        """
        units = normalize(assignments)
        by_rows = pairwise_cross_entropy(units @ units.T / self.temperature, batch, batch)
        across = by_view(assignments, batch).transpose(1, 2)
        largest = across.detach().amax(2, keepdim=True).clamp_min(torch.finfo(across.dtype).tiny)
        across = normalize(across / largest, dim=2).flatten(
            0, 1
        )  # (n K, C); prototypes of few assignments are not cut off
        number = torch.arange(len(across), device=across.device)
        width = assignments.shape[1]
        prototypes = Table(number, number % width, number // width)
        by_columns = pairwise_cross_entropy(
            across @ across.T / self.temperature, prototypes, prototypes
        )
        mean = assignments.mean(0)
        entropy = -torch.special.xlogy(mean, mean.clamp_min(torch.finfo(mean.dtype).tiny)).sum()
        return by_rows + self.weight * by_columns + math.log(width) - entropy


def by_view(values: Tensor, batch: Table) -> Tensor:
    """Give values (N, K) as (n, C, K), classes of every view in one order.

    Raises:
        InputError: If views do not hold the same classes, each once.
    """
    order = batch.label.argsort(stable=True)
    order = order[batch.view[order].argsort(stable=True)]
    views = len(batch.view.unique())
    labels = batch.label[order]
    if len(order) % views or len(labels.view(views, -1)[0].unique()) * views != len(order):
        raise InputError(
            "negatives: found views of different classes, expected each class once in every view"
        )
    if (labels.view(views, -1) != labels[: len(order) // views]).any():
        raise InputError(
            "negatives: found views of different classes, expected each class once in every view"
        )
    return values[order].view(views, -1, values.shape[1])
