"""The objective: what training minimises, built from loss, negatives and regulariser."""

from importlib import import_module

from torch import Tensor, nn
from torch.optim import Optimizer

from geomix.config import losses as sections
from geomix.config.negatives import Negatives
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss, OnLogits, require_classes
from geomix.losses.lineage import DistanceRegression, related_pairs
from geomix.losses.peer import build_peer
from geomix.losses.proxy_anchor import LearnedProxies
from geomix.losses.regulariser import Regulariser
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table


class Objective(nn.Module):
    """The loss of a batch in a geometry, and the term of a regulariser where there is one."""

    def __init__(self, loss: BatchLoss, hierarchy: Regulariser | None = None) -> None:
        super().__init__()
        self.loss, self.hierarchy = loss, hierarchy

    @property
    def rate_factor(self) -> float:
        """Return the multiple of the learning rate for what the loss itself learns."""
        return self.loss.rate_factor

    def learned(self) -> dict[str, float]:
        """Return numbers that the loss itself learns and that scoring needs."""
        return self.loss.learned()

    def own_parameters(self) -> list[nn.Parameter]:
        """Return what the loss learns besides encoder and geometry."""
        return list(self.loss.parameters())

    def optimizers(self, learning_rate: float) -> list[Optimizer]:
        """Build the optimisers of what the regulariser learns; each group has its `factor`."""
        return self.hierarchy.optimizers(learning_rate) if self.hierarchy else []

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Tell the loss that an epoch begins, counted from 0."""
        self.loss.start_epoch(epoch, epochs)

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            geometry: The one that the objective was built for.
            embeddings: Those of the batch, (N, D), float32.
            points: The embeddings placed in the geometry.
            batch: Who they are.
        """
        loss: Tensor = self.loss(geometry, embeddings, points, batch)
        return loss + self.hierarchy(embeddings, batch) if self.hierarchy else loss


def build_objective(
    loss: sections.Loss,
    negatives: Negatives,
    regulariser: sections.Regulariser,
    geometry: Geometry,
    classes: int | None,
    dimensions: int,
    seed: int,
) -> Objective:
    """Build the objective that three sections of params.yaml describe.

    Of the rules for negatives and of the regularisers only the named one is imported.

    Args:
        loss: Section `loss`.
        negatives: Section `negatives`; only `pairwise_cross_entropy` reads it.
        regulariser: Section `regulariser`.
        geometry: Whose logits are compared.
        classes: Those of the train split; None where labels are hidden.
        dimensions: D of the embeddings.
        seed: Of proxies, prototypes and draws.

    Raises:
        InputError: If a loss of pytorch-metric-learning does not exist, refuses its arguments, or
            meets another geometry than the cosine; if a loss learns something for each class and
            labels are hidden.
    """
    added = import_module(f"geomix.regularisers.{regulariser.name}")
    return Objective(
        _build_loss(loss, negatives, geometry, classes, dimensions, seed),
        added.build(regulariser, dimensions, seed),
    )


def build_tree_objective(loss: sections.Loss) -> Objective:
    """Build the objective of samples in a tree or in a flat space.

    Args:
        loss: Section `loss`: `distances`, or else related pairs are told from unrelated ones.
    """
    if isinstance(loss, sections.Distances):
        return Objective(DistanceRegression())
    return Objective(OnLogits(related_pairs))


def _build_loss(
    loss: sections.Loss,
    negatives: Negatives,
    geometry: Geometry,
    classes: int | None,
    dimensions: int,
    seed: int,
) -> BatchLoss:
    if isinstance(loss, sections.PairwiseCrossEntropy):
        rule = import_module(f"geomix.negatives.{negatives.rule}")
        built: BatchLoss = rule.build(negatives, geometry, dimensions, seed)
        return built
    if isinstance(loss, sections.SupervisedContrastive):
        return OnLogits(supervised_contrastive)
    if isinstance(loss, sections.Distances):
        raise ValueError("loss: found distances, expected build_tree_objective for it")
    if isinstance(loss, sections.ProxyAnchor):
        known = require_classes(classes, loss.name)
        return LearnedProxies(loss, geometry, known, dimensions, seed)
    return build_peer(loss, geometry, classes, dimensions, seed)
