"""A picture of samples in the Poincare disk, with thumbnails where there is room for them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Circle

from geomix.data.packed import Packed
from geomix.report.figures import LOOKS, SPARE_LOOKS, drawable, to_png
from geomix.report.pictures import read_pictures

THUMBNAILS = 120  # images at most
SIDE = 7.6  # inches of the picture
WIDTH = 0.085  # of a thumbnail, in radii of the disk
POINTS_PER_INCH = 72
REST = "0.75"  # grey of groups without a colour of their own


def draw_disk(disk: pd.DataFrame, packed: Packed) -> bytes:
    """Draw samples in the disk, coloured by their group of the coarsest level.

    Args:
        disk: `row` of the table of samples, and the place `x`, `y`, of each.
        packed: The data set.

    Returns:
        A PNG.
    """
    places = disk[["x", "y"]].to_numpy()
    rows = disk["row"].to_numpy()
    figure, axis = plt.subplots(figsize=(SIDE, SIDE + 0.5), layout="constrained")
    axis.set_aspect("equal")
    axis.axis("off")
    axis.add_patch(Circle((0, 0), 1, fill=False, color="0.4", linewidth=1))
    axis.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
    colors = color_groups(axis, places, rows, packed)
    if packed.form != "vectors":
        chosen = choose_apart(places, WIDTH * 1.25)[:THUMBNAILS]
        images = read_pictures(packed, rows[chosen])
        for at, image in zip(chosen, images, strict=True):
            show_image(axis, image, places[at], colors[at])
    return to_png(figure)


def color_groups(axis: Axes, places: np.ndarray, rows: np.ndarray, packed: Packed) -> list[str]:
    """Draw points (n, 2) by their group of the coarsest level, and return their colours."""
    levels = packed.card["levels"]
    if not levels:
        axis.plot(*places.T, ".", color=REST, markersize=4)
        return [REST] * len(rows)
    groups = packed.samples[levels[0]].to_numpy()[rows]
    looks = [*LOOKS.values(), *SPARE_LOOKS]
    shown = list(pd.Series(groups).value_counts().index[: len(looks)])
    colors = {group: look[0] for group, look in zip(shown, looks, strict=False)}
    for group in shown:
        marker = looks[shown.index(group)][1]
        of = groups == group
        axis.plot(*places[of].T, marker, color=colors[group], markersize=3.5, label="group")
    rest = ~np.isin(groups, shown)
    if rest.any():
        axis.plot(*places[rest].T, ".", color=REST, markersize=3.5, label="group")
    names = [*shown, *(["other"] if rest.any() else [])]
    legend = axis.figure.legend(loc="outside upper center", ncols=min(6, len(names)), fontsize=9)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(drawable(str(name)))
    return [colors.get(group, REST) for group in groups]


def choose_apart(places: np.ndarray, width: float) -> np.ndarray:
    """Choose points that are apart, so that no square around one covers another's.

    Args:
        places: Shape (n, 2), in the order in which they are asked.
        width: Of a square.

    Returns:
        Places among them, rising.
    """
    chosen: list[int] = []
    for at, place in enumerate(places):
        gaps = np.abs(places[chosen] - place).max(1, initial=0) if chosen else np.array([width])
        if gaps.min() >= width:
            chosen.append(at)
    return np.array(chosen, dtype=int)


def show_image(axis: Axes, image: np.ndarray, place: np.ndarray, color: str) -> None:
    """Show an image, uint8 (H, W, C), at a place, framed in a colour."""
    grey = image.shape[2] == 1
    pixels = image[:, :, 0] if grey else image
    inches = WIDTH * SIDE / 2.04
    zoom = inches * POINTS_PER_INCH / max(pixels.shape[:2])
    look: dict[str, Any] = {"cmap": "gray"} if grey else {}
    box = OffsetImage(pixels, zoom=zoom, **look)
    box.image.set_clim(0, 255)
    framed = AnnotationBbox(
        box, tuple(place), pad=0.1, bboxprops={"edgecolor": color, "linewidth": 1.1}
    )
    axis.add_artist(framed)
