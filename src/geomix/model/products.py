"""All pairs of points by one matrix product, with the backward written out.

Products are float64, since in float32 they lose near pairs; the few pairs that even float64 cannot tell from a gap of 0 are
taken from explicit differences. Plain autograd would give 0 * inf where points coincide. The steps after the product lose
nothing in float32, and run block by block, within the cache of a core: (N, M) passes, not products, are what costs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geomix.errors import InputError

NEAR = 1e-9  # share of its largest terms up to which a gap is taken from explicit differences: rounding is 1e-5 of it there
BLOCK = 2**17  # elements of a block on the CPU: 1 MiB in float64
PAIRS = 2**14  # explicit differences at a time
SINGLE = 1e-18, 1e18  # float32 holds a gap's square where the largest gap is between these
TINY = 2e-38  # gaps below count as this in float32, which has no inverse of theirs


@dataclass(frozen=True)
class Kernel:
    """What makes a distance: functions of points (n, D) in normal coordinates and of gaps."""

    lift: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Give coordinates as row and as column, (n, D + 2) each: the product of x's row and y's column is their gap."""
    gap: Callable[[Tensor, Tensor], Tensor]
    """Give the gaps of points that stand beside each other, (..., D) and (..., D) -> (...), from explicit differences."""
    widest: Callable[[Tensor], Tensor]
    """Give the gap of opposite points from the sum of their radii: the size of the terms that make a gap."""
    measure: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Write f of gaps (n, m) into a second tensor, which is given back, and what is inverse to its slope into a third."""
    unit: float
    """Times f is the distance."""
    slope: float
    """Over that inverse is the slope of the distance."""


def pairwise(x: Tensor, y: Tensor, kernel: Kernel, factor: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Give the distances of all pairs, times a factor.

    Args:
        x: Points (N, D), float64.
        y: Points (M, D), float64. The same object as x saves half of the products, forward and backward.
        kernel: The distance.
        factor: Of the result; here it costs no pass over memory.
        dtype: Of the result and of the steps after the product.

    Returns:
        Shape (N, M). A pair with gap 0 has distance 0 and gradient 0.

    Raises:
        InputError: On shapes that do not fit, or no points.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise InputError(f"distances: found points {tuple(x.shape)} and {tuple(y.shape)}, expected (N, D) and (M, D), N, M > 0")
    with torch.autocast(x.device.type, enabled=False):
        rows, columns = kernel.lift(x)
        if y is not x:
            columns = kernel.lift(y)[1]
        distances: Tensor = _Pairwise.apply(rows, columns, x.detach(), y.detach(), y is x, kernel, factor, dtype)
    return distances


class _Pairwise(torch.autograd.Function):
    """Lifted points to distances; where y is x only the blocks from the diagonal on are computed."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        columns: Tensor,
        x: Tensor,
        y: Tensor,
        same: bool,
        kernel: Kernel,
        factor: float,
        dtype: torch.dtype,
    ) -> Tensor:
        radii_x, radii_y = (torch.linalg.vector_norm(points, dim=-1) for points in (x, y))
        largest = kernel.widest(radii_x.max() + radii_y.max())
        steps = dtype if SINGLE[0] < largest < SINGLE[1] else torch.float64
        distances = rows.new_empty(len(rows), len(columns), dtype=steps)
        learns = any(ctx.needs_input_grad)
        inverses = torch.empty_like(distances) if learns else None
        exact = rows.new_empty(min(_step(columns), len(rows)) * len(columns))  # memory used again is memory in the cache
        rounded = exact.new_empty(len(exact), dtype=steps)
        for block, right in _blocks(rows, columns, same):
            shape = block.stop - block.start, right.stop - right.start
            gaps = torch.mm(rows[block], columns[right].T, out=exact[: math.prod(shape)].view(shape))
            if same:
                gaps.fill_diagonal_(torch.inf)
            zeros = _correct(gaps, x[block], y[right], radii_x[block], radii_y[right], kernel)
            values = distances[block, right]
            inverse = torch.empty_like(values) if inverses is None else inverses[block, right]
            taken = rounded[: gaps.numel()].view(shape).copy_(gaps)
            if steps == torch.float32:
                taken.clamp_min_(TINY)
            kernel.measure(taken, values, inverse).mul_(factor * kernel.unit)  # a gap of infinity has a slope of 0
            if zeros is not None:
                values[zeros] = 0
            if same:
                values.fill_diagonal_(0)
                distances[block.stop :, block] = values[:, block.stop - block.start :].T
        if learns:
            ctx.save_for_backward(rows, columns, inverses)
        ctx.same, ctx.factor = same, factor * kernel.slope
        return distances.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("distances: found a derivative to be differentiated again, expected first derivatives only")
        rows, columns, inverses = ctx.saved_tensors
        grad_rows = torch.zeros_like(rows)
        grad_columns = None if ctx.same else torch.zeros_like(columns)
        exact = rows.new_empty(min(_step(columns), len(rows)) * len(columns))
        for block, right in _blocks(rows, columns, ctx.same):
            pulls = grad[block, right]
            if ctx.same:  # gaps are symmetric: all of the gradient goes through the rows
                pulls = pulls + grad[right, block].T
            pulls = torch.div(pulls, inverses[block, right], out=exact[: pulls.numel()].view(pulls.shape))
            grad_rows[block].addmm_(pulls, columns[right])
            if grad_columns is not None:
                grad_columns.addmm_(pulls.T, rows[block])
            else:
                grad_rows[block.stop :].addmm_(pulls[:, block.stop - block.start :].T, columns[block])
        grad_rows *= ctx.factor
        if grad_columns is not None:
            grad_columns *= ctx.factor
        return grad_rows, grad_columns, None, None, None, None, None, None


def _blocks(rows: Tensor, columns: Tensor, same: bool) -> Iterator[tuple[slice, slice]]:
    """Cut the matrix into blocks of rows, and, where it is symmetric, of the columns from the diagonal on."""
    step = _step(columns)
    for start in range(0, len(rows), step):
        yield slice(start, min(start + step, len(rows))), slice(start if same else 0, len(columns))


def _step(columns: Tensor) -> int:
    return max(1, BLOCK // len(columns)) if columns.device.type == "cpu" else len(columns)


def _correct(
    gaps: Tensor, x: Tensor, y: Tensor, radii_x: Tensor, radii_y: Tensor, kernel: Kernel
) -> tuple[Tensor, Tensor] | None:
    """Replace gaps that rounding may have made by those of explicit differences, and gaps of 0 by infinity.

    Returns:
        Where the gaps of 0 are.
    """
    limits = NEAR * kernel.widest(radii_x + radii_y.max())
    if not (gaps.amin(1) <= limits).any():
        return None
    first, second = (gaps <= limits.unsqueeze(1)).nonzero(as_tuple=True)
    near = gaps[first, second] <= NEAR * kernel.widest(radii_x[first] + radii_y[second])
    first, second = first[near], second[near]
    for i, j in zip(first.split(PAIRS), second.split(PAIRS), strict=True):
        gap = kernel.gap(x[i], y[j])
        gaps[i, j] = torch.where(gap > 0, gap, torch.inf)
    zero = gaps[first, second].isinf()
    return first[zero], second[zero]
