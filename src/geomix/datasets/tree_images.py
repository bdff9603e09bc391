"""Tree of images: pictures at all nodes of a made tree, whose kinship one can see.

Each node has a mark of its own, a stroke or a blob at a random place, and shows it together with
the marks of all its ancestors. Samples of a node differ in that each mark is moved a little.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, ancestors, grow_tree, raw_file, read_stored
from geomix.datasets.sources import Source, describe_files
from geomix.errors import InputError

ROOT, CHILDREN, DEPTH = "root", "abc", 4  # 1 + 3 + ... + 3^4 = 121 nodes, 81 of them leaves
EACH = 4  # samples of a node
SIDE = 32  # pixels
FINE = 4  # marks are drawn this many times as large, then made small, for smooth edges
MARGIN = 5  # pixels from the centre of a mark to the edge of the image, at least
STROKE = (4, 8)  # half of its length in pixels, from and to
WIDTH = 2  # pixels of a stroke
BLOB = (1.5, 3)  # radius in pixels, from and to
JITTER = 0.7  # s.d. of how far a mark is moved, in pixels
SEED = 0

Mark = tuple[str, np.ndarray]  # its kind, and two corners or ends in pixels, (2, 2)


def draw_mark(random: np.random.Generator) -> Mark:
    """Draw the mark of a node: a stroke by its two ends, or a blob by the corners of its box."""
    centre = random.uniform(MARGIN, SIDE - MARGIN, 2)
    if random.random() < 0.5:
        radius = random.uniform(*BLOB)
        return "blob", np.stack([centre - radius, centre + radius])
    angle = random.uniform(0, np.pi)
    half = random.uniform(*STROKE) * np.array([np.cos(angle), np.sin(angle)])
    return "stroke", np.stack([centre - half, centre + half])


def draw_image(marks: list[Mark], random: np.random.Generator) -> np.ndarray:
    """Draw marks, white on black and each one moved a little, uint8, (SIDE, SIDE)."""
    canvas = Image.new("L", (FINE * SIDE, FINE * SIDE), 0)
    pen = ImageDraw.Draw(canvas)
    for kind, points in marks:
        moved = FINE * (points + JITTER * random.standard_normal(2))
        ends = [(int(x), int(y)) for x, y in np.rint(moved)]
        if kind == "blob":
            pen.ellipse(ends, fill=255)
        else:
            pen.line(ends, fill=255, width=FINE * WIDTH)
    return np.asarray(canvas.reduce(FINE))


def draw_tree() -> tuple[pd.DataFrame, np.ndarray]:
    """Draw the tree.

    Returns:
        The table, a row for each of N samples, all samples of a node together and parents first;
        and the images, uint8, (N, SIDE, SIDE).
    """
    nodes = grow_tree(ROOT, CHILDREN, DEPTH)
    random = np.random.default_rng(SEED)
    marks = {node: draw_mark(random) for node in nodes}
    rows, images = [], []
    for node in nodes:
        shown = [marks[place] for place in (*ancestors(node), node)]
        for sample in range(EACH):
            rows.append({"id": f"{node}-{sample}", "label": node, "lineage": node})
            images.append(draw_image(shown, random))
    return pd.DataFrame(rows), np.stack(images)


def write_tree(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Write images.npy, and table.csv with the path of each sample's node."""
    table, images = draw_tree()
    files = folder / "images.npy", folder / "table.csv"
    np.save(files[0], images)
    table.to_csv(files[1], index=False)
    return {
        "images": len(table),
        "nodes": table["lineage"].nunique(),
        "files": describe_files(*files),
    }


SOURCE = Source(licence="free", write=write_tree, origin="random numbers of a fixed seed")


def read(raw: Path) -> Listing:
    """List the samples of all nodes, inner ones and leaves; a node's path is its label.

    Returns:
        Decoded grey images, uint8, shape (side, side, 1). Leaves are held out.

    Raises:
        InputError: If a file is missing, or images and table have different lengths.
    """
    _, samples = read_stored(raw)
    images = np.load(raw_file(raw, "images.npy"), mmap_mode="r", allow_pickle=False)
    if images.shape != (len(samples), SIDE, SIDE):
        found = f"images of shape {images.shape} and {len(samples)} rows of table.csv"
        raise InputError(f"{raw}: found {found}, expected ({len(samples)}, {SIDE}, {SIDE})")
    pixels = images[..., None]
    return Listing(samples, (), lambda: enumerate(pixels), channels=1, side=SIDE, unit="leaf")
