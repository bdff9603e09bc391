"""Learned curvatures and weights: the logarithm of a ratio to the start, at most a factor of 10.

A learned curvature is updated last. Points of the ball would then have to be moved to the new one,
to the same distance from the origin (Bdeir and Landwehr 2024, arXiv:2405.13979). Embeddings need no
move: they are tangent vectors at the origin, which the new exponential map takes there by itself.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

RANGE = 10.0  # a learned curvature or weight stays within this factor of its start
# Of the learning rate, for all that a geometry learns: curvatures, weights and scales are kept as
# logarithms. A step of Adam is about as long as the rate, whatever the gradient: at 0.002 a
# logarithm would need 1,000 steps for a factor of 10.
RATE_FACTOR = 10.0


def limited_ratio(log_ratio: Tensor) -> Tensor:
    """Return the ratio of a logarithm, a float64 scalar in [1 / 10, 10].

    Beyond that range its gradient, unlike that of clamp, leads back.
    """
    limit = math.log(RANGE)
    ratio = log_ratio.double()
    return (ratio + (ratio.clamp(-limit, limit) - ratio).detach()).exp()


@torch.no_grad()
def bring_into_range(log_ratio: Tensor) -> None:
    """Clamp the logarithm of a ratio to its range, in place; call it after each step."""
    log_ratio.clamp_(-math.log(RANGE), math.log(RANGE))


class Weight(nn.Module):
    """The weight of a space in a sum, fixed or learned.

    The learned weight of a single space is a learned temperature: only its ratio to tau counts.

    Args:
        start: Positive; if the weight is learned, its start.
        learn: Whether it is a parameter.
    """

    def __init__(self, start: float, learn: bool = False) -> None:
        super().__init__()
        self.start = float(start)
        self.log_ratio = nn.Parameter(torch.zeros(())) if learn else None

    @property
    def value(self) -> float:
        """Return the current weight."""
        if self.log_ratio is None:
            return self.start
        with torch.no_grad():
            return self.start * float(limited_ratio(self.log_ratio))

    def trace(self, weighted: Tensor) -> Tensor:
        """Return a tensor that has this weight as a factor, with the gradient of a learned weight.

        This costs no pass over memory.
        """
        if self.log_ratio is None or not torch.is_grad_enabled():
            return weighted
        traced: Tensor = _Traced.apply(weighted, self.log_ratio)
        return traced

    def learned(self) -> dict[str, float]:
        """Return the weight, if it is learned."""
        return {} if self.log_ratio is None else {"weight": self.value}

    def keep_in_range(self) -> None:
        """Bring a learned weight back within a factor of 10 of its start."""
        if self.log_ratio is not None:
            bring_into_range(self.log_ratio)


class _Traced(torch.autograd.Function):
    """A tensor w s as a function of log w: its derivative is w s itself."""

    @staticmethod
    def forward(ctx: Any, weighted: Tensor, log_ratio: Tensor) -> Tensor:
        """Return the tensor itself."""
        ctx.save_for_backward(weighted, log_ratio)
        return weighted.view_as(weighted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Pass the gradient on, and return that of the logarithm.

        Rows are summed in their own type, the sums of rows in float64.
        """
        weighted, log_ratio = ctx.saved_tensors
        rows = torch.linalg.vecdot(torch.atleast_1d(grad), torch.atleast_1d(weighted))
        return grad, rows.sum(dtype=torch.float64).to(log_ratio.dtype)
