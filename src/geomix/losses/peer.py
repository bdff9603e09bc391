"""Losses of pytorch-metric-learning, which compare embeddings by a similarity of their own."""

import inspect
from typing import cast

import torch
from torch import Tensor, nn

from geomix.config.losses import PeerLoss
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss, require_classes
from geomix.losses.table import Table


class Peer(BatchLoss):
    """A loss of pytorch-metric-learning: it takes embeddings and labels."""

    def __init__(self, peer: nn.Module, rate_factor: float) -> None:
        super().__init__()
        self.peer, self.rate_factor = peer, rate_factor

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar."""
        return cast(Tensor, self.peer(embeddings, batch.label))


def build_peer(
    settings: PeerLoss, geometry: Geometry, classes: int | None, dimensions: int, seed: int
) -> Peer:
    """Build a loss of pytorch-metric-learning.

    The numbers of classes and dimensions and the temperature are filled in where the loss takes
    them.

    Raises:
        InputError: If there is no such loss, it refuses its arguments, the geometry is not the
            cosine alone, or it learns something for each class and labels are hidden.
    """
    _require_fixed_cosine(geometry)
    from pytorch_metric_learning import losses

    kind = getattr(losses, settings.loss, None)
    if not inspect.isclass(kind):
        known = ", ".join(name for name in dir(losses) if name.endswith("Loss"))
        raise InputError(
            f"loss.loss: found {settings.loss}, expected one of pytorch-metric-learning: {known}"
        )
    takes = inspect.signature(kind.__init__).parameters
    if "num_classes" in takes:
        require_classes(classes, settings.loss)
    filled = {"num_classes": classes, "embedding_size": dimensions, "temperature": geometry.tau}
    arguments = {key: value for key, value in filled.items() if key in takes} | settings.arguments
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Peer(cast(nn.Module, kind(**arguments)), settings.rate_factor)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"loss.arguments: found {settings.arguments}, refused by {settings.loss}: {error}"
        ) from None


def _require_fixed_cosine(geometry: Geometry) -> None:
    found = ""
    if not geometry.is_cosine:
        spaces = ", ".join(part["space"] for part in geometry.describe()["spaces"])
        found = f"a geometry of {spaces}, expected a geometry of one sphere"
    elif geometry.learned():
        learned = ", ".join(geometry.learned())
        found = f"a geometry that learns {learned}, expected one that is fixed"
    if found:
        raise InputError(f"loss: found pytorch_metric_learning for {found}")
