"""What is watched while a cell is trained: bad numbers, collapse, and a loss that never falls."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from geomix.config.base import Task
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.geometry.spaces import unit
from geomix.losses.lineage import related
from geomix.losses.table import Table
from geomix.train.spread import measure_spread
from geomix.train.state import State

ANCHORS = 256  # samples of a batch, evenly spaced, whose negatives are weighed
COLLAPSED = 1.0  # degrees: embeddings spread over less have collapsed
FALLEN = 0.99  # share of the loss of the first step below which it has left its start


def describe_batch(
    geometry: Geometry, embeddings: Tensor, points: Points, table: Table, task: Task
) -> dict[str, float]:
    """Describe what a step saw, as evaluation describes a split: see `evaluate.acted`.

    Args:
        geometry: As it was in the step, or after its update.
        embeddings: Of the batch, (N, D).
        points: The embeddings placed in the geometry.
        table: Who they are.
        task: What is learned. Known distances have no negatives.

    Returns:
        spread: The angle whose cosine is the embeddings' mean cosine with their mean direction, in
        degrees from 0 to 90. effective_negatives: exp of the entropy of the softmax over an
        anchor's negatives, mean over up to 256 anchors; NaN where none has negatives.
    """
    directions = unit(embeddings.detach().double()).cpu().numpy()
    described = {
        "spread": math.degrees(math.asin(measure_spread(directions))),
        "effective_negatives": math.nan,
    }
    chosen = torch.arange(0, len(table), -(-len(table) // ANCHORS), device=embeddings.device)
    anchors = table[chosen]
    if task == "class":
        negative = anchors.label.unsqueeze(1) != table.label
    elif task == "lineage":
        negative = ~related(anchors, table)
    else:
        return described
    found = negative.any(1)
    if found.any():
        with torch.no_grad():
            placed = [part.detach() for part in points]
            logits = geometry.logits([part[chosen[found]] for part in placed], placed)
            weights = logits.double().masked_fill(~negative[found], -math.inf).softmax(1)
            number = torch.special.entr(weights).sum(1).exp().mean()
        described["effective_negatives"] = float(number)
    return described


def list_worries(history: list[dict[str, float]], first_loss: float, last: bool) -> Iterable[str]:
    """Yield what went wrong in the epoch that ended; a collapse is told once, when it begins.

    Args:
        history: A row for each epoch so far.
        first_loss: Of the first step.
        last: Whether no epoch follows.
    """
    *before, now = history
    if now["spread"] < COLLAPSED and not any(row["spread"] < COLLAPSED for row in before):
        spread = f"embeddings are spread over {now['spread']:.2g} degrees"
        yield f"epoch {now['epoch']}: collapsed: {spread} (head.norm: batch prevents it)"
    if last and before and now["loss"] > FALLEN * first_loss:
        losses = f"{now['loss']:.4g} in the last epoch, {first_loss:.4g} in the first step"
        yield f"the loss never left its start: {losses}"


def refuse_infinite(value: Tensor, what: str) -> None:
    """Raise InputError where a scalar is not finite."""
    if not torch.isfinite(value):
        raise InputError(f"found {what} {value.item()}, expected a finite one")


def name_worst(state: State) -> str:
    """Name the tensor that is worst after numbers went bad: weights first, then gradients.

    The worst has most numbers that are not finite, or the largest if all are finite.
    """
    named = {
        f"{part}.{name}": weight
        for part, module in state.modules.items()
        for name, weight in module.named_parameters()
    }
    gradients = {
        f"the gradient of {name}": weight.grad
        for name, weight in named.items()
        if weight.grad is not None
    }
    for tensors in (named, gradients):
        counts = {name: int((~torch.isfinite(one)).sum()) for name, one in tensors.items()}
        name = max(counts, key=counts.__getitem__, default="")
        if counts and counts[name]:
            return f"{name} ({counts[name]:,} of {tensors[name].numel():,} numbers not finite)"
    return _name_largest(gradients or named)


def _name_largest(tensors: Mapping[str, Tensor]) -> str:
    largest = {name: float(one.detach().abs().max()) for name, one in tensors.items()}
    name = max(largest, key=largest.__getitem__)
    return f"{name} (up to {largest[name]:.3g})"
