"""Pictures of an embedding in the Poincare disk: two main directions, and a layout by UMAP."""

import math
import os
import warnings
from typing import NamedTuple

import numpy as np

NEAREST = 15  # neighbours of a point that UMAP keeps near, its own number
PASSES = 100  # of UMAP over all pairs of neighbours


class Disk(NamedTuple):
    """Points in the disk.

    Attributes:
        places: Shape (n, 2), norms below 1.
        share: Of the squared radii that the two directions hold, in [0, 1].
    """

    places: np.ndarray
    share: float


def place_in_disk(tangents: np.ndarray, curvature: float) -> Disk:
    """Project tangent vectors to the plane that keeps most of their squares, then into the disk.

        tanh(sqrt(c) |w|) w / |w|,  w the part of a tangent vector in the plane

    The plane goes through the origin, so that the centre of the disk is that of the ball.

    Args:
        tangents: At the origin, (n, D), n > 0.
        curvature: c > 0.
    """
    sizes, directions = np.linalg.eigh(tangents.T @ tangents)  # rising
    directions = directions[:, ::-1][:, :2]
    # The number of largest size in a direction is positive, so that signs repeat.
    largest = np.abs(directions).argmax(0)
    directions = directions * np.sign(directions[largest, range(directions.shape[1])])
    plane = np.zeros((len(tangents), 2))
    plane[:, : directions.shape[1]] = tangents @ directions
    norms = np.linalg.norm(plane, axis=1, keepdims=True)
    places = plane * (np.tanh(math.sqrt(curvature) * norms) / np.where(norms > 0, norms, 1))
    total = max(float(sizes.sum()), np.finfo(np.float64).tiny)
    return Disk(places, float(sizes[::-1][:2].sum()) / total)


def lay_out(distances: np.ndarray) -> np.ndarray:
    """Lay points out in the disk by UMAP, so that those which are near stay near.

    Radii of the picture are not those of the embedding, and what lies far apart need not be far.

    Args:
        distances: Of all pairs, symmetric, float64 (n, n), n at least 4.

    Returns:
        Shape (n, 2), norms below 1, the mean at the origin; the same bytes every time.

    Source:
        umap-learn with `output_metric="hyperboloid"` (McInnes et al. 2018, arXiv:1802.03426).
    """
    # What numba would compile takes longer than a layout of a few hundred points.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba that does not compile, and of a fixed seed
        import umap

        layout = umap.UMAP(
            n_neighbors=min(NEAREST, len(distances) - 1),
            metric="precomputed",
            output_metric="hyperboloid",
            n_epochs=PASSES,
            init="random",
            random_state=0,
            n_jobs=1,
        )
        plane = layout.fit_transform(distances.astype(np.float32)).astype(np.float64)
    return centre_plane(plane)


def centre_plane(plane: np.ndarray) -> np.ndarray:
    """Move points of the hyperbolic plane so that their mean is the centre of the disk.

    Args:
        plane: Coordinates x, y on the hyperboloid of height sqrt(1 + x^2 + y^2), (n, 2).

    Returns:
        Their places in the disk, (n, 2): all distances between them stay.
    """
    x, y = plane.T
    heights = np.sqrt(1 + x**2 + y**2)
    points = (x + 1j * y) / (1 + heights)
    total = x.sum() + 1j * y.sum(), heights.sum()
    # The mean on the hyperboloid is the sum over its Lorentzian norm.
    mean = total[0] / (total[1] + math.sqrt(total[1] ** 2 - abs(total[0]) ** 2))
    moved = (points - mean) / (1 - np.conj(mean) * points)
    return np.stack([moved.real, moved.imag], 1)
