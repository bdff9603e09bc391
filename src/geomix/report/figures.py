"""What all figures share: looks that read without colour, and the same bytes every time."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

# Okabe and Ito's palette, ordered so that neighbours differ in lightness too.
LOOKS: dict[str, tuple[str, str, Any]] = {
    "euclidean": ("#000000", "o", "-"),
    "flat": ("#E69F00", "s", "--"),
    "hyperbolic": ("#0072B2", "^", "-."),
    "hybrid": ("#CC79A7", "D", ":"),
    "hyperbolic_learned": ("#009E73", "v", (0, (5, 1, 1, 1, 1, 1))),
}
SPARE_LOOKS: tuple[tuple[str, str, Any], ...] = (
    ("#D55E00", "P", "-"),
    ("#56B4E9", "X", "--"),
    ("#999933", "*", "-."),
    ("#666666", "<", ":"),
    ("#8B4513", ">", (0, (5, 1, 1, 1, 1, 1))),
    ("#332288", "p", "-"),
)
PIXELS_PER_INCH = 120


def look_of(geometry: str, among: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and dash of a geometry, in every figure the same for those in LOOKS."""
    others = [name for name in among if name not in LOOKS]
    color, marker, dash = (
        LOOKS[geometry]
        if geometry in LOOKS
        else SPARE_LOOKS[others.index(geometry) % len(SPARE_LOOKS)]
    )
    return {"color": color, "marker": marker, "linestyle": dash, "markersize": 6, "linewidth": 1.6}


def spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Return where labels lie so that none covers another, in the order of what they name.

    Args:
        heights: Where they belong, rising, as shares of a panel.
        gap: The least distance between two.

    Returns:
        Heights that rise by the gap at least, within the panel where it has room for all.
    """
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else max(height, 0.0))
    top = 1.0
    for at in reversed(range(len(placed))):
        placed[at] = min(placed[at], top)
        top = placed[at] - gap
    return placed


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG and close it; without software names, so that bytes repeat."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
