"""The weight of a negative in the gradient of the loss, and its pull on a cosine.

A term of `pairwise_cross_entropy` has an anchor x, a positive x+ and negatives x-. With D the
negated logit, minus the similarity over the temperature,

    p_j = exp(D_+ - D_j) / (1 + sum_k exp(D_+ - D_k))
    grad of the term = sum_j p_j grad(D_+ - D_j)

so p_j is the softmax of the logits over the positive and all negatives. The pull of a negative is

    p_j d logit_j / d cos_j

with cos_j the cosine of the head's outputs of x and x-, whose norms are held: a step of the cosine
moves the loss by so much.

Source:
    Yue et al. 2024 (arXiv:2404.15523) call the weight p(x-). Their printed formula was not found;
    this is that of the softmax.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from geomix.geometry.geometry import Geometry, Points
from geomix.geometry.spaces import Space

LIGHTEST = 1e-30  # weights below count as this: near 1e-308 float64 becomes slow
TEMPERATURES = (1e-6, 1e6)  # factors on the first guess between which a temperature is sought


def draw_batches(labels: np.ndarray, classes: int, images: int, seed: int) -> np.ndarray:
    """Draw batches of training's shape, so that no class is in two of them.

    Args:
        labels: Of N items, (N,).
        classes: P in a batch; all where there are fewer.
        images: K of each; the size of the second largest class where that is smaller, so that two
            classes have as many.
        seed: Of the draw.

    Returns:
        Rows of labels, int64 (B, K, P): view by view, classes in one order in all views. Classes
        with fewer than K items are left out, and those that fill no batch. Nothing, (0, K, P), of
        fewer than two classes with two items.
    """
    random = np.random.default_rng(seed)
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    images = min(images, int(np.sort(counts)[-2:][0])) if len(counts) > 1 else 1
    able = random.permutation(np.flatnonzero(counts >= images))
    classes = min(classes, len(able))
    if images < 2:
        return np.empty((0, images, classes), np.int64)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    filled = able[: len(able) // classes * classes]
    rows = np.stack([random.permutation(members[one])[:images] for one in filled])  # (B P, K)
    return rows.reshape(-1, classes, images).transpose(0, 2, 1)


@dataclass(frozen=True)
class Terms:
    """The T = B K (K - 1) P terms of the loss over B batches of K views of P classes.

    Attributes:
        shape: B, K and P.
        positives: The similarity of each term's positive, (T,); see `collect_terms`.
        negatives: Those of its N negatives, (T, N).
        slopes: How fast these rise with the cosine, (T, N); see `cosine_slopes`.
    """

    shape: tuple[int, int, int]
    positives: Tensor
    negatives: Tensor
    slopes: Tensor

    def weigh(self, tau: float) -> Tensor:
        """Return p of each negative at a temperature, (T, N)."""
        return weigh_terms(self.positives / tau, self.negatives / tau)

    def count_effective(self, tau: float) -> Tensor:
        """Return the effective negatives of each term, from 1 to N, (T,)."""
        shares = (self.negatives / tau).log_softmax(1).clamp_min(math.log(LIGHTEST))
        return (-shares.exp() * shares).sum(1).exp()

    def match(self, effective: float, near: float) -> float:
        """Return the temperature at which terms have that many effective negatives, on average.

        Args:
            effective: Between 1 and N.
            near: A temperature from which it is at most a factor of a million away.

        Returns:
            Within 1e-6 of it, relatively; NaN where no temperature has that many.
        """

        def excess(log_factor: float) -> float:
            """Return how many effective negatives there are too many, at a factor of near."""
            return float(self.count_effective(near * math.exp(log_factor)).mean()) - effective

        low, high = map(math.log, TEMPERATURES)
        if not excess(low) < 0 < excess(high):
            return math.nan
        return near * math.exp(brentq(excess, low, high, xtol=1e-7))

    def by_anchor(self, values: Tensor) -> np.ndarray:
        """Average values of terms, (T,), over the positives of an anchor, (B K P,)."""
        batches, views, classes = self.shape
        averaged: np.ndarray = values.view(batches, views, views - 1, classes).mean(2).numpy()
        return averaged.ravel()


def gather_terms(geometry: Geometry, vectors: Tensor, batches: np.ndarray) -> Terms:
    """Gather the terms of batches in a geometry, whatever its temperature.

    Args:
        geometry: Its temperature does not count.
        vectors: Outputs of the head, (N, D), float64.
        batches: Rows of them, (B, K, P), from `draw_batches`.
    """
    count, views, classes = batches.shape
    similarities, slopes = [], []
    for rows in batches.reshape(count, -1):
        points = geometry.place(vectors[rows])
        similarities.append(geometry.similarity(points, points))
        slopes.append(cosine_slopes(geometry, points))
    shape = (count, views, classes, views, classes)
    positives, negatives = collect_terms(torch.stack(similarities).view(shape))
    _, steep = collect_terms(torch.stack(slopes).view(shape))
    return Terms((count, views, classes), positives, negatives, steep)


def collect_terms(pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Collect the terms of the loss from what is known of all pairs of each batch.

    Args:
        pairs: (B, K, P, K, P), batches of K views of P classes with themselves.

    Returns:
        Of the positive of each term, (T,), and of its negatives, (T, 2 (P - 1)), with
        T = B K (K - 1) P: by batch, view of the anchor, view of the positive, and class.
    """
    _, views, classes, *_ = pairs.shape
    others = [(i, j) for i in range(views) for j in range(views) if i != j]
    first, second = torch.tensor(others).T
    across = pairs.transpose(2, 3)[:, first, second]  # (B, K (K - 1), P, P)
    within = pairs.transpose(2, 3)[:, first, first]
    positives = across.diagonal(dim1=2, dim2=3).flatten()
    unlike = ~torch.eye(classes, dtype=torch.bool)
    sides = [side[:, :, unlike].unflatten(2, (classes, -1)) for side in (within, across)]
    negatives = torch.cat(sides, 3)
    return positives, negatives.flatten(0, 2)


