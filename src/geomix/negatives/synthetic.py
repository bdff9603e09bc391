"""The rule `synthetic`: after SSCL, adds negatives that are mixed from two samples."""

import torch
from torch import Tensor

from geomix.config.negatives import Synthetic
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.pairwise import cross_entropy_with_added, pairwise_cross_entropy
from geomix.losses.table import Table


class SyntheticNegatives(BatchLoss):
    r"""Add negatives mixed from two samples: columns u e_a + (1 - u) e_b, u in [0, 1].

    a, b and u are drawn uniformly, e are embeddings, and mixtures are placed in the geometry like
    embeddings. A mixture is a negative of all rows but those of a's and b's class, in all views. No
    gradient flows into mixtures.

    Cost:
        Logits of N samples and the mixtures, (N, count), and a few passes over them.

    Source:
        After SSCL (arXiv:2304.02971), of which only the idea is public here. Mixtures are shared by
        all rows: mixing for each row on its own takes several times the loss.
    """

    def __init__(self, count: int, seed: int) -> None:
        """Take the sizes.

        Args:
            count: Mixtures of a batch; 0 is uniform.
            seed: Of the draws.
        """
        super().__init__()
        self.count, self.generator = count, torch.Generator().manual_seed(seed)

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar."""
        logits = geometry.logits(points, points)
        if not self.count:
            return pairwise_cross_entropy(logits, batch, batch)
        mixtures, classes = self.mix(embeddings.detach(), batch)
        added = geometry.logits(points, geometry.place(mixtures))
        mine = (batch.label.view(-1, 1, 1) == classes).any(2)
        added = added.masked_fill(mine, torch.finfo(added.dtype).min / 2)
        return cross_entropy_with_added(logits, batch, added.logsumexp(1))

    def mix(self, embeddings: Tensor, batch: Table) -> tuple[Tensor, Tensor]:
        """Draw the mixtures, (count, D), and the classes of both parts of each, (count, 2)."""
        parts = torch.randint(len(batch), (self.count, 2), generator=self.generator)
        parts = parts.to(embeddings.device)
        share = torch.rand(self.count, 1, generator=self.generator).to(embeddings)
        first, second = embeddings[parts].unbind(1)
        return torch.lerp(first, second, share), batch.label[parts]


def build(settings: Synthetic, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return SyntheticNegatives(settings.count, seed)
