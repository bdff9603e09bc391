"""Grid: vectors at the points of a grid in the plane, the case where curvature must not help.

A point's input is a smooth, bent image of its coordinates, the tanh of a random linear lift.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, read_stored, read_vectors
from geomix.datasets.sources import Source, describe_files

SIDE = 18  # points; 324 in all
DIMENSIONS = 64
HELD_OUT = 1 / 3  # of the points, half of it val and half test
COORDINATES = ("x", "y")
SEED = 0


def draw_grid() -> tuple[pd.DataFrame, np.ndarray]:
    """Draw the grid.

    Returns:
        The table: a row for each of N points with its coordinates, 0 to 17, and its split; and the
        inputs, float32, (N, D).
    """
    points = np.indices((SIDE, SIDE)).reshape(2, -1).T
    random = np.random.default_rng(SEED)
    lift = random.standard_normal((2, DIMENSIONS))
    vectors = np.tanh((2 * points / (SIDE - 1) - 1) @ lift)  # coordinates from -1 to 1
    names = [f"{x}-{y}" for x, y in points]
    table = pd.DataFrame({"id": names, "label": names, "x": points[:, 0], "y": points[:, 1]})
    held_out = random.permutation(len(points))[: round(HELD_OUT * len(points))]
    half = len(held_out) // 2
    split = np.full(len(points), "train", dtype=object)
    split[held_out[:half]], split[held_out[half:]] = "val", "test"
    return table.assign(split=split), vectors.astype(np.float32)


def write_grid(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Write vectors.npy, and table.csv with the coordinates and the split of each point."""
    table, vectors = draw_grid()
    files = folder / "vectors.npy", folder / "table.csv"
    np.save(files[0], vectors)
    table.to_csv(files[1], index=False)
    return {"points": len(table), "dimensions": DIMENSIONS, "files": describe_files(*files)}


SOURCE = Source(licence="free", write=write_grid, origin="random numbers of a fixed seed")


def read(raw: Path) -> Listing:
    """List the points, each one a class of its own, without a hierarchy but with coordinates.

    Returns:
        Vectors, with an official split: a third of the points is held out.

    Raises:
        InputError: If a file is missing, or vectors and table have different lengths.
    """
    _, samples = read_stored(raw)
    vectors = read_vectors(raw, len(samples))
    return Listing(
        samples,
        (),
        lambda: enumerate(vectors),
        DIMENSIONS,
        form="vectors",
        coordinates=COORDINATES,
    )
