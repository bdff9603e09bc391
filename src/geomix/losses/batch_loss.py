"""What a loss of a batch is to training, and those that need nothing but logits."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table

# From logits (N, M) and who the rows and the columns are.
LogitLoss = Callable[[Tensor, Table, Table], Tensor]


class BatchLoss(nn.Module):
    """A loss of a batch in a geometry, and what the loss remembers and learns."""

    rate_factor = 1.0
    """Multiplies the learning rate of what the loss itself learns."""
    generator: torch.Generator | None = None
    """What the loss draws from, on the CPU, if it draws."""

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Note that an epoch begins, counted from 0."""

    def learned(self) -> dict[str, float]:
        """Return numbers that the loss itself learns and that scoring needs."""
        return {}

    def get_extra_state(self) -> dict[str, Any]:
        """Return what `state_dict` has beside tensors: what the next steps depend on."""
        return {"draws": self.generator.get_state()} if self.generator else {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take such a state."""
        if self.generator:
            self.generator.set_state(state["draws"])

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            geometry: The geometry of the logits.
            embeddings: Those of the batch, (N, D).
            points: The embeddings placed in the geometry.
            batch: Who they are.
        """
        raise NotImplementedError


class OnLogits(BatchLoss):
    """A loss that needs nothing of a batch but its logits with itself."""

    def __init__(self, loss: LogitLoss, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.loss, self.generator = loss, generator

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar."""
        return self.loss(geometry.logits(points, points), batch, batch)


def weighted(log_weights: LogitLoss, generator: torch.Generator | None = None) -> OnLogits:
    """Build `pairwise_cross_entropy` with sum w exp(l) over the negatives in place of sum exp(l).

    Args:
        log_weights: Returns those (N, M) of logits, rows and columns, a new tensor each time: minus
            infinity for a weight of 0, 0 in the columns of the row's own class. No gradient flows
            through them.
        generator: What they draw from.
    """

    def loss(logits: Tensor, rows: Table, columns: Table) -> Tensor:
        """Return the weighted loss, a scalar."""
        with torch.no_grad():
            found = log_weights(logits.detach(), rows, columns)
        return pairwise_cross_entropy(logits, rows, columns, found)

    return OnLogits(loss, generator)


def require_classes(classes: int | None, loss: str) -> int:
    """Return the number of classes, which is None where labels are hidden.

    Raises:
        InputError: If it is None.
    """
    if classes is None:
        raise InputError(
            f"labels: found hidden for the loss {loss}, expected given, "
            "as it learns something for each class"
        )
    return classes
