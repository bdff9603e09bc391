"""Distances in flat and hyperbolic space: one matrix product, exact in float64, with the backward written out.

Pairwise distances are never an (N, M, D) tensor. They are computed in float64, since in float32 the product loses near
pairs; autograd would give 0 * inf where two points coincide. Nothing is projected: a cap on the norm looks like an effect
of curvature. Curvature is c > 0: sectional curvature -c, a ball of radius 1 / sqrt(c).
"""

import math
from typing import Any

import torch
from torch import Tensor

from geomix.errors import InputError


def expmap0(v: Tensor, curvature: float) -> Tensor:
    """Map tangent vectors of the origin into the ball: tanh(sqrt(c) |v|) v / (sqrt(c) |v|).

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
    safe = torch.where(small, torch.ones_like(t), t)
    return v * torch.where(small, 1 - t.square() / 3, safe.tanh() / safe)


def flat_distance(x: Tensor, y: Tensor) -> Tensor:
    """Give 2 |x - y| for all pairs from one matrix product.

    Args:
        x: Points (N, D), float64.
        y: Points (M, D), float64.

    Returns:
        Shape (N, M), float64. The gradient of a pair at distance 0 is 0.

    Accuracy:
        Relatively within 1e-15 * ((|x| + |y|) / |x - y|)^2; where points coincide, absolutely within 1e-7 * (|x| + |y|).
    """
    distances: Tensor = _FlatDistance.apply(x, y)
    return distances


def ball_distance(x: Tensor, y: Tensor, curvature: float) -> Tensor:
    """Give the Poincare distance for all pairs from one matrix product.

        d = arcosh(1 + A) / sqrt(c),  A = 2 c |x - y|^2 / ((1 - c |x|^2) (1 - c |y|^2))

    Args:
        x: Points (N, D) of the ball, float64.
        y: Points (M, D) of the ball, float64.
        curvature: c > 0.

    Returns:
        Shape (N, M), float64. The gradient of a pair at distance 0 is 0.

    Raises:
        InputError: On c <= 0.

    Accuracy:
        Relatively within 1e-15 * ((|x| + |y|) / |x - y|)^2 + 1e-15 / (1 - sqrt(c) max(|x|, |y|)): near pairs lose digits
        to the product, points near the boundary to the rounding of their own coordinates.

    Source:
        Ermolov et al. 2022 (arXiv:2203.10833), eq. 2, written with arcosh instead of a Moebius addition.
    """
    distances: Tensor = _BallDistance.apply(x, y, positive_curvature(curvature))
    return distances


def positive_curvature(curvature: float) -> float:
    """Give a curvature back, or raise InputError unless it is a positive number."""
    if not 0 < curvature < math.inf:
        raise InputError(f"curvature: found {curvature}, expected c > 0 (the flat space is the limit c = 0)")
    return curvature


def boundary_gap(points: Tensor, c: float) -> Tensor:
    """Give 1 - c |x|^2, (...); at least one rounding step, for points that float64 cannot tell from the boundary."""
    return (1 - c * points.square().sum(-1)).clamp_min(torch.finfo(points.dtype).eps)


def arcosh1p(a: Tensor) -> Tensor:
    """Give arcosh(1 + a) without loss near a = 0."""
    return torch.log1p(a + torch.sqrt(a * (a + 2)))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Give |x - y|^2 for all pairs, (N, M); rounding can take it below 0, so it is clamped."""
    squares = torch.addmm(y.square().sum(-1), x, y.T, alpha=-2)
    return squares.add_(x.square().sum(-1, keepdim=True)).clamp_min_(0)


def _pull(weights: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give sum_j w_ij (x_i - y_j) and sum_i w_ij (y_j - x_i) from two matrix products."""
    pull_x = x * weights.sum(1, keepdim=True) - weights @ y
    pull_y = y * weights.sum(0).unsqueeze(1) - weights.T @ x
    return pull_x, pull_y


class _FlatDistance(torch.autograd.Function):
    """2 |x - y|, with gradient 0 where two points coincide."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        distances = _squared_distances(x, y).sqrt_().mul_(2)
        ctx.save_for_backward(x, y, distances)
        return distances

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, y, distances = ctx.saved_tensors
        weights = torch.where(distances > 0, 4 * grads[0] / distances, 0)  # d' = 4 (x - y) / d
        return _pull(weights, x, y)


class _BallDistance(torch.autograd.Function):
    """The Poincare distance, with gradient 0 where two points coincide."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, c: float) -> Tensor:
        gap_x, gap_y = boundary_gap(x, c), boundary_gap(y, c)
        a = _squared_distances(x, y).mul_(2 * c / torch.outer(gap_x, gap_y))  # (N, M)
        ctx.save_for_backward(x, y, gap_x, gap_y, a)
        ctx.c = c
        return arcosh1p(a).div_(math.sqrt(c))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y, gap_x, gap_y, a = ctx.saved_tensors
        c = ctx.c
        slope = torch.where(a > 0, grads[0] / torch.sqrt(c * a * (a + 2)), 0)  # (N, M), times d(d)/da
        # a' in x = 4 c (x - y) / (gap_x gap_y) + 2 c a x / gap_x, and likewise in y
        pull_x, pull_y = _pull(slope * (4 * c / torch.outer(gap_x, gap_y)), x, y)
        slope *= a
        push_x = x * (2 * c * slope.sum(1) / gap_x).unsqueeze(1)
        push_y = y * (2 * c * slope.sum(0) / gap_y).unsqueeze(1)
        return pull_x + push_x, pull_y + push_y, None
