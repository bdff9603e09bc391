"""A picture of an embedding in the Poincare disk: its two main directions at the origin."""

import math
from typing import NamedTuple

import numpy as np


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
