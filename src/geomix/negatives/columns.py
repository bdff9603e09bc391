"""Rules that add columns: centroids of clusters, and mixtures of negatives."""

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu, softplus

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.losses import collect_terms, pairwise_cross_entropy
from geomix.losses.table import Table, equal_pairs, only_positives
from geomix.negatives.positives import positive_means
from geomix.negatives.rule import Rule


def with_columns(logits: Tensor, batch: Table, added: Tensor) -> Tensor:
    """Give `pairwise_cross_entropy` of a batch with itself, exp(added) being added to the sum over
    a row's negatives.

    Args:
        logits: (N, N).
        batch: Who rows and columns are.
        added: Log of what is added to each row, (N,).
    """
    terms = collect_terms(logits, batch, batch)
    return softplus(
        torch.logaddexp(terms.negatives[0], added.index_select(0, terms.row)) - terms.positives
    ).mean()


class Cluster(Rule):
    r"""Add a hard negative for each sample, the centroid of its second-nearest cluster, and keep
    members of a cluster together.

    k centroids in the space of embeddings, compared with samples by the geometry's logits l. A row
    of view i gets one more
    column for each sample of view i: the centroid second nearest to that sample (no gradient flows
    into centroids). With D = s(r, q) - s_+(r) over the pairs of other classes but one nearest
    centroid, s = tau * l:

        loss = pairwise cross-entropy with these columns + weight * mean of ( max(0, D + 0.2) +
        max(0, -D - 0.5) )

    Centroids start at random samples of the first batch whose embeddings have a mean cosine of at
    most `start`, and move after each batch to momentum * centroid + (1 - momentum) * mean of its
    members. Before that the loss is uniform.

    Cost:
        Logits of N samples and k centroids, and one pass over the pairs of a cluster, about N * N /
        k of them.

    Source:
        After ClusterNS (arXiv:2305.09892), its released code; how its centroids move is not public
        here.
    """

    centroids: Tensor

    def __init__(
        self,
        clusters: int,
        momentum: float,
        start: float,
        weight: float,
        generator: torch.Generator,
    ) -> None:
        """Build the rule.

        Args:
            clusters: k, at least 2.
            momentum: Of the centroids, in [0, 1).
            start: The mean cosine of a batch's embeddings at or below which clustering starts.
            weight: Of the pairs of a cluster.
            generator: Of the first centroids, on the CPU.
        """
        super().__init__()
        self.clusters, self.momentum, self.start, self.weight, self.generator = (
            clusters,
            momentum,
            start,
            weight,
            generator,
        )
        self.register_buffer("centroids", torch.empty(0))

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        logits = geometry.logits(points, points)
        given = embeddings.detach()
        if not len(self.centroids) and mean_cosine(given) <= self.start:
            if len(given) < self.clusters:
                raise InputError(
                    f"negatives.clusters: found {self.clusters}, expected at most the {len(given)} of a batch"
                )
            chosen = torch.randperm(len(given), generator=self.generator)[: self.clusters]
            self.centroids = given[chosen.to(given.device)].clone()
        if not len(self.centroids):
            return with_columns(
                logits, batch, torch.full_like(logits[0], torch.finfo(logits.dtype).min)
            )
        scores = geometry.logits(points, geometry.place(self.centroids))
        nearest, second = scores.detach().topk(2, 1).indices.T.contiguous()
        loss = with_columns(logits, batch, centroid_sums(scores, second, batch.view))
        loss = loss + self.weight * together(logits, batch, nearest, geometry.tau)
        self._move(given, nearest)
        return loss

    @torch.no_grad()
    def _move(self, embeddings: Tensor, nearest: Tensor) -> None:
        counts = torch.bincount(nearest, minlength=self.clusters).unsqueeze(1)
        means = torch.zeros_like(self.centroids).index_add_(
            0, nearest, embeddings
        ) / counts.clamp_min(1)
        moved = self.momentum * self.centroids + (1 - self.momentum) * means
        self.centroids = torch.where(counts > 0, moved, self.centroids)


def mean_cosine(embeddings: Tensor) -> float:
    """Give the mean cosine between different embeddings, (N, D) with N at least 2."""
    units = normalize(embeddings.double())
    total = units.sum(0).square().sum() - units.square().sum()
    return float(total / (len(units) * (len(units) - 1)))


def centroid_sums(scores: Tensor, second: Tensor, views: Tensor) -> Tensor:
    """Give the log of the sum of exp(score) over the second-nearest centroids of the samples of a
    row's view, (N,).

    Args:
        scores: Logits of samples and centroids, (N, k).
        second: The second-nearest centroid of each sample, (N,).
        views: View of each sample, (N,).
    """
    _, view = views.unique(return_inverse=True)
    width = scores.shape[1]
    counts = torch.bincount(view * width + second, minlength=(int(view.max()) + 1) * width).view(
        -1, width
    )
    return (scores + counts.to(scores.dtype).log()[view]).logsumexp(1)


def together(logits: Tensor, batch: Table, nearest: Tensor, tau: float) -> Tensor:
    """Give the mean of max(0, D + 0.2) + max(0, -D - 0.5) over the pairs of other classes and one nearest centroid."""
    first, second = equal_pairs(nearest, nearest)
    other = batch.label[first] != batch.label[second]
    first, second = first[other], second[other]
    if not len(first):
        return logits.new_zeros(())
    positives = only_positives(equal_pairs(batch.label, batch.label), batch, batch)
    apart = (logits[first, second] - positive_means(logits, positives)[first]) * tau
    return (relu(apart + 0.2) + relu(-apart - 0.5)).mean()


class Synthetic(Rule):
    r"""Add negatives mixed from two samples: columns u e_a + (1 - u) e_b, u in [0, 1].

    a, b and u are drawn alike, e are embeddings, and mixtures are placed in the geometry like
    embeddings. A mixture is a negative of all rows but those of a's and b's class, in all views. No
    gradient flows into mixtures.

    Cost:
        That of a batch of N + count samples instead of N.

    Source:
        After SSCL (arXiv:2304.02971), of which only the idea is public here. Mixtures are shared by
        all rows: mixing for each row on its own takes several times the loss.
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        """Build the rule.

        Args:
            count: Mixtures of a batch; 0 is uniform.
            generator: Of the draws, on the CPU.
        """
        super().__init__()
        self.count, self.generator = count, generator

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        if not self.count:
            return pairwise_cross_entropy(geometry.logits(points, points), batch, batch)
        mixtures, classes = self.mix(embeddings.detach(), batch)
        together = [torch.cat(both) for both in zip(points, geometry.place(mixtures), strict=True)]
        logits, added = geometry.logits(together, together)[: len(batch)].split(
            [len(batch), self.count], 1
        )
        mine = (batch.label.view(-1, 1, 1) == classes).any(2)
        return with_columns(
            logits, batch, added.masked_fill(mine, torch.finfo(added.dtype).min / 2).logsumexp(1)
        )

    def mix(self, embeddings: Tensor, batch: Table) -> tuple[Tensor, Tensor]:
        """Draw the mixtures, (count, D), and the classes of both parts of each, (count, 2)."""
        parts = torch.randint(len(batch), (self.count, 2), generator=self.generator).to(
            embeddings.device
        )
        share = torch.rand(self.count, 1, generator=self.generator).to(embeddings)
        first, second = embeddings[parts].unbind(1)
        return torch.lerp(first, second, share), batch.label[parts]
