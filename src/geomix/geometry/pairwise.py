"""All pairs of points by one matrix product, with the backward pass written out.

Products are float64, because near pairs are lost in float32. The few pairs that even float64 cannot
tell from a gap of 0 are computed from explicit differences, and so are their gradients; plain
autograd would yield 0 * inf where points coincide. The steps after the product lose nothing in
float32, nor do the products of the backward pass if no pair is near. Passes over (N, M) and fresh
memory cost more than products: hence blocks, steps in place, and few tensors of that size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Up to this share of its largest terms a gap comes from explicit differences: at that share the
# rounding of the product is 1e-5 of the gap.
NEAR = 1e-9
BLOCK = 2**19  # elements of a block on the CPU: 4 MiB in float64
# On the CPU the products of the backward pass are float32 if slopes differ by less than this:
# errors stay below 5e-5.
SPREAD = 2**-8
PAIRS = 2**14  # explicit differences at a time
SINGLE = 1e-18, 1e18  # float32 holds a gap's square if the largest gap is between these
TINY = 2e-38  # smaller gaps count as this in float32, which cannot hold their inverse


@dataclass(frozen=True)
class Kernel:
    """What defines a distance: functions of points (n, D) in normal coordinates, and of gaps.

    A point x is lifted to a height h and coordinates s = stretch x: the gap of two points is
    h + h' + bend h h' - <s, s'>. Both depend on the scale at which points are taken.
    """

    lift: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """Heights (n, 1) and stretches (n, 1) of points, from their norms (n, 1) and the scale."""
    drop: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    """The backward pass of lift: gradients of points and scale.

    Takes points, norms, scale, and the gradients of h and of s; the last one is overwritten.
    """
    bend: float
    """1 in the hyperbolic space, 0 in the flat one."""
    gap: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Gaps of points side by side, (..., D) and (..., D) -> (...), from explicit differences."""
    widest: Callable[[Tensor], Tensor]
    """Gap of opposite points, from the sum of their scaled radii: the size of a gap's terms."""
    measure: Callable[[Tensor, Tensor], Tensor]
    """Replace gaps (n, m) by f(gap), and write the inverse of the slope of f to a second tensor."""
    unit: float
    """unit * f is the distance."""
    slope: float
    """slope over that inverse is the slope of the distance."""

    def as_row(self, points: Tensor, height: Tensor, stretch: Tensor) -> Tensor:
        """Return coordinates (n, D + 2) whose product with those of `as_column` is the gap."""
        row = points.new_empty(len(points), points.shape[1] + 2)
        row[:, :1], row[:, 1] = height, 1
        torch.mul(points, stretch, out=row[:, 2:])
        return row

    def as_column(self, points: Tensor, height: Tensor, stretch: Tensor) -> Tensor:
        """Return coordinates (n, D + 2) of the other side of that product."""
        column = points.new_empty(len(points), points.shape[1] + 2)
        column[:, :1], column[:, 1:2] = 1 + self.bend * height, height
        torch.mul(points, -stretch, out=column[:, 2:])
        return column


