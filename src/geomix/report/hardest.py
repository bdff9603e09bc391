"""The gallery of hard negatives: anchors, a positive of each, and its hardest by network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.layout_engine import ConstrainedLayoutEngine

from geomix.data.packed import Packed
from geomix.report.figures import drawable, to_png
from geomix.report.pictures import CELL, PAD, Picture, Shown, read_pictures, show_row

TITLES = ("anchor", "positive", "", "hardest", "2nd", "3rd", "4th", "5th", "6th")  # of columns
SHOWN = 6  # negatives of an anchor
ALONE = "◆"  # marks what one row alone has
BESIDE = 2  # anchors in a line
GAP = 0.4  # between groups of pictures, in widths of one
LINE = 0.66  # inches of a row of pictures
HEAD = 0.3  # inches of the headings
NAMES = 1.45  # inches of the names of rows


@dataclass(frozen=True)
class Block:
    """An anchor and its hardest negatives.

    Attributes:
        anchor: Its picture.
        positive: Another of its class.
        rows: By network its hardest negatives, and whether no other network here has them among
            its own.
    """

    anchor: Picture
    positive: Picture
    rows: Sequence[Sequence[tuple[Picture, bool]]]


def build_blocks(
    packed: Packed, anchors: np.ndarray, positives: np.ndarray, hardest: Sequence[np.ndarray]
) -> list[Block]:
    """Read the pictures of some anchors.

    Args:
        packed: The data set.
        anchors: Rows of its table, (A,).
        positives: Likewise, (A,).
        hardest: For each network rows of the table, most similar first, (A, at least 1).
    """
    labels = packed.samples["label"].to_numpy()

    def picture(rows: np.ndarray) -> list[tuple[np.ndarray, Any]]:
        """Return the pictures of rows with their labels."""
        return list(zip(read_pictures(packed, rows), labels[rows], strict=True))

    listed = [rows[:, :SHOWN] for rows in hardest]
    blocks = []
    for at, (anchor, positive) in enumerate(zip(picture(anchors), picture(positives), strict=True)):
        rows = []
        for number, one in enumerate(listed):
            others = np.concatenate([other[at] for other in listed[:number] + listed[number + 1 :]])
            rows.append(list(zip(picture(one[at]), ~np.isin(one[at], others), strict=True)))
        blocks.append(Block(anchor, positive, rows))
    return blocks


def draw_hardest(names: Sequence[str], blocks: Sequence[Block]) -> bytes:
    """Draw anchors two in a line, each with a row of negatives for each network.

    A negative that one row alone has is framed and marked.

    Args:
        names: Of the networks.
        blocks: At least one.

    Returns:
        A PNG.
    """
    columns = min(BESIDE, len(blocks))
    lines = -(-len(blocks) // BESIDE)
    group = [1, 1, GAP, *[1] * SHOWN]
    widths = [*group, *(width for _ in range(columns - 1) for width in (GAP, *group))]
    heights = [*[1] * len(names), GAP] * lines
    figure, axes = plt.subplots(
        len(heights),
        len(widths),
        figsize=(NAMES + CELL / 72 * sum(widths), LINE * sum(heights) + HEAD),
        width_ratios=widths,
        height_ratios=heights,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=PAD, wspace=0, h_pad=PAD, hspace=0),
    )
    for axis in axes.flat:
        axis.axis("off")
    rows: list[list[Shown]] = [[] for _ in heights]
    for number, block in enumerate(blocks):
        line, column = divmod(number, BESIDE)
        top, left = line * (len(names) + 1), column * (len(group) + 1)
        places = axes[top : top + len(names), left : left + len(group)]
        for row, part in zip(rows[top:], _place_block(places, block), strict=False):
            row += part
        for place, title in enumerate(TITLES if not line else ()):
            axes[0, left + place].set_title(title, fontsize=8, pad=5)
        for axis, name in zip(axes[top:, 0], names if not column else (), strict=False):
            beside = {"transform": axis.transAxes, "ha": "right", "va": "center"}
            axis.text(-0.25, 0.5, drawable(name), **beside, fontsize=9, parse_math=False)
    for row in filter(None, rows):
        show_row(row)
    return to_png(figure)


def _place_block(axes: np.ndarray, block: Block) -> Iterator[list[Shown]]:
    """Yield for each network what is shown where: negatives, in the first row after the anchor.

    Args:
        axes: Of the block, (rows, columns).
        block: What is shown.
    """
    shown: list[Shown] = [(axes[0, 0], block.anchor, ""), (axes[0, 1], block.positive, "")]
    for line, row in zip(axes, block.rows, strict=True):
        for axis, (picture, alone) in zip(line[3:], row, strict=False):
            shown.append((axis, picture, ALONE if alone else ""))
        yield shown
        shown = []
