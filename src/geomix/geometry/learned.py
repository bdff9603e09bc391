"""Learned curvatures and weights: kept as the logarithm of their ratio to the start, within a factor of 10 of it."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

RANGE = 10.0  # a learned curvature or weight stays within this factor of its start


def limited_ratio(log_ratio: Tensor) -> Tensor:
    """Give the ratio of a logarithm, a float64 scalar in [1 / 10, 10]; beyond, unlike clamp's, its gradient leads back."""
    limit = math.log(RANGE)
    ratio = log_ratio.double()
    return (ratio + (ratio.clamp(-limit, limit) - ratio).detach()).exp()


@torch.no_grad()
def bring_into_range(log_ratio: Tensor) -> None:
    """Bring the logarithm of a ratio, in place, back into its range; call it after each step."""
    log_ratio.clamp_(-math.log(RANGE), math.log(RANGE))


class Weight(nn.Module):
    """The weight of a space in a sum, fixed or learned.

    Of a space alone, a learned weight is a learned temperature: only its ratio to tau counts.

    Args:
        start: Positive; where the weight is learned, its start.
        learn: Whether it is a parameter.
    """

    def __init__(self, start: float, learn: bool = False) -> None:
        super().__init__()
        self.start = float(start)
        self.log_ratio = nn.Parameter(torch.zeros(())) if learn else None

    @property
    def value(self) -> float:
        """Give the weight as it is now."""
        if self.log_ratio is None:
            return self.start
        with torch.no_grad():
            return self.start * float(limited_ratio(self.log_ratio))

    def trace(self, weighted: Tensor) -> Tensor:
        """Give a tensor that has this weight as a factor back, with the gradient of a learned weight; no pass over memory."""
        if self.log_ratio is None or not torch.is_grad_enabled():
            return weighted
        traced: Tensor = _Traced.apply(weighted, self.log_ratio)
        return traced

    def learned(self) -> dict[str, float]:
        """Give the weight, if it is learned."""
        return {} if self.log_ratio is None else {"weight": self.value}

    def keep_in_range(self) -> None:
        """Bring a learned weight back within a factor of 10 of its start."""
        if self.log_ratio is not None:
            bring_into_range(self.log_ratio)


class _Traced(torch.autograd.Function):
    """A tensor w s for the logarithm of w: of that the derivative is w s, so the product is never made again."""

    @staticmethod
    def forward(ctx: Any, weighted: Tensor, log_ratio: Tensor) -> Tensor:
        """Give the tensor itself."""
        ctx.save_for_backward(weighted, log_ratio)
        return weighted.view_as(weighted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Hand the gradient on, and give that of the logarithm: rows in their own type, their sum in float64."""
        weighted, log_ratio = ctx.saved_tensors
        rows = torch.linalg.vecdot(torch.atleast_1d(grad), torch.atleast_1d(weighted))
        return grad, rows.sum(dtype=torch.float64).to(log_ratio.dtype)