def weigh_terms(positives: Tensor, negatives: Tensor) -> Tensor:
    """Return p of each negative.

    Args:
        positives: The logit of each term's positive, (T,).
        negatives: Those of its negatives, (T, N).

    Returns:
        (T, N), at least 1e-30; a row sums to 1 minus the share of the positive.
    """
    logs = torch.cat([positives.unsqueeze(1), negatives], 1).log_softmax(1)[:, 1:]
    return logs.clamp_min(math.log(LIGHTEST)).exp()


def cosine_slopes(geometry: Geometry, points: Points) -> Tensor:
    """Return how fast the similarity of two points rises with their cosine.

    The cosine is that of the head's outputs, whose norms are held. Of a distance the slope has no
    bound as two points become one.

    Args:
        geometry: Its temperature does not count.
        points: As it places them, N of them.

    Returns:
        d similarity / d cos, (N, N), positive; NaN where spaces see different outputs of the head,
        so that no single cosine is behind a similarity.
    """
    size = len(points[0])
    if any(outputs is not None for outputs in geometry.outputs):
        return points[0].new_full((size, size), math.nan)
    parts = zip(geometry.parts, points, strict=True)
    slopes = [
        weight * SLOPES[space.describe()["space"]](space, placed)
        for (space, weight), placed in parts
    ]
    return torch.stack(slopes).sum(0)


def _sphere_slopes(space: Space, points: Tensor) -> Tensor:
    """Return 1: the similarity is the cosine."""
    return points.new_ones((len(points), len(points)))


def _inner_slopes(space: Space, points: Tensor) -> Tensor:
    """Return |x| |y|, of |x| |y| cos."""
    radii = torch.linalg.vector_norm(points, dim=1)
    return torch.outer(radii, radii)


def _flat_slopes(space: Space, points: Tensor) -> Tensor:
    """Return 4 |x| |y| / d, of d^2 = 4 (|x|^2 + |y|^2 - 2 |x| |y| cos)."""
    return 4 * _inner_slopes(space, points) / -space.similarity(points, points)


def _ball_slopes(space: Space, points: Tensor) -> Tensor:
    """Return the slope by the hyperbolic law of cosines, with sides twice the tangent norms.

    cosh(k d) = cosh(a) cosh(b) - sinh(a) sinh(b) cos,  k = sqrt(c), a = 2 k |x|, b = 2 k |y|
    slope = sinh(a) sinh(b) / (k sinh(k d))
    """
    root = math.sqrt(space.describe()["curvature"])
    sides = (2 * root * torch.linalg.vector_norm(points, dim=1)).sinh()
    distances = -space.similarity(points, points)
    return torch.outer(sides, sides) / (root * (root * distances).sinh())


def _power_slopes(space: Space, points: Tensor) -> Tensor:
    """Return that of a ball whose points all have the radius of the kernel."""
    described = space.describe()
    root = math.sqrt(described["curvature"])
    strength = math.sinh(2 * root * described["radius"]) ** 2
    return strength / (root * (-root * space.similarity(points, points)).sinh())


SLOPES: dict[str, Callable[[Space, Tensor], Tensor]] = {
    "sphere": _sphere_slopes,
    "inner": _inner_slopes,
    "flat": _flat_slopes,
    "ball": _ball_slopes,
    "power": _power_slopes,
}
