"""The shape of embeddings: how their radii, curvature and tree are described."""

from pathlib import Path

from geomix.analyze.trained import Trained


def analyze_shape(trained: Trained, out: Path) -> None:
    """Describe the shape of stored embeddings.

    Args:
        trained: The cells.
        out: The folder that takes the files.
    """
