"""Gromov's delta: how far a metric is from that of a tree.

Of four points there are three ways to pair them, with sums of distances S1 >= S2 >= S3:

    S1 = d(w, x) + d(y, z),  S2 and S3 the other two;   delta = max over quadruples (S1 - S2) / 2

It is 0 in a tree, ln 2 / sqrt(c) in hyperbolic space of curvature -c, and has no bound in a flat
space. Points at nearly equal distances have a small delta too: they are nearly the leaves of a
star. Random points of many dimensions are such, so their delta belongs beside any other.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from geomix.analyze.metric import own_distances
from geomix.geometry.geometry import Geometry


class Delta(NamedTuple):
    """How far a metric is from that of a tree.

    Attributes:
        delta: In the unit of the distances, at least 0.
        diameter: The largest distance.
    """

    delta: float
    diameter: float

    @property
    def relative(self) -> float:
        """2 delta / diameter, in [0, 1]; 0 in a tree, NaN where all points are one."""
        return 2 * self.delta / self.diameter if self.diameter else math.nan


def four_point_delta(distances: np.ndarray) -> Delta:
    """Compute delta over all quadruples, exactly.

    Args:
        distances: Symmetric, (n, n), n > 0, zeros on the diagonal.

    Returns:
        delta, 0 of fewer than four points, and the diameter.

    Raises:
        ValueError: On another shape, or distances that are not symmetric.

    Accuracy:
        Within 4e-16 of the diameter.

    Cost:
        About 5/4 n^4 additions, n^3 numbers at a time.

    Source:
        Gromov 1987, four-point condition. With a fixed base point, as in Khrulkov et al. 2020
        (arXiv:1904.02239), the result may be half of this.
    """
    if distances.ndim != 2 or not distances.size or not np.array_equal(distances, distances.T):
        found = f"shape {distances.shape}"
        raise ValueError(f"distances: found {found}, expected a symmetric table (n, n), n > 0")
    largest = 0.0
    for first in range(len(distances) - 3):
        # Each quadruple once with its first point, and each of the other three as its partner.
        ahead, rest = distances[first, first + 1 :], distances[first + 1 :, first + 1 :]
        sums = ahead[:, None, None] + rest  # (x, y, z): d(w, x) + d(y, z)
        others = np.maximum(sums.transpose(1, 0, 2), sums.transpose(1, 2, 0))
        largest = max(largest, float((sums - others).max()))
    return Delta(largest / 2, float(distances.max()))


def draw_like(
    features: np.ndarray, count: int, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw random points to stand beside features.

    Args:
        features: Shape (N, D), N > 1.
        count: Points to draw.
        random: What draws.

    Yields:
        gaussian, points of a normal distribution with the same mean and covariance; and sphere,
        directions uniform on the sphere, with the mean norm of the features. Both (count, D).
    """
    mean = features.mean(0)
    # Sums of the centred features with independent normal weights have their covariance.
    weights = random.normal(size=(count, len(features))) / math.sqrt(len(features) - 1)
    yield "gaussian", mean + weights @ (features - mean)
    directions = random.normal(size=(count, features.shape[1]))
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    yield "sphere", directions / norms * np.linalg.norm(features, axis=1).mean()


def compare_deltas(
    geometry: Geometry, features: np.ndarray, rows: np.ndarray, random: np.random.Generator
) -> dict[str, Delta]:
    """Compute delta of an embedding in its own geometry, and of random points in the same one.

    Args:
        geometry: That of the embedding.
        features: Of a head, (N, D), float64.
        rows: The sample whose delta is computed, (n,).
        random: What draws n random points of each kind.

    Returns:
        By name: embedding, gaussian and sphere; nothing where the geometry has no metric.
    """
    found = {}
    sets = [("embedding", features[rows]), *draw_like(features, len(rows), random)]
    for name, points in sets:
        distances = own_distances(geometry, torch.from_numpy(points))
        if distances is not None:
            found[name] = four_point_delta(distances)
    return found
