"""Proxy-Anchor: learned proxies, one for each training class, are the columns."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from geomix.config.losses import ProxyAnchor
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.sums import LogSums, check_shape, mark_pairs
from geomix.losses.table import Table, equal_pairs, require_pairs


def proxy_anchor(logits: Tensor, rows: Table, columns: Table, *, margin: float) -> Tensor:
    r"""Pull the samples of a class to its proxy and push the others away, the hardest most.

        mean over proxies p with a sample in the rows of
            log(1 + sum_{r of p's class} exp(margin - l(r, p)))
        + mean over all proxies p of
            log(1 + sum_{r of other classes} exp(margin + l(r, p)))

    A logit of 0 parts near from far, as for the cosine. Where similarities are minus distances, and
    so never above 0, it pulls at any distance and pushes within the margin.

    Args:
        logits: Similarities over temperature, (N, M); 1 / temperature is the paper's alpha, 32.
        rows: The samples, N.
        columns: The proxies, M, one for each class.
        margin: In logits: the paper's, 0.1, over temperature.

    Returns:
        Scalar.

    Raises:
        ValueError: On other shapes or proxies, or where no row has a proxy.

    Source:
        Kim et al. 2020 (arXiv:2003.13911), eq. 4.
    """
    check_shape(logits, rows, columns)
    if len(columns.label.unique()) != len(columns):
        raise ValueError("proxy_anchor: found several proxies of a class, expected one for each")
    proxy, sample = require_pairs(equal_pairs(columns.label, rows.label))
    same_class = mark_pairs(logits.T, proxy, sample)
    negatives, positives = LogSums.apply(logits.T, same_class, [len(rows)], proxy, sample, (1.0,))
    pulls = margin - positives
    present, group = proxy.unique(return_inverse=True)
    highest = pulls.new_full((len(present),), -torch.inf)
    highest = highest.scatter_reduce(0, group, pulls.detach(), "amax")
    sums = pulls.new_zeros(len(present)).index_add(0, group, (pulls - highest[group]).exp())
    pull = softplus(sums.log() + highest).mean()
    return pull + softplus(negatives.clamp_min(torch.finfo(logits.dtype).min / 2) + margin).mean()


class LearnedProxies(BatchLoss):
    """`proxy_anchor` of proxies that are placed in the geometry like embeddings."""

    def __init__(
        self, settings: ProxyAnchor, geometry: Geometry, classes: int, dimensions: int, seed: int
    ) -> None:
        """Draw the proxies, by Kaiming's rule over classes, as released."""
        super().__init__()
        start = torch.randn(classes, dimensions, generator=torch.Generator().manual_seed(seed))
        self.proxies = nn.Parameter(start * math.sqrt(2 / classes))
        self.margin = settings.margin / geometry.tau
        self.rate_factor = settings.rate_factor

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar."""
        labels = torch.arange(len(self.proxies), device=embeddings.device)
        columns = Table(-1 - labels, labels, torch.zeros_like(labels))
        logits = geometry.logits(points, geometry.place(self.proxies))
        return proxy_anchor(logits, batch, columns, margin=self.margin)
