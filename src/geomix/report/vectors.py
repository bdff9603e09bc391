"""Figures of vectors, which nobody can look at: a map of the test classes, and labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.transforms import Bbox

from geomix.data.packed import Packed
from geomix.report.figures import LOOKS, SPARE_LOOKS, drawable, to_png

POINTS = 2000  # of the test split, evenly spaced, on the map
GROUPS = 8  # that have a colour and a marker of their own
LONGEST = 24  # characters of a label in a table
REST, WRONG = "0.75", "#D55E00"


def project(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project vectors to the two directions in which they vary most.

    Args:
        vectors: Shape (N, D).

    Returns:
        The places, (N, 2), zeros where there is no second direction, and the shares of the
        variance, (2,). Signs are such that the number of largest size in a direction is positive.
    """
    centred = vectors - vectors.mean(0)
    left, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    sizes, directions = sizes[:2], directions[:2]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])
    places, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    places[:, : len(sizes)] = left[:, :2] * sizes * signs
    shares[: len(sizes)] = sizes**2 / max(float((centred**2).sum()), np.finfo(np.float64).tiny)
    return places, shares


def draw_map(packed: Packed) -> bytes:
    """Draw the test vectors, standardised as the network sees them, in their two main directions.

    Args:
        packed: Vectors. Colours and markers are of the coarsest level, of the classes where there
            is none.

    Returns:
        A PNG.
    """
    assert isinstance(packed.images, np.ndarray)
    assert packed.moments
    rows = packed.rows("test")
    rows = rows[np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int)]
    mean, deviation = packed.moments
    places, shares = project((packed.images[rows] - mean) / deviation)
    level = [*packed.card["levels"], "label"][0]
    names = packed.samples[level].to_numpy()[rows]
    groups = list(pd.Series(names).value_counts().index[:GROUPS])
    figure, axis = plt.subplots(figsize=(7.5, 5), layout="constrained")
    others = ~np.isin(names, groups)
    shown = [*([f"other {level}"] if others.any() else []), *groups]
    rest = "other" if others.any() else None
    axis.plot(*places[others].T, ".", color=REST, markersize=3, label=rest)
    for group, (color, marker, _) in zip(groups, [*LOOKS.values(), *SPARE_LOOKS], strict=False):
        look: dict[str, Any] = {"color": color, "markersize": 4, "alpha": 0.7}
        axis.plot(*places[names == group].T, marker, **look, label="group")
    axis.set_xlabel(f"first direction, {100 * shares[0]:.0f} % of the variance")
    axis.set_ylabel(f"second direction, {100 * shares[1]:.0f} % of the variance")
    legend = axis.legend(title="level", loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    # Names come last: as labels, those that begin with _ would be left out of the legend.
    title = "class" if level == "label" else level
    for text, name in zip((legend.get_title(), *legend.get_texts()), (title, *shown), strict=True):
        text.set_parse_math(False)
        text.set_text(_shorten(name))
    return to_png(figure)


def draw_labels(queries: Sequence[str], neighbours: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """Draw a table of queries with the labels of their nearest vectors by geometry.

    A wrong label is bold with a cross.

    Args:
        queries: Labels of Q queries.
        neighbours: For each geometry and query the labels found, closest first.

    Returns:
        A PNG.
    """
    lines = [
        (query, name, found[row])
        for row, query in enumerate(queries)
        for name, found in neighbours.items()
    ]
    count = len(lines[0][2])
    cells = [
        [_shorten(query), name, *(_mark(label, query) for label in found)]
        for query, name, found in lines
    ]
    figure, axis = plt.subplots(
        figsize=(1.5 * (count + 2), 0.24 * (len(lines) + 1)), layout="constrained"
    )
    axis.axis("off")
    table = axis.table(
        cells,
        colLabels=["query", "geometry", *map(str, range(1, count + 1))],
        cellLoc="left",
        bbox=Bbox.unit(),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    for (row, column), cell in table.get_celld().items():
        cell.get_text().set_parse_math(False)
        cell.set_linewidth(0.4)
        if row and column > 1 and lines[row - 1][2][column - 2] != lines[row - 1][0]:
            cell.get_text().set(color=WRONG, fontweight="bold")
    return to_png(figure)


def _shorten(label: str, weight: str = "normal") -> str:
    """Return a label that can be drawn, cut where it is long."""
    short = label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
    return drawable(short.replace("\n", " "), weight)


def _mark(label: str, query: str) -> str:
    """Return a label with a cross if it is not the query's; such a label is drawn bold."""
    return _shorten(label) if label == query else f"{_shorten(label, 'bold')} ✗"
