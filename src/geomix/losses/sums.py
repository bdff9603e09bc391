"""Sums of exp(logit) over parts of a row, with a gradient that needs one pass.

Logits are (N, M), never embeddings, so that each loss serves every geometry. Two tables say who
the rows and the columns are. Columns may be the batch itself, proxies, centroids, or samples
gathered from other processes. All losses are means, in nats. Call them outside autocast.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.losses.table import Table

# Terms this far below the largest of a sum, e^-80 of it, count as 0: in float32 they would
# underflow.
DROPPED = 80.0


def check_shape(logits: Tensor, rows: Table, columns: Table) -> None:
    """Refuse logits that are not (N, M), or empty.

    Raises:
        ValueError: If they are.
    """
    if logits.shape != (len(rows), len(columns)) or not logits.numel():
        raise ValueError(
            f"loss: found logits {tuple(logits.shape)}, expected ({len(rows)}, {len(columns)}) "
            "of rows and columns, at least one of each"
        )


def mark_pairs(logits: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return booleans of the shape of logits, true at the pairs."""
    mask = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    mask[first, second] = True
    return mask


class LogSums(torch.autograd.Function):
    """Logs of sums of exp(power * logit) over S stretches of columns, and single logits, (T,).

    The sums are (N, S) for each power, side by side. What is left out of them, exactly, is said by
    a mask, or by log-weights that are added. The pairs that name the single logits must be
    distinct.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        left_out: Tensor,
        sizes: list[int],
        first: Tensor,
        second: Tensor,
        powers: Sequence[float],
    ) -> tuple[Tensor, Tensor]:
        """Sum over stretches of `sizes` columns; keep each term's share for the gradient.

        Raises:
            InputError: If logits are not finite.
        """
        sums: list[list[Tensor]] = [[] for _ in powers]
        shares = []
        for part, without in zip(logits.split(sizes, 1), left_out.split(sizes, 1), strict=True):
            if without.dtype == torch.bool:
                below = part.masked_fill(without, -torch.inf)
            else:
                below = without.add_(part)
            highest = below.amax(1, keepdim=True)
            highest = torch.where(highest == -torch.inf, 0, highest)
            below.sub_(highest)
            for number, power in enumerate(powers):
                last = number == len(powers) - 1
                terms = _exponentials(below if last else below.clone(), power)
                total = terms.sum(1, keepdim=True)
                sums[number].append(total.log() + (highest if power == 1 else highest * power))
                shares += [terms, total]
        ctx.save_for_backward(first, second, *shares)
        ctx.powers = powers
        picked = logits[first, second]
        if not all(torch.isfinite(found).all() for found in (picked, *shares[1::2])):
            raise InputError("loss: found logits that are not finite, expected finite ones")
        return torch.cat([part for parts in sums for part in parts], 1), picked

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the logits: power * share of the sum, and that of the pairs."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "loss: found a derivative to be differentiated again, "
                "expected first derivatives only"
            )
        first, second, *shares = ctx.saved_tensors
        tiny = torch.finfo(grads[0].dtype).tiny
        count = len(ctx.powers)
        by_power = [part.split(1, 1) for part in grads[0].split(grads[0].shape[1] // count, 1)]
        parts = []
        for stretch in range(len(by_power[0])):
            stored = shares[2 * count * stretch : 2 * count * (stretch + 1)]
            found: Tensor | None = None
            for power, grad, terms, total in zip(
                ctx.powers, by_power, stored[::2], stored[1::2], strict=True
            ):
                factor = power * grad[stretch] / total.clamp_min(tiny)
                found = terms * factor if found is None else found.addcmul_(terms, factor)
            parts.append(cast(Tensor, found))
        grad = torch.cat(parts, 1)
        grad[first, second] += grads[1]
        return grad, None, None, None, None, None


def _exponentials(below: Tensor, power: float) -> Tensor:
    """Return exp(power * value) in place; 0 where that is below e^-DROPPED."""
    terms = below if power == 1 else below.mul_(power)
    # exp of minus infinity would take ten times as long.
    terms = torch.threshold_(terms, -DROPPED, -DROPPED).exp_()
    return torch.threshold_(terms, math.exp(-DROPPED) * (1 + 1e-6), 0)
