"""Distances of placed points in the geometry that placed them.

    d(x, y) = sum_k  weight_k * d_k(x, y)

d_k is the Poincare distance in a ball, 2 |x - y| in a flat space, the distance at one radius in a
power kernel, and the angle in radians where the similarity is a cosine: 1 - cos itself is no
metric. A sum of metrics is one. An inner product has none.
"""

import numpy as np
import torch
from torch import Tensor

from geomix.geometry.distances import flat_distance
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Space


def own_distances(geometry: Geometry, features: Tensor) -> np.ndarray | None:
    """Return the distances of all pairs of features in their own geometry.

    Args:
        geometry: Without its temperature, which no metric has.
        features: Of a head, (N, D), float64.

    Returns:
        Symmetric with zeros on the diagonal, float64 (N, N); None where a space is an inner
        product.

    Accuracy:
        That of `hyperbolic_distance` and `flat_distance`.
    """
    total = torch.zeros(len(features), len(features), dtype=torch.float64)
    for (space, weight), points in zip(geometry.parts, geometry.place(features), strict=True):
        distances = _measure(space, points)
        if distances is None:
            return None
        total += weight * distances
    both: np.ndarray = ((total + total.T) / 2).fill_diagonal_(0).numpy()
    return both


def _measure(space: Space, points: Tensor) -> Tensor | None:
    """Return the distances of points in one space, (N, N), or None if it has no metric."""
    kind = space.describe()["space"]
    if kind == "inner":
        return None
    if kind == "sphere":
        half_chords = flat_distance(points, points, 0.25)  # 2 |x - y| / 4
        return 2 * half_chords.clamp_max(1).asin()
    return space.similarity(points, points, -1.0)
