"""The rule `cluster`: after ClusterNS, adds centroids of clusters as hard negatives."""

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot, relu

from geomix.config.negatives import Cluster
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.pairwise import cross_entropy_with_added, pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.losses.terms import positive_means


class ClusterNegatives(BatchLoss):
    r"""Add a hard negative for each sample, and keep members of a cluster together.

    The negative is the centroid of the second-nearest cluster. k centroids in the space of
    embeddings are compared with samples by the geometry's logits l. A row of view i gets one more
    column for each sample of view i: the centroid second nearest to that sample (no gradient flows
    into centroids). With D = s(r, q) - s_+(r), s = tau * l, s_+ the mean over the row's positives:

        loss = pairwise cross-entropy with these columns
            + weight * mean of ( max(0, D + 0.2) + max(0, -D - 0.5) )

    where the mean is over the pairs of other classes but one nearest centroid. Centroids start at
    random samples of the first batch whose embeddings have a mean cosine of at most `start`, and
    move after each batch to momentum * centroid + (1 - momentum) * mean of its members. Before
    they start the loss is uniform.

    Cost:
        Logits of N samples and k centroids, and a few passes over (N, N).

    Source:
        After ClusterNS (arXiv:2305.09892), its released code; how its centroids move is not public
        here.
    """

    centroids: Tensor

    def __init__(self, settings: Cluster, seed: int) -> None:
        """Take the settings, and the seed of the first centroids."""
        super().__init__()
        self.settings, self.generator = settings, torch.Generator().manual_seed(seed)
        self.register_buffer("centroids", torch.empty(0))

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar.

        Raises:
            InputError: If there are more clusters than samples when they start.
        """
        logits = geometry.logits(points, points)
        given = embeddings.detach()
        if not len(self.centroids) and mean_cosine(given) <= self.settings.start:
            self._start(given)
        if not len(self.centroids):
            return pairwise_cross_entropy(logits, batch, batch)
        scores = geometry.logits(points, geometry.place(self.centroids))
        nearest, second = scores.detach().topk(2, 1).indices.T.contiguous()
        added = sum_centroids(scores, second, batch.view)
        loss = cross_entropy_with_added(logits, batch, added)
        loss = loss + self.settings.weight * hold_together(logits, batch, nearest, geometry.tau)
        self._move(given, nearest)
        return loss

    def _start(self, embeddings: Tensor) -> None:
        clusters = self.settings.clusters
        if len(embeddings) < clusters:
            raise InputError(
                f"negatives.clusters: found {clusters}, "
                f"expected at most the {len(embeddings)} of a batch"
            )
        chosen = torch.randperm(len(embeddings), generator=self.generator)[:clusters]
        self.centroids = embeddings[chosen.to(embeddings.device)].clone()

    @torch.no_grad()
    def _move(self, embeddings: Tensor, nearest: Tensor) -> None:
        counts = torch.bincount(nearest, minlength=len(self.centroids)).unsqueeze(1)
        sums = torch.zeros_like(self.centroids).index_add_(0, nearest, embeddings)
        momentum = self.settings.momentum
        moved = momentum * self.centroids + (1 - momentum) * (sums / counts.clamp_min(1))
        self.centroids = torch.where(counts > 0, moved, self.centroids)


def mean_cosine(embeddings: Tensor) -> float:
    """Return the mean cosine between different embeddings, (N, D) with N at least 2."""
    units = normalize(embeddings.double())
    total = units.sum(0).square().sum() - units.square().sum()
    return float(total / (len(units) * (len(units) - 1)))


def sum_centroids(scores: Tensor, second: Tensor, views: Tensor) -> Tensor:
    """Return the log of each row's sum of exp(score) over the centroids added to it, (N,).

    These are the second-nearest centroids of the samples of the row's view.

    Args:
        scores: Logits of samples and centroids, (N, k).
        second: The second-nearest centroid of each sample, (N,).
        views: View of each sample, (N,).
    """
    same_view = (views.unsqueeze(1) == views).to(scores.dtype)
    counts = same_view @ one_hot(second, scores.shape[1]).to(scores.dtype)  # (N, k)
    return (scores + counts.log()).logsumexp(1)


def hold_together(logits: Tensor, batch: Table, nearest: Tensor, tau: float) -> Tensor:
    """Return the mean of max(0, D + 0.2) + max(0, -D - 0.5).

    It is over the pairs of other classes and one nearest centroid.
    """
    same_cluster = nearest.unsqueeze(1) == nearest
    together = same_cluster & (batch.label.unsqueeze(1) != batch.label)
    if not together.any():
        return logits.new_zeros(())
    apart = tau * (logits - positive_means(logits, batch, batch))[together]
    return (relu(apart + 0.2) + relu(-apart - 0.5)).mean()


def build(settings: Cluster, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return ClusterNegatives(settings, seed)
