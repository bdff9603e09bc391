"""Images as people should see them: in their true proportions, with captions, beside others."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path
from PIL import Image

from geomix.data.packed import Encoded, Packed
from geomix.data.pixels import load_image, open_image
from geomix.report.figures import drawable, to_png

SIDE = 96  # pixels of the longer side, at most, of images kept as files or squeezed to squares
# Sizes in points of captions below images: the first on one line, the others on up to LINES.
LETTERS, LINES = (7, 5.5, 4.6), 3
CELL, WIDE_CELL = 36, 45  # points of a column of images, narrow and wide
MARGIN = 5  # points between captions
NAMED, LONGEST = 9, 200  # points of the letters of a row's name, and of its longest line
MARGIN_LEFT = 1.6  # inches for these names, at least
PAD = 0.025  # inches to each side of a column of images: enough for thick frames

Picture = tuple[np.ndarray, str]  # an image, uint8 (H, W, C), and what stands below it
Shown = tuple[Axes, Picture, str]  # where, what, and a sign after the caption or nothing


def read_pictures(packed: Packed, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """Read images of a packed data set, uint8 (H, W, C), as people should see them.

    The longer side has at most 96 pixels, unless they are square.

    Args:
        packed: The data set.
        rows: Of its table.
    """
    return [_read_picture(packed, int(row)) for row in rows]


def _read_picture(packed: Packed, row: int) -> np.ndarray:
    if isinstance(packed.images, Encoded):
        file = open_image(packed.images.read(row))
        file.draft(None, (2 * SIDE, 2 * SIDE))
        image = load_image(file, packed.channels)
        image.thumbnail((SIDE, SIDE))
        return np.asarray(image).reshape(image.height, image.width, -1)
    pixels: np.ndarray = np.asarray(packed.images[row])
    aspect = float(packed.samples["aspect"].iloc[row]) if "aspect" in packed.samples else 1.0
    if aspect == 1:
        return pixels
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width * aspect)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).resize(
        (max(1, round(width * aspect * scale)), max(1, round(height * scale)))
    )
    return np.asarray(image).reshape(image.height, image.width, -1)


def draw_neighbours(
    queries: Sequence[Picture], neighbours: Mapping[str, Sequence[Sequence[Picture]]]
) -> bytes:
    """Draw queries with their nearest images by geometry.

    An image of a wrong class has a thick frame and a cross.

    Args:
        queries: Q images, uint8 (H, W, C), with their labels.
        neighbours: For each geometry and query the images found, closest first, with their labels.

    Returns:
        A PNG.
    """
    names = list(neighbours)
    count = len(next(iter(neighbours.values()))[0])
    widths = [1.0] + [width for _ in names for width in (0.35, *[1.0] * count)]
    figure, axes = plt.subplots(
        len(queries),
        len(widths),
        figsize=(CELL / 72 * sum(widths), 0.75 * len(queries) + 0.5),
        width_ratios=widths,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=PAD, wspace=0),
    )
    for axis in axes.flat:
        axis.axis("off")
    for number, (line, (query, label)) in enumerate(zip(axes, queries, strict=True)):
        row: list[Shown] = [(line[0], (query, label), "")]
        for group, name in enumerate(names):
            first = 2 + group * (count + 1)
            found = zip(line[first:], neighbours[name][number], strict=False)
            row += [(axis, one, "" if one[1] == label else "✗") for axis, one in found]
        show_row(row)
    axes[0, 0].set_title("query", fontsize=9, pad=8)
    for group, name in enumerate(names):
        axes[0, 2 + group * (count + 1) + count // 2].set_title(name, fontsize=9, pad=8)
    return to_png(figure)


def draw_samples(rows: Sequence[tuple[str, Sequence[Picture]]]) -> bytes:
    """Draw rows of images, each row with a name to its left and each image with a caption below.

    Args:
        rows: For each row its name and its images, uint8 (H, W, C), with captions.

    Returns:
        A PNG.
    """
    columns = max(len(items) for _, items in rows)
    names = [_fit_name(name) for name, _ in rows]
    widest = max(measure_text(line, NAMED) for name in names for line in name.split("\n"))
    margin = max(MARGIN_LEFT, widest / 72 + 0.5)  # 0.3 of it between the name and the images
    inches = (WIDE_CELL / 72 * columns + margin, 0.95 * len(rows))
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=inches,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=PAD, wspace=0),
    )
    for axis in axes.flat:
        axis.axis("off")
    for line, name, (_, items) in zip(axes, names, rows, strict=True):
        place = {"transform": line[0].transAxes, "ha": "right", "va": "center"}
        line[0].text(-0.35, 0.5, name, **place, fontsize=NAMED, parse_math=False)
        shown = [(axis, item, "") for axis, item in zip(line, items, strict=False)]
        show_row(shown, width=WIDE_CELL - MARGIN)
    return to_png(figure)


def _fit_name(name: str) -> str:
    """Return the name of a row as it can be drawn, its lines not too long."""
    return "\n".join(_shorten(line, LONGEST, NAMED) for line in drawable(name).split("\n"))


def fit_captions(captions: Sequence[str], width: float) -> tuple[list[list[str]], float]:
    """Break the captions of a row at spaces, hyphens, underscores and slashes into at most 3 lines.

    All have one size: the largest letters that keep every caption whole. Where the smallest do not,
    an ellipsis stands for a part of the middle: names differ in how they end, too.

    Args:
        captions: One line of text each.
        width: Of a line at most, in points.

    Returns:
        The lines of each caption, and the size of the letters in points.
    """
    for size in LETTERS:
        broken = [_break_caption(caption, width, size) for caption in captions]
        most = 1 if size == LETTERS[0] else LINES
        if all(_fits(lines, width, size, most) for lines in broken):
            return broken, size
    return [_cut_lines(lines, width, size) for lines in broken], size


def _break_caption(caption: str, width: float, size: float) -> list[str]:
    """Break a caption between words, where a line would become too wide."""
    lines = [""]
    for word in re.findall(" *(?:[^ /_-]+[/_-]*|[/_-]+)", caption):
        if lines[-1] and measure_text(lines[-1] + word, size) > width:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip(" ")
    return lines


def _fits(lines: Sequence[str], width: float, size: float, most: int) -> bool:
    """Say whether there are at most so many lines, none of them too wide."""
    return len(lines) <= most and max(measure_text(line, size) for line in lines) <= width


def _cut_lines(lines: list[str], width: float, size: float) -> list[str]:
    """Leave out lines, and letters in the middle of others, until all fit."""
    kept = lines if len(lines) <= LINES else [lines[0], f"…{lines[-2]}", lines[-1]]
    return [_shorten(line, width, size) for line in kept]


@cache
def measure_text(text: str, size: float) -> float:
    """Return the width of a line of text in points."""
    return float(
        text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]
    )


def _shorten(line: str, width: float, size: float) -> str:
    """Leave out of the middle of a line as few letters as make it fit."""
    shorter, kept = line, len(line)
    while kept > 2 and measure_text(shorter, size) > width:
        kept -= 1
        shorter = f"{line[: (kept + 1) // 2].rstrip('…')}…{line[len(line) - kept // 2 :]}"
    return shorter


def show_row(row: Sequence[Shown], width: float = CELL - MARGIN) -> None:
    """Draw the images of a row with captions of one size below.

    Args:
        row: Images with their captions, and where they are drawn. With a sign the frame is thick.
        width: Of a caption at most, in points.
    """
    captions = [
        drawable(caption.replace("\n", " ")) + (f"\N{NO-BREAK SPACE}{mark}" if mark else "")
        for _, (_, caption), mark in row
    ]
    broken, size = fit_captions(captions, width)
    for (axis, (image, _), mark), lines in zip(row, broken, strict=True):
        _show_picture(axis, image, marked=bool(mark))
        axis.set_xlabel("\n".join(lines), fontsize=size, labelpad=1.5, parse_math=False)


def _show_picture(axis: Axes, image: np.ndarray, marked: bool) -> None:
    """Draw an image, in a thick frame if it is marked."""
    axis.axis("on")
    axis.set_xticks([])
    axis.set_yticks([])
    grey = image.shape[2] == 1  # sides of 1 stay, so no squeeze
    axis.imshow(image[:, :, 0] if grey else image, cmap="gray", vmin=0, vmax=255)
    for spine in axis.spines.values():
        spine.set(linewidth=2.4 if marked else 0.4, color="#D55E00" if marked else "0.6")
