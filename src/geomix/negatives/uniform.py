"""The rule `uniform`: all negatives count alike."""

from geomix.config.negatives import Uniform
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.pairwise import pairwise_cross_entropy


def build(settings: Uniform, geometry: Geometry, dimensions: int, seed: int) -> BatchLoss:
    """Build the loss with this rule."""
    return OnLogits(pairwise_cross_entropy)