def pairwise(
    x: Tensor,
    y: Tensor,
    kernel: Kernel,
    scale: float | Tensor = 1.0,
    factor: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the distances of all pairs, times a factor.

    Args:
        x: Points (N, D), float64.
        y: Points (M, D), float64. Passing x itself saves a third of the work, forward and backward.
        kernel: The distance.
        scale: Positive, at which the points are taken; a float64 tensor for its gradient.
        factor: Of the result; it costs no pass over memory.
        dtype: Of the result and of the steps after the product.

    Returns:
        Shape (N, M). A pair with gap 0 has distance 0 and gradient 0.

    Raises:
        ValueError: On shapes that do not fit, or no points.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        found = f"points {tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"distances: found {found}, expected (N, D) and (M, D), N, M > 0")
    with torch.autocast(x.device.type, enabled=False):
        scale = torch.as_tensor(scale, dtype=x.dtype, device=x.device)
        distances: Tensor = _Pairwise.apply(x, y, scale, y is x, kernel, factor, dtype)
    return distances


class _Pairwise(torch.autograd.Function):
    """Points to distances."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        scale: Tensor,
        same: bool,
        kernel: Kernel,
        factor: float,
        dtype: torch.dtype,
    ) -> Tensor:
        """Return the distances (N, M); keep the inverses of their slopes, and the near pairs."""
        norms_x = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        norms_y = norms_x if same else torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        radii_x, radii_y = (norms.squeeze(1) * scale for norms in (norms_x, norms_y))
        lifted = kernel.lift(norms_x, scale)
        rows = kernel.as_row(x, *lifted)
        columns = kernel.as_column(y, *(lifted if same else kernel.lift(norms_y, scale)))
        farthest = radii_y.max()
        largest = kernel.widest(radii_x.max() + farthest)
        steps = dtype if SINGLE[0] < largest < SINGLE[1] else torch.float64
        bounds = (
            NEAR * kernel.widest(radii_x + farthest) * (1 + 1e-6)
        )  # rounding hides no near pair
        bounds = bounds.to(steps).clamp_min(TINY)
        learns = any(ctx.needs_input_grad)
        blocks = _blocks(x, y, same)
        distances, *inverses = rows.new_empty(1 + learns, len(x), len(columns), dtype=steps)
        smallest = largest.to(steps)
        near = []
        exact = None if steps == x.dtype else x.new_empty(blocks[0][0].stop * len(y))
        for block, right in blocks:
            values = distances[block, right]
            inverse = inverses[0][block, right] if learns else torch.empty_like(values)
            gaps = values if exact is None else exact[: values.numel()].view(values.shape)
            torch.mm(rows[block], columns[right].T, out=gaps)
            if same:
                gaps.fill_diagonal_(torch.inf)  # a slope of 0
            if exact is not None:
                values.copy_(gaps)
            lowest = values.amin(1)
            smallest = torch.minimum(smallest, lowest.min())
            found = (lowest <= bounds[block]).any()
            if found:
                i, j = _true(values <= bounds[block].unsqueeze(1))
                explicit = _explicit_gaps(
                    gaps[i, j],
                    (x[block], y[right]),
                    (radii_x[block], radii_y[right]),
                    scale,
                    i,
                    j,
                    kernel,
                )
                values[i, j] = explicit.to(steps).clamp_min(TINY if steps == torch.float32 else 0)
            kernel.measure(values, inverse).mul_(factor * kernel.unit)
            if found:
                values[i, j] *= explicit > 0
            if found and learns:
                apart = explicit > 0
                near.append((i[apart] + block.start, j[apart] + right.start, inverse[i, j][apart]))
                inverse[i, j] = torch.inf  # the backward pass takes them one by one
            if same:
                values.fill_diagonal_(0)
                distances[block.stop :, block] = values[:, len(values) :].T
        if learns:
            points = x, norms_x, y, norms_y, scale
            ctx.save_for_backward(
                rows,
                columns,
                *inverses,
                *points,
                *(torch.cat(parts) for parts in zip(*near, strict=True)),
            )
            ctx.products = torch.float64
            if steps == torch.float32 and x.device.type == "cpu":
                ends = torch.stack([smallest, largest.to(steps)]).unsqueeze(1)
                kernel.measure(ends.clone(), ends)
                ctx.products = torch.float32 if ends[0] >= SPREAD * ends[1] else torch.float64
        ctx.same, ctx.kernel, ctx.factor = same, kernel, factor * kernel.slope
        return distances.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the points and the scale; near pairs are added one by one."""
        if torch.is_grad_enabled():
            raise RuntimeError("distances: differentiated twice, expected first derivatives only")
        rows, columns, inverses, x, norms_x, y, norms_y, scale, *near = ctx.saved_tensors
        rows, columns = rows.to(ctx.products), columns.to(ctx.products)
        by_rows, by_columns = torch.zeros_like(rows), torch.zeros_like(columns)
        blocks = _blocks(x, y, ctx.same)
        memory = inverses.new_empty(blocks[0][0].stop * len(y))
        for block, right in blocks:
            inverse = inverses[block, right]
            pulls = memory[: inverse.numel()].view(inverse.shape)
            if ctx.same:  # gaps are symmetric: all of the gradient goes through the rows
                torch.add(grad[block, right], grad[right, block].T, out=pulls)
                pulls = pulls.div_(inverse).to(ctx.products)
                by_rows[block.stop :].addmm_(pulls[:, len(pulls) :].T, columns[block])
            else:
                pulls = torch.div(grad[block], inverse, out=pulls).to(ctx.products)
                by_columns.addmm_(pulls.T, rows[block])
            by_rows[block].addmm_(pulls, columns[right])
        by_rows = by_rows.mul_(ctx.factor).to(x.dtype)
        grad_x, grad_scale = ctx.kernel.drop(x, norms_x, scale, by_rows[:, :1], by_rows[:, 2:])
        grad_y = None
        if not ctx.same:
            by_columns = by_columns.mul_(ctx.factor).to(y.dtype)
            height = ctx.kernel.bend * by_columns[:, :1] + by_columns[:, 1:2]
            place = by_columns[:, 2:].neg_()
            grad_y, more = ctx.kernel.drop(y, norms_y, scale, height, place)
            grad_scale += more
        if near:
            _pull_near(ctx, grad, (grad_x, grad_x if grad_y is None else grad_y, grad_scale), near)
        return grad_x, grad_y, grad_scale, None, None, None, None


def _blocks(x: Tensor, y: Tensor, same: bool) -> list[tuple[slice, slice]]:
    """Cut the matrix into blocks of rows; if it is symmetric, of columns from the diagonal on."""
    count = math.ceil(len(x) * len(y) / BLOCK) if x.device.type == "cpu" else 1
    step = math.ceil(len(x) / count)
    return [
        (slice(i, min(i + step, len(x))), slice(i if same else 0, len(y)))
        for i in range(0, len(x), step)
    ]


def _true(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and columns of the true elements of a mask.

    On the CPU numpy does it, several times faster if they are few.
    """
    if mask.device.type != "cpu":
        first, second = mask.nonzero(as_tuple=True)
        return first, second
    places = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return places // mask.shape[1], places % mask.shape[1]


def _explicit_gaps(
    gaps: Tensor,
    points: tuple[Tensor, Tensor],
    radii: tuple[Tensor, Tensor],
    scale: Tensor,
    i: Tensor,
    j: Tensor,
    kernel: Kernel,
) -> Tensor:
    """Return the gaps (P,) of pairs, from explicit differences where rounding may dominate."""
    near = gaps <= NEAR * kernel.widest(radii[0][i] + radii[1][j])
    first, second = i[near], j[near]
    parts = zip(first.split(PAIRS), second.split(PAIRS), strict=True)
    gaps[near] = torch.cat([kernel.gap(points[0][a], points[1][b], scale) for a, b in parts])
    return gaps


def _pull_near(
    ctx: Any, grad: Tensor, totals: tuple[Tensor, Tensor, Tensor], near: list[Tensor]
) -> None:
    """Add the pull of near pairs to the gradients of x, y and the scale, in place."""
    first, second, inverses = near
    x, y, scale = (ctx.saved_tensors[place] for place in (3, 5, 7))
    upstream = grad[first, second]
    if ctx.same:  # a pair of a diagonal block occurs twice
        upstream = torch.where(first < second, upstream + grad[second, first], 0)
    weights = upstream.to(x.dtype) / inverses * ctx.factor
    for i, j, weight in zip(*(part.split(PAIRS) for part in (first, second, weights)), strict=True):
        with torch.enable_grad():
            inputs = [part.detach().requires_grad_() for part in (x[i], y[j], scale)]
            gaps = ctx.kernel.gap(*inputs)
        pulls = torch.autograd.grad(gaps, inputs, weight)
        totals[0].index_add_(0, i, pulls[0])
        totals[1].index_add_(0, j, pulls[1])
        totals[2].add_(pulls[2])
