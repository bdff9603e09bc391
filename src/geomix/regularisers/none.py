"""The regulariser `none`: nothing is added to the loss."""

from geomix.config.losses import NoRegulariser


def build(settings: NoRegulariser, dimensions: int, seed: int) -> None:
    """Build nothing."""
