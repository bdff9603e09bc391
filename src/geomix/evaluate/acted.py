"""What acted in a geometry: cone, radii, bend of the loss, and negatives that count.

All of it is measured on stored embeddings. A negative j of an anchor i, an item of another class or
an unrelated one, has the weight

    p_ij = exp l_ij / sum_k exp l_ik,  k over the anchor's negatives, l the logits

Up to one factor for each anchor, this is its share of the gradient of a softmax loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import isotonic_regression, nnls
from torch import Tensor

from geomix.evaluate.cells import space_evenly
from geomix.geometry.distances import flat_distance
from geomix.geometry.geometry import Geometry, Points, cosine, describe_radii
from geomix.geometry.spaces import unit
from geomix.retrieval.metrics import rank_correlation

Differs = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows (A,) and (M,) -> booleans (A, M)

CORRELATED = 128  # queries, evenly spaced, behind a rank correlation
ANCHORS = 256  # queries, evenly spaced, whose negatives are weighed
NEGATIVES = 2048  # gallery items, evenly spaced, among which they are: all of a small split
LIGHTEST = 1e-12  # weight of a negative below which a bend leaves it out
ALIKE = 1e-9  # distances that differ by less than this part of the largest are one
ROUNDS = 8  # of fitting increasing functions and offsets in turn


def other_class(labels: np.ndarray) -> Differs:
    """Return which rows are negatives of which: those of another label, of labels (N,)."""
    return lambda anchors, items: labels[anchors][:, None] != labels[items]


def describe_points(geometry: Geometry, vectors: Tensor) -> dict[str, float]:
    """Describe what the geometry made of embeddings (N, D).

    Returns:
        curved, whether a space has a curvature; the share of points at the clip radius, mean and
        s.d. of the radii (NaN without a radius), and the mean rank correlation of each query's
        gallery between cosine and the geometry's own similarity.
    """
    sample = vectors[space_evenly(len(vectors), CORRELATED)]
    pairs = [
        space.similarity(space.place(sample), space.place(vectors)).numpy()
        for space in (geometry, cosine())
    ]
    curved = any("curvature" in space for space in geometry.describe()["spaces"])
    radii = describe_radii(geometry.radii(geometry.place(vectors)), geometry.clip_radius)
    return {"curved": curved, **radii, "rank_correlation": rank_correlation(*pairs)}


def describe_acted(
    geometry: Geometry,
    vectors: Tensor,
    differs: Differs,
    queries: np.ndarray,
    gallery: np.ndarray,
) -> dict[str, float]:
    """Describe what acted in a geometry.

    Anchors are up to 256 queries, evenly spaced. Their negatives are all that differ from them in
    the gallery, or among 2,048 of its items, evenly spaced, where it has more. A batch of training
    has fewer negatives, so the effective ones are to be read beside their number.

    Args:
        geometry: As it was trained, with its temperature.
        vectors: Embeddings of all that is compared, (N, D), float64.
        differs: Which items are negatives of which anchors, by rows of `vectors`.
        queries: Rows among them, (Q,).
        gallery: Likewise, (G,).

    Returns:
        radius_relative from `radius_in_curvature`; bend and bend_beyond_kernel in nats, NaN without
        a ball or its kernel at one radius; effective_negatives, and negatives, their mean number.
        The last four are NaN where no query has a negative.
    """
    anchors = queries[space_evenly(len(queries), ANCHORS)]
    items = gallery[space_evenly(len(gallery), NEGATIVES)]
    negative = differs(anchors, items)  # (A, M)
    anchors, negative = anchors[negative.any(1)], negative[negative.any(1)]
    points = geometry.place(vectors)
    described = dict.fromkeys(
        ("bend", "bend_beyond_kernel", "effective_negatives", "negatives"), math.nan
    )
    described |= {"radius_relative": radius_in_curvature(geometry, points)}
    if not len(anchors):
        return described
    x, y = ([placed[rows] for placed in points] for rows in (anchors, items))
    logits = geometry.similarity(x, y) / geometry.tau
    weights = weigh_negatives(logits, torch.from_numpy(negative))
    described["effective_negatives"] = effective_number(weights)
    described["negatives"] = float(negative.sum(1).mean())
    if pairs := compare_curved(geometry, x, y):
        curved, flat = zip(*pairs, strict=True)
        described["bend"] = bend(weights, curved, flat)
        described["bend_beyond_kernel"] = bend_beyond_kernel(weights, curved, flat)
    return described


def spread_degrees(vectors: Tensor) -> float:
    """Say how far vectors point apart.

    It is the angle whose cosine is their mean cosine with their mean direction.

    Args:
        vectors: (N, D), float64.

    Returns:
        Degrees in [0, 90]; 0 where all point one way, near 90 where no direction prevails.

    Accuracy:
        Within 1e-15 / angle, relatively, for an angle in radians.
    """
    directions = unit(vectors)
    mean = unit(directions.mean(0))
    # 1 - cos = |u - m|^2 / 2 of unit vectors loses no digit where the angle is small; a zero vector
    # has the cosine 0, and so has every vector where the mean is zero.
    gaps = (directions - mean).square().sum(1) / 2
    either = (directions == 0).all(1) | (mean == 0).all()
    gap = float(torch.where(either, 1.0, gaps).mean())
    return math.degrees(2 * math.asin(math.sqrt(min(gap, 1) / 2)))  # 1 - cos = 2 sin^2(angle / 2)


def radius_in_curvature(geometry: Geometry, points: Points) -> float:
    """Return the mean radius of points in the first ball, in radii of curvature: sqrt(c) mean |v|.

    With a free scale and temperature this product alone says how curved a ball is: curvature c at
    radii r has the distances, up to one factor, of curvature 1 at radii sqrt(c) r.

    Args:
        geometry: Without a ball the radius is NaN.
        points: As the geometry places them.
    """
    for (space, _), placed in zip(geometry.parts, points, strict=True):
        curvature, radii = space.describe().get("curvature"), space.radii(placed)
        if curvature is not None and radii is not None:
            return math.sqrt(curvature) * float(radii.mean())
    return math.nan


def weigh_negatives(logits: Tensor, differs: Tensor) -> Tensor:
    """Return the softmax of logits over the negatives of each anchor.

    Args:
        logits: (A, M), float64.
        differs: Whether an item is a negative of an anchor, (A, M), at least one in a row.

    Returns:
        (A, M), each row with sum 1; 0 where an item is no negative.
    """
    return logits.masked_fill(~differs, -math.inf).softmax(1)


def effective_number(weights: Tensor) -> float:
    """Return exp of the entropy of the weights of an anchor's negatives, mean over anchors.

    Args:
        weights: From `weigh_negatives`, (A, M).

    Returns:
        From 1, where one negative has all the weight, to the number of negatives, where all weigh
        alike.
    """
    return float(torch.special.entr(weights).sum(1).exp().mean())


def compare_curved(geometry: Geometry, x: Points, y: Points) -> list[tuple[Tensor, Tensor]]:
    """Return what each curved space takes from the logits, and what its flat limit would take.

        weight * d_c(x, y) / tau  and  weight * 2 |x - y| / tau

    A curved space is a ball, or its kernel at one radius. The flat limit of that kernel is taken at
    radius 1: `bend` leaves a factor free.

    Args:
        geometry: With its weights and temperature.
        x: Points of anchors, (A, D) in each space.
        y: Points of items, (M, D) in each space.

    Returns:
        Two tensors (A, M) in nats for each curved space.
    """
    pairs = []
    for (space, weight), a, b in zip(geometry.parts, x, y, strict=True):
        if "curvature" in space.describe():
            factor = weight / geometry.tau
            pairs.append((space.similarity(a, b, -factor), flat_distance(a, b, factor)))
    return pairs


@dataclass(frozen=True)
class Pairs:
    """Anchors and those of their negatives that weigh anything.

    Attributes:
        anchor: Number of each pair's anchor, 0 ... A - 1, rising, (n,).
        weight: Of the negative, positive, (n,).
        chosen: Which of all pairs these are, booleans (A, M).
    """

    anchor: np.ndarray
    weight: np.ndarray
    chosen: Tensor

    def centre(self, values: np.ndarray) -> np.ndarray:
        """Subtract from values (n,) their weighted mean over the pairs of an anchor."""
        weights, sums = (np.bincount(self.anchor, self.weight * part) for part in (1, values))
        centred: np.ndarray = values - (sums / weights)[self.anchor]
        return centred

    def deviation(self, values: np.ndarray) -> float:
        """Return the root of the mean over anchors of the weighted variance of values (n,)."""
        variances = np.bincount(self.anchor, self.weight * self.centre(values) ** 2)
        return math.sqrt(variances.mean())

    def remainder(self, values: np.ndarray, grounds: Sequence[np.ndarray]) -> np.ndarray:
        """Subtract from values (n,) the multiples >= 0 of grounds that leave least deviation."""
        root = np.sqrt(self.weight)
        sides = np.stack([root * self.centre(ground) for ground in grounds], 1)
        sizes = np.linalg.norm([root * ground for ground in grounds], axis=1)
        sides[:, np.linalg.norm(sides, axis=0) <= ALIKE * sizes] = 0  # rounding explains nothing
        factors, _ = nnls(sides, root * self.centre(values))
        return values - np.stack(grounds, 1) @ factors


def bend(weights: Tensor, curved: Sequence[Tensor], flat: Sequence[Tensor]) -> float:
    """Return how far curved spaces bend the loss away from their flat limits, in nats.

        bend^2 = mean_i  Var_i( sum_b (c_b - k_b f_b) )

    Var_i is the variance over the negatives of anchor i with weights p_ij: a softmax does not see
    what all of an anchor's logits share. k_b >= 0 is one number for all anchors, the one that makes
    the bend least, because a temperature, or the weight of the ball, undoes it.

    Args:
        weights: p, from `weigh_negatives`, (A, M).
        curved: c_b, weighted distances in each curved space over temperature, (A, M) each.
        flat: f_b, those of the flat limits, from the same points.

    Returns:
        At least 0; 0 where the spaces are their flat limits up to a factor.
    """
    pairs = _choose_pairs(weights)
    grounds = [one[pairs.chosen].numpy() for one in flat]
    return pairs.deviation(pairs.remainder(_total(pairs, curved), grounds))


def bend_beyond_kernel(weights: Tensor, curved: Sequence[Tensor], flat: Sequence[Tensor]) -> float:
    """Return the part of the bend that no function of the flat distance explains, in nats.

        mean_i  Var_i( sum_b (c_b - g_b(f_b)) ),  least over all increasing functions g_b

    and its root, as for `bend`. Each g_b is one function for all anchors: with it the flat distance
    alone, as another kernel, has the same softmax. At a common radius d_c is such a function, and
    the result is 0.

    Args:
        weights: p, from `weigh_negatives`, (A, M).
        curved: c_b, weighted distances in each curved space over temperature, (A, M) each.
        flat: f_b, those of the flat limits, from the same points.

    Returns:
        In [0, bend].

    Accuracy:
        Var_i leaves an offset free for each anchor. Isotonic regression and offsets are fitted in
        turn, a few times, which can only leave the result too high: by a few hundredths where
        radii vary by half.
    """
    pairs = _choose_pairs(weights)
    parts, grounds = ([one[pairs.chosen].numpy() for one in side] for side in (curved, flat))
    levels = [_number_levels(ground) for ground in grounds]
    total = _total(pairs, curved)
    # At a common radius these fits are perfect, and near the flat limit multiples of f are.
    fits = [_fit_increasing(pairs, *one) for one in zip(parts, levels, strict=True)]
    rest = pairs.remainder(total, [*grounds, *fits])
    offsets = ahead = rest - pairs.centre(rest)
    for step in range(ROUNDS):
        for place, level in enumerate(levels):
            others = sum(fits) - fits[place]
            fits[place] = _fit_increasing(pairs, total - ahead - others, level)
        rest = total - sum(fits)
        former, offsets = offsets, rest - pairs.centre(rest)
        ahead = offsets + step / (step + 3) * (offsets - former)  # accelerates the descent
    linear = pairs.deviation(pairs.remainder(total, grounds))
    return min(pairs.deviation(rest), linear)  # k_b f_b is an increasing function too


def _choose_pairs(weights: Tensor) -> Pairs:
    """Choose the pairs that weigh anything, of weights (A, M): a few where the temperature is low.

    The others add less than 1e-12 times their squared deviation, some hundreds of nats^2.
    """
    chosen = weights > LIGHTEST
    return Pairs(chosen.nonzero()[:, 0].numpy(), weights[chosen].numpy(), chosen)


def _total(pairs: Pairs, parts: Sequence[Tensor]) -> np.ndarray:
    """Sum the parts of the chosen pairs, (n,)."""
    return np.sum([part[pairs.chosen].numpy() for part in parts], axis=0)


def _number_levels(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values (n,), equal where rounding alone may tell them apart."""
    steps = np.round(values / max(ALIKE * values.max(), 1e-300))
    levels: np.ndarray = np.unique(steps, return_inverse=True)[1]
    return levels


def _fit_increasing(pairs: Pairs, values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Fit an increasing function of levels by weighted least squares.

    Args:
        pairs: With their weights.
        values: (n,).
        levels: Integers 0 ... L - 1, (n,), each at least once. Equal ones get one value.

    Returns:
        The function at the level of each value, (n,).
    """
    weights, sums = (np.bincount(levels, pairs.weight * part) for part in (1, values))
    fitted: np.ndarray = isotonic_regression(sums / weights, weights=weights).x[levels]
    return fitted
