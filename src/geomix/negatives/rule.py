"""What a rule for negatives is to training."""

from collections.abc import Callable

from torch import Tensor, nn

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.table import Table


class Rule(nn.Module):
    """A loss of a batch with negatives chosen, weighed or made by a rule, and what the rule remembers and learns."""

    rate_factor = 1.0
    """Times the learning rate of what the rule learns itself."""

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Note that an epoch begins, counted from 0."""

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar.

        Args:
            geometry: Of the logits.
            embeddings: Of the batch, (N, D).
            points: The same, placed in the geometry.
            batch: Who they are.
        """
        raise NotImplementedError


class OnLogits(Rule):
    """A rule that needs nothing but the batch's logits and remembers nothing."""

    def __init__(self, loss: Callable[[Tensor, Table, Table], Tensor]) -> None:
        """Wrap a loss on logits."""
        super().__init__()
        self.loss = loss

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        return self.loss(geometry.logits(points, points), batch, batch)
