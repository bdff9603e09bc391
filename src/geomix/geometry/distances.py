"""Distances of the flat and the hyperbolic space, the Poincare distance: all formulas are here.

pairwise.py applies them to all pairs of points.

A point is kept as its tangent vector v at the origin (normal coordinates) in both spaces: |v| is
its radius, v / |v| its direction. Coordinates of the ball, tanh(sqrt(c) |v|) v / (sqrt(c) |v|),
round to the boundary where |v| grows; v does not, so nothing is projected, and no cap on the norm
can be mistaken for an effect of curvature.

A distance is a function of a gap: |x - y|^2 / 2 in the flat space, A = cosh(sqrt(c) d) - 1 in the
hyperbolic one. Of points at one radius A is a multiple of the flat gap of their directions. Points
are lifted to coordinates whose inner product is the gap, so one matrix product yields the gaps of
all pairs. Curvature is c > 0: sectional curvature -c, a ball of radius 1 / sqrt(c).
"""

import math

import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.geometry.pairwise import Kernel, pairwise

TINY_NORM = 1e-150  # float64 cannot hold squares of smaller norms


def expmap0(v: Tensor, curvature: float) -> Tensor:
    """Map tangent vectors at the origin into the Poincare ball.

        expmap0(v) = tanh(sqrt(c) |v|) v / (sqrt(c) |v|)

    For exchange with code that keeps points in the ball; the distances here take tangent vectors.

    Args:
        v: Shape (..., D), float64 for points near the boundary.
        curvature: c > 0.

    Returns:
        Shape (..., D). In float64 the norm rounds to 1 / sqrt(c) beyond sqrt(c) |v| = 18.

    Raises:
        InputError: On c <= 0.
    """
    t = math.sqrt(positive_curvature(curvature)) * torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    small = t < 1e-4  # tanh(t) / t = 1 - t^2 / 3 + O(t^4), exact to 1e-16 there
    safe = torch.where(small, 1, t)
    return v * torch.where(small, 1 - t.square() / 3, safe.tanh() / safe)


def logmap0(x: Tensor, curvature: float) -> Tensor:
    """Map points of the Poincare ball to tangent vectors at the origin: the inverse of `expmap0`.

        logmap0(x) = artanh(sqrt(c) |x|) x / (sqrt(c) |x|)

    Args:
        x: Shape (..., D), norms below 1 / sqrt(c).
        curvature: c > 0.

    Returns:
        Shape (..., D).

    Raises:
        InputError: On c <= 0.
    """
    t = math.sqrt(positive_curvature(curvature)) * torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    small = t < 1e-4  # artanh(t) / t = 1 + t^2 / 3 + O(t^4)
    safe = torch.where(small, 0.5, t)
    return x * torch.where(small, 1 + t.square() / 3, safe.atanh() / safe)


