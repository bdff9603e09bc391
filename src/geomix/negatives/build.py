"""Build the rule that section `negatives` of params.yaml describes."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.table import Table
from geomix.negatives.columns import Cluster, Synthetic
from geomix.negatives.corrections import hard, positive_unlabelled
from geomix.negatives.doubly import DoublyContrastive
from geomix.negatives.rule import OnLogits, Rule
from geomix.negatives.sampled import FalseNegativeElimination, ranking
from geomix.negatives.weights import (
    ambiguous_weights,
    bayesian_weights,
    limited_weights,
    mixed_importance_weights,
    weighting,
)

Loss = Callable[[Tensor, Table, Table], Tensor]


class Hard(Rule):
    """HCL with beta that may change from epoch to epoch: constant, rising to its value, or falling from it, linearly."""

    def __init__(self, beta: float, tau_plus: float, anneal: str) -> None:
        """Build the rule; the first epoch's beta until an epoch starts."""
        super().__init__()
        self.highest, self.tau_plus, self.anneal = beta, tau_plus, anneal
        self.beta = beta

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set beta: up to (epoch + 1) / epochs of it, or down to 1 - epoch / epochs of it."""
        shares = {"none": 1.0, "up": (epoch + 1) / epochs, "down": 1 - epoch / epochs}
        self.beta = self.highest * shares[self.anneal]

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        options = {"beta": self.beta, "tau_plus": self.tau_plus, "lowest": geometry.lowest_logit}
        return hard(geometry.logits(points, points), batch, batch, **options)


def build_rule(settings: Mapping[str, Any], geometry: Geometry, dimensions: int, seed: int) -> Rule:
    """Build a rule other than uniform.

    Args:
        settings: Section `negatives`: the rule's name under `rule`, and its numbers.
        geometry: Whose logits are compared.
        dimensions: D of the embeddings.
        seed: Of draws and prototypes.
    """
    name = settings["rule"]
    options = {key: value for key, value in settings.items() if key != "rule"}
    drawn = options | {"generator": torch.Generator().manual_seed(seed)}
    tau = geometry.tau
    if name == "hard":
        return Hard(**options)
    if name == "debiased":
        return Hard(beta=0.0, anneal="none", **options)
    if name == "false_negative_elimination":
        return FalseNegativeElimination(**drawn)
    if name == "cluster":
        return Cluster(**drawn)
    if name == "synthetic":
        return Synthetic(**drawn)
    if name == "doubly_contrastive":
        return DoublyContrastive(dimensions=dimensions, **drawn)
    losses: dict[str, Callable[[], Loss]] = {
        "positive_unlabelled": lambda: partial(positive_unlabelled, **options),
        "bayesian": lambda: weighting(bayesian_weights, **options),
        "ambiguous": lambda: weighting(ambiguous_weights, tau=tau, **options),
        "mixed_importance": lambda: weighting(mixed_importance_weights, tau=tau, **options),
        "limited": lambda: weighting(limited_weights, **drawn),
        "ranking": lambda: partial(ranking, **drawn),
    }
    return OnLogits(losses[name]())
