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
        y: Points (M, D), float64. Passing x itself about halves the work.
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
        rows, columns = _lift_both(x, y, scale, same, kernel)
        largest = kernel.widest(rows.radii.max() + columns.radii.max())
        steps = dtype if SINGLE[0] < largest < SINGLE[1] else torch.float64
        bounds = _near_bounds(rows, columns, kernel).to(steps).clamp_min(TINY)
        learns = any(ctx.needs_input_grad)
        distances, *inverses = x.new_empty(1 + learns, len(x), len(y), dtype=steps)
        blocks = _blocks(x, y, same)
        exact = None if steps == x.dtype else x.new_empty(blocks[0][0].stop * len(y))
        smallest = largest.to(steps)
        near = []
        for block, right in blocks:
            values = distances[block, right]
            inverse = inverses[0][block, right] if learns else torch.empty_like(values)
            gaps = _multiply(rows.lifted[block], columns.lifted[right], values, exact, same)
            lowest = values.amin(1)
            smallest = torch.minimum(smallest, lowest.min())
            pairs = None
            if (lowest <= bounds[block]).any():
                sides = rows[block], columns[right]
                pairs = _near_pairs(values, gaps, bounds[block], sides, scale, kernel)
                pairs.write_gaps(values)
            kernel.measure(values, inverse).mul_(factor * kernel.unit)
            if pairs:
                pairs.write_zeros(values)
            if pairs and learns:
                near.append(pairs.take_inverses(inverse, block.start, right.start))
            if same:
                values.fill_diagonal_(0)
                distances[block.stop :, block] = values[:, len(values) :].T
        if learns:
            points = x, rows.norms, y, columns.norms, scale
            parts = (torch.cat(part) for part in zip(*near, strict=True))
            ctx.save_for_backward(rows.lifted, columns.lifted, *inverses, *points, *parts)
            ctx.products = _backward_dtype(smallest, largest, kernel)
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


@dataclass(frozen=True)
class _Side:
    """One side of the matrix: points, and what products need of them."""

    points: Tensor  # (n, D)
    norms: Tensor  # (n, 1)
    radii: Tensor  # (n,), norms at the scale
    lifted: Tensor  # (n, D + 2)

    def __getitem__(self, part: slice) -> "_Side":
        """Return some of the points."""
        return _Side(self.points[part], self.norms[part], self.radii[part], self.lifted[part])


@dataclass(frozen=True)
class _NearPairs:
    """The pairs of a block that are near: their places (P,), and their gaps (P,)."""

    i: Tensor
    j: Tensor
    gaps: Tensor

    def write_gaps(self, values: Tensor) -> None:
        """Put the gaps into their block, no smaller than float32 can invert."""
        least = TINY if values.dtype == torch.float32 else 0
        values[self.i, self.j] = self.gaps.to(values.dtype).clamp_min(least)

    def write_zeros(self, values: Tensor) -> None:
        """Set the distance of pairs with gap 0 to 0."""
        values[self.i, self.j] *= self.gaps > 0

    def take_inverses(
        self, inverse: Tensor, row: int, column: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the inverse slopes out of a block: the backward pass takes these one by one.

        Args:
            inverse: Of the block; becomes infinite at all near pairs.
            row: The first row of the block.
            column: Its first column.

        Returns:
            Rows and columns in the matrix, and inverse slopes, of the pairs with a gap above 0.
        """
        apart = self.gaps > 0
        i, j = self.i[apart], self.j[apart]
        taken = i + row, j + column, inverse[i, j]
        inverse[self.i, self.j] = torch.inf
        return taken


def _lift_both(
    x: Tensor, y: Tensor, scale: Tensor, same: bool, kernel: Kernel
) -> tuple[_Side, _Side]:
    """Lift the points of both sides; of one set of points all but the coordinates is shared."""
    norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    radii, heights = norms.squeeze(1) * scale, kernel.lift(norms, scale)
    rows = _Side(x, norms, radii, kernel.as_row(x, *heights))
    if not same:
        norms = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        radii, heights = norms.squeeze(1) * scale, kernel.lift(norms, scale)
    return rows, _Side(y, norms, radii, kernel.as_column(y, *heights))


def _near_bounds(rows: _Side, columns: _Side, kernel: Kernel) -> Tensor:
    """Return for each row (N,) the gap up to which a pair may be near."""
    widest = kernel.widest(rows.radii + columns.radii.max())
    return NEAR * widest * (1 + 1e-6)  # rounding hides no near pair


def _multiply(
    rows: Tensor, columns: Tensor, values: Tensor, exact: Tensor | None, same: bool
) -> Tensor:
    """Write the gaps of a block by one matrix product.

    Args:
        rows: Lifted points of the block, (n, D + 2).
        columns: Likewise, (m, D + 2).
        values: The block (n, m), to be filled.
        exact: Memory for float64 gaps if the block is not float64.
        same: Whether the block begins on the diagonal, whose gaps become infinite: a slope of 0.

    Returns:
        The gaps in float64, (n, m).
    """
    gaps = values if exact is None else exact[: values.numel()].view(values.shape)
    torch.mm(rows, columns.T, out=gaps)
    if same:
        gaps.fill_diagonal_(torch.inf)
    if exact is not None:
        values.copy_(gaps)
    return gaps


def _near_pairs(
    values: Tensor,
    gaps: Tensor,
    bounds: Tensor,
    sides: tuple[_Side, _Side],
    scale: Tensor,
    kernel: Kernel,
) -> _NearPairs:
    """Find the near pairs of a block.

    Their gaps come from explicit differences where rounding may dominate.

    Args:
        values: Gaps of the block, (n, m).
        gaps: The same in float64.
        bounds: For each row, (n,).
        sides: Rows and columns of the block.
        scale: As in `pairwise`.
        kernel: Likewise.
    """
    i, j = _true(values <= bounds.unsqueeze(1))
    rows, columns = sides
    found = gaps[i, j]
    near = found <= NEAR * kernel.widest(rows.radii[i] + columns.radii[j])
    parts = zip(i[near].split(PAIRS), j[near].split(PAIRS), strict=True)
    found[near] = torch.cat(
        [kernel.gap(rows.points[a], columns.points[b], scale) for a, b in parts]
    )
    return _NearPairs(i, j, found)


def _backward_dtype(smallest: Tensor, largest: Tensor, kernel: Kernel) -> torch.dtype:
    """Return the type of the products of the backward pass: float32 on the CPU where it does."""
    if smallest.dtype != torch.float32 or smallest.device.type != "cpu":
        return torch.float64
    ends = torch.stack([smallest, largest.to(smallest.dtype)]).unsqueeze(1)
    kernel.measure(ends.clone(), ends)
    return torch.float32 if ends[0] >= SPREAD * ends[1] else torch.float64


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