def flat_distance(
    x: Tensor,
    y: Tensor,
    factor: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return 2 |x - y| for all pairs, times a factor, from one matrix product.

    Args:
        x: Points (N, D), float64.
        y: Points (M, D), float64. Passing x itself about halves the work.
        factor: Of the result; it costs nothing here.
        dtype: Of the result and of the steps after the product, float64 or float32.

    Returns:
        Shape (N, M). The gradient of a pair at distance 0 is 0.

    Raises:
        ValueError: On shapes that do not fit.

    Accuracy:
        The relative error is at most 1e-16 (D + 16) ((|x| + |y|) / |x - y|)^2, and never worse than
        2e-5, however near the points.
        Steps in float32 add 1e-6, and 1e-18. The gradient of a pair, relative to its norm: 1e-15
        (|x| + |y|) / |x - y|, and the error of the value; 5e-5 in float32.
    """
    return pairwise(x, y, FLAT, 2.0, factor, dtype)


def paired_flat_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return 2 |x - y| for points side by side, (..., D) and (..., D) -> (...)."""
    return 2 * torch.linalg.vector_norm(x - y, dim=-1)


def hyperbolic_distance(
    x: Tensor,
    y: Tensor,
    curvature: float | Tensor,
    factor: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the Poincare distance for all pairs, times a factor, from one matrix product.

        d = arcosh(1 + A) / sqrt(c),
        A = cosh(a - b) - 1 + sinh(a) sinh(b) (1 - cos(x, y)),  a = 2 sqrt(c) |x|, b = 2 sqrt(c) |y|

    This is the distance of the points p = expmap0(x) and q = expmap0(y) of the ball, for which

        A = 2 c |p - q|^2 / ((1 - c |p|^2) (1 - c |q|^2))

    Args:
        x: Tangent vectors at the origin, (N, D), float64; `logmap0` returns that of a point of the
            ball.
        y: Likewise, (M, D). Passing x itself about halves the work.
        curvature: c > 0, or a float64 tensor of one such number, for its gradient.
        factor: Of the result; it costs nothing here.
        dtype: Of the result and of the steps after the product, float64 or float32.

    Returns:
        Shape (N, M). The gradient of a pair at distance 0 is 0.

    Raises:
        InputError: On c <= 0.
        ValueError: On shapes that do not fit.

    Accuracy:
        Let d' = 2 (|x| + |y|) be the distance if the points were opposite. Up to sqrt(c) |x| = 15
        the relative error is at most 1e-16 (D + 16) (cosh(sqrt(c) d') - 1) / (cosh(sqrt(c) d) - 1),
        and never worse than 2e-5, however near the points. Farther out, to 170, it is as if the
        points were moved by 1e-16 of their radius. Steps in float32 add 1e-6, and 1e-18 / sqrt(c).
        The gradient of a pair, relative to its norm: 1e-15 cosh(sqrt(c) d') / sinh(sqrt(c) d), and
        the error of the value; 5e-5 in float32; never worse than 1e-4 up to sqrt(c) |x| = 7,
        however near the points.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833), eqs. 1 to 5: their Moebius addition is the
        hyperbolic law of cosines.
    """
    c = positive_curvature(
        float(curvature.detach() if isinstance(curvature, Tensor) else curvature)
    )
    root = torch.as_tensor(curvature, dtype=x.dtype, device=x.device).sqrt()
    distances = pairwise(x, y, HYPERBOLIC, 2 * root, factor / math.sqrt(c), dtype)
    if root.requires_grad:
        # The value has this factor already; multiplying by 1 adds the gradient of 1 / sqrt(c).
        distances = distances * (math.sqrt(c) / root).to(dtype)
    return distances


def paired_hyperbolic_distance(x: Tensor, y: Tensor, curvature: float | Tensor) -> Tensor:
    """Return the Poincare distance of points side by side, from explicit differences.

    Args:
        x: Tangent vectors at the origin, (..., D).
        y: Likewise, (..., D).
        curvature: As for `hyperbolic_distance`.

    Returns:
        Shape (...).
    """
    root = curvature.sqrt() if isinstance(curvature, Tensor) else math.sqrt(curvature)
    gaps = _hyperbolic_gap(x, y, torch.as_tensor(2 * root, dtype=x.dtype, device=x.device))
    return _arcosh_above(gaps) / root


def power_distance(
    x: Tensor,
    y: Tensor,
    curvature: float,
    radius: float,
    factor: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the Poincare distance of points at one radius for all pairs, times a factor.

        d = arcosh(1 + S (1 - cos(x, y))) / sqrt(c),  S = sinh(2 sqrt(c) radius)^2

    1 - cos = |x - y|^2 / 2 for unit vectors, so that S (1 - cos) is the flat gap of points at the
    scale sqrt(S), and near pairs are kept apart as there.

    Args:
        x: Unit vectors (N, D), float64: the directions of the points.
        y: Likewise, (M, D). Passing x itself about halves the work.
        curvature: c > 0.
        radius: Of all points, as tangent vectors at the origin; sqrt(c) radius is at most 170.
        factor: Of the result; it costs nothing here.
        dtype: Of the result and of the steps after the product, float64 or float32.

    Returns:
        Shape (N, M), from 0 to 4 radius. The gradient of a pair at distance 0 is 0.

    Raises:
        InputError: On c <= 0.
        ValueError: On shapes that do not fit.

    Accuracy:
        The relative error is that of `flat_distance`, and 1e-15 (1 + sqrt(c) radius). Steps in
        float32 add 1e-6, and 1e-18 / sqrt(c), which is at most 3e-9 radius.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833), eqs. 1 to 5, for points of equal norm.
    """
    scale = power_scale(curvature, radius)
    return pairwise(x, y, POWER, scale, factor / math.sqrt(curvature), dtype)


def paired_power_distance(x: Tensor, y: Tensor, curvature: float, radius: float) -> Tensor:
    """Return the distance of `power_distance` for unit vectors side by side.

    Args:
        x: Unit vectors, (..., D).
        y: Likewise, (..., D).
        curvature: As for `power_distance`.
        radius: Likewise.

    Returns:
        Shape (...).
    """
    gaps = _flat_gap(x, y, x.new_tensor(power_scale(curvature, radius)))
    return _arcosh_above(gaps) / math.sqrt(curvature)


def power_scale(curvature: float, radius: float) -> float:
    """Return sinh(2 sqrt(c) radius), the scale of unit vectors in `power_distance`."""
    return math.sinh(2 * math.sqrt(positive_curvature(curvature)) * radius)


def positive_curvature(curvature: float) -> float:
    """Return a curvature, or raise InputError unless it is a positive number."""
    if not 0 < curvature < math.inf:
        raise InputError(
            f"curvature: found {curvature}, expected c > 0 (the flat space is the limit c = 0)"
        )
    return curvature


def _arcosh_above(gaps: Tensor) -> Tensor:
    """Return arcosh(1 + gap)."""
    return torch.log1p(gaps + gaps.sqrt() * (gaps + 2).sqrt())


def _hyperbolic_lift(norms: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    a = norms * scale
    return 2 * (a / 2).sinh().square(), scale * _sinhc(a)  # cosh(a) - 1, and sinh(a) / |x|


def _hyperbolic_drop(
    x: Tensor, norms: Tensor, scale: Tensor, height: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    a, safe = norms * scale, norms.clamp_min(1e-300)
    across, along = scale * _sinhc(a), scale * a.cosh()  # slopes of sinh(a) x / |x|
    outward = torch.linalg.vecdot(place, x).unsqueeze(-1)
    upward = height * a.sinh()
    radial = (outward / safe * (along - across) + upward * scale) / safe
    return place.mul_(across).addcmul_(x, radial), (upward * norms + outward * a.cosh()).sum()


def _hyperbolic_gap(x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    norm_x, norm_y = (
        torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp_min(TINY_NORM) for v in (x, y)
    )
    # The difference of near points is exact; those of their norms and of their directions are not.
    step = x - y
    longer = (step * ((x + y) / (norm_x + norm_y))).sum(-1, keepdim=True)  # |x| - |y|
    # step - (|x| - |y|) y / |y| is |x| times the difference of directions, and so with x for y.
    # The direction of the shorter vector is taken: it may be the origin, which has none.
    outer = norm_x < norm_y
    shorter = torch.where(outer, x / norm_x, y / norm_y)
    longest = torch.where(outer, norm_y, norm_x)
    turn = ((step - longer * shorter) / longest).square().sum(-1) / 2  # 1 - cos
    a, b, rise = (scale * length.squeeze(-1) for length in (norm_x, norm_y, longer))
    return 2 * (rise / 2).sinh().square() + a.sinh() * b.sinh() * turn


def _hyperbolic_widest(radii: Tensor) -> Tensor:
    return 2 * (radii / 2).sinh().square()


def _hyperbolic_measure(gaps: Tensor, inverses: Tensor) -> Tensor:
    # sqrt(A (A + 2) / 2): one root where float32 holds the product (see SINGLE), two elsewhere
    if gaps.dtype == torch.float32:
        torch.addcmul(gaps, gaps, gaps, value=0.5, out=inverses).sqrt_()
    else:
        torch.add(gaps / 2, 1, out=inverses).sqrt_().mul_(gaps.sqrt())
    return gaps.add_(inverses, alpha=math.sqrt(2)).log1p_()


def _flat_lift(norms: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return (norms * scale).square() / 2, scale.expand(norms.shape)


def _flat_drop(
    x: Tensor, norms: Tensor, scale: Tensor, height: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    moved = place.addcmul_(x, height * scale)
    by_scale = torch.linalg.vecdot(moved, x).sum()
    return moved.mul_(scale), by_scale


def _flat_gap(x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    return ((x - y) * scale).square().sum(-1) / 2


def _flat_widest(radii: Tensor) -> Tensor:
    return radii.square() / 2


def _flat_measure(gaps: Tensor, inverses: Tensor) -> Tensor:
    torch.sqrt(gaps, out=inverses)
    return gaps.copy_(inverses)


def _sinhc(a: Tensor) -> Tensor:
    """Return sinh(a) / a."""
    small = a < 1e-4  # 1 + a^2 / 6 + O(a^4)
    safe = torch.where(small, 1, a)
    return torch.where(small, 1 + a.square() / 6, safe.sinh() / safe)


FLAT = Kernel(
    _flat_lift,
    _flat_drop,
    0.0,
    _flat_gap,
    _flat_widest,
    _flat_measure,
    math.sqrt(2),
    math.sqrt(0.5),
)
HYPERBOLIC = Kernel(
    _hyperbolic_lift,
    _hyperbolic_drop,
    1.0,
    _hyperbolic_gap,
    _hyperbolic_widest,
    _hyperbolic_measure,
    1.0,
    math.sqrt(0.5),
)
POWER = Kernel(
    _flat_lift,
    _flat_drop,
    0.0,
    _flat_gap,
    _flat_widest,
    _hyperbolic_measure,
    1.0,
    math.sqrt(0.5),
)
