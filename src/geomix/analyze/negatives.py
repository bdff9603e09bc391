"""Hard negatives by geometry: their weights, and which they are."""

from pathlib import Path

from geomix.analyze.trained import Trained
from geomix.config.sections import Batch


def analyze_negatives(trained: Trained, batch: Batch, out: Path) -> None:
    """Weigh and list the negatives of anchors of test.

    Args:
        trained: The cells.
        batch: Classes and images of a batch of training.
        out: The folder that takes the files.
    """
