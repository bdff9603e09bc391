"""Objectives: what training minimises, built from section `loss` of params.yaml."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.losses import pairwise_cross_entropy, proxy_anchor, supervised_contrastive
from geomix.losses.table import Table
from geomix.negatives.build import build_rule
from geomix.negatives.rule import Rule

if TYPE_CHECKING:
    from geomix.regularisers.hier import Hierarchy


class Objective(nn.Module):
    """The loss of a batch compared with itself, in a geometry."""

    rate_factor = 1.0
    """Times the learning rate of what the objective learns itself."""
    hierarchy: "Hierarchy | None"
    """The regulariser HIER; its proxies have a learning rate of their own."""

    def __init__(
        self, geometry: Geometry, loss: Callable[[Tensor, Table, Table], Tensor] | None = None
    ) -> None:
        super().__init__()
        self._geometry = [geometry]  # in a list: its parameters are not the objective's
        self._loss = loss
        self.hierarchy = None

    @property
    def geometry(self) -> Geometry:
        """Give the geometry of the logits."""
        return self._geometry[0]

    def own_parameters(self) -> list[nn.Parameter]:
        """Give what the objective learns besides encoder and geometry, without the regulariser's proxies."""
        return [
            weight for name, weight in self.named_parameters() if not name.startswith("hierarchy.")
        ]

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Note that an epoch begins, counted from 0."""

    def forward(self, embeddings: Tensor, points: Points, batch: Table) -> Tensor:
        """Give the loss, a scalar.

        Args:
            embeddings: Of the batch, (N, D), float32.
            points: The same, placed in the geometry.
            batch: Who they are.
        """
        assert self._loss
        return self._loss(self.geometry.logits(points, points), batch, batch)


class RuleObjective(Objective):
    """Pairwise cross-entropy with a rule for negatives, which may remember and learn."""

    def __init__(self, geometry: Geometry, rule: Rule) -> None:
        super().__init__(geometry)
        self.rule, self.rate_factor = rule, rule.rate_factor

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Tell the rule that an epoch begins, counted from 0."""
        self.rule.start_epoch(epoch, epochs)

    def forward(self, embeddings: Tensor, points: Points, batch: Table) -> Tensor:
        """Give the loss, a scalar."""
        return cast(Tensor, self.rule(self.geometry, embeddings, points, batch))


class ProxyObjective(Objective):
    """Proxy-Anchor: columns are learned proxies, vectors of the embedding space placed in the geometry like embeddings."""

    def __init__(
        self,
        geometry: Geometry,
        classes: int,
        dimensions: int,
        seed: int,
        margin: float,
        rate_factor: float,
    ) -> None:
        super().__init__(geometry)
        start = torch.randn(classes, dimensions, generator=torch.Generator().manual_seed(seed))
        self.proxies = nn.Parameter(
            start * math.sqrt(2 / classes)
        )  # Kaiming over classes, as released
        self.margin, self.rate_factor = margin / geometry.tau, rate_factor

    def forward(self, embeddings: Tensor, points: Points, batch: Table) -> Tensor:
        """Give the loss, a scalar."""
        labels = torch.arange(len(self.proxies), device=embeddings.device)
        columns = Table(-1 - labels, labels, torch.zeros_like(labels))
        logits = self.geometry.logits(points, self.geometry.place(self.proxies))
        return proxy_anchor(logits, batch, columns, margin=self.margin)


class PeerObjective(Objective):
    """A loss of pytorch-metric-learning, which takes embeddings and compares them by the cosine or a distance of its own."""

    def __init__(self, geometry: Geometry, peer: nn.Module, rate_factor: float) -> None:
        super().__init__(geometry)
        self.peer, self.rate_factor = peer, rate_factor

    def forward(self, embeddings: Tensor, points: Points, batch: Table) -> Tensor:
        """Give the loss, a scalar."""
        return cast(Tensor, self.peer(embeddings, batch.label))


def build_objective(
    settings: Mapping[str, Any],
    geometry: Geometry,
    classes: int | None,
    dimensions: int,
    seed: int,
    negatives: Mapping[str, Any],
) -> Objective:
    """Build the objective that sections `loss` and `negatives` of params.yaml describe.

    Args:
        settings: Section `loss`.
        geometry: Whose logits are compared.
        classes: Of the train split; None where labels are hidden.
        dimensions: D of the embeddings.
        seed: Of proxies, prototypes and draws.
        negatives: Section `negatives`.

    Raises:
        InputError: If a loss of pytorch-metric-learning does not exist, refuses its arguments, or
            meets another geometry than the cosine; if a loss learns something for each class and
            labels are hidden; if there is a rule for negatives beside a loss that takes none.
    """
    name, rule = settings["name"], negatives["rule"]
    if name != "pairwise_cross_entropy" and rule != "uniform":
        raise InputError(
            f"negatives.rule: found {rule} with loss {name}, expected uniform with this loss"
        )
    if rule != "uniform":
        return RuleObjective(geometry, build_rule(negatives, geometry, dimensions, seed))
    if name == "pairwise_cross_entropy":
        return Objective(geometry, pairwise_cross_entropy)
    if name == "supervised_contrastive":
        return Objective(geometry, supervised_contrastive)
    if name == "proxy_anchor":
        return ProxyObjective(
            geometry,
            _known(classes, name),
            dimensions,
            seed,
            settings["margin"],
            settings["rate_factor"],
        )
    return PeerObjective(
        geometry,
        _build_peer(settings, geometry, classes, dimensions, seed),
        settings["rate_factor"],
    )


def _known(classes: int | None, loss: str) -> int:
    """Refuse a loss of classes where labels are hidden."""
    if classes is None:
        raise InputError(
            f"labels: found hidden for the loss {loss}, expected given, as it learns something for each class"
        )
    return classes


def regularise(
    objective: Objective, settings: Mapping[str, Any], dimensions: int, seed: int
) -> Objective:
    """Add what section `regulariser` of params.yaml describes to the loss that an objective gives,
    whichever it is.

    Args:
        objective: It is changed, and given back.
        settings: The section.
        dimensions: D of the embeddings.
        seed: Of what the regulariser learns and draws.
    """
    if settings["name"] == "hier":
        from geomix.regularisers.hier import Hierarchy

        hierarchy = objective.hierarchy = Hierarchy(settings, dimensions, seed)
        objective.register_forward_hook(lambda _, given, loss: loss + hierarchy(given[0], given[2]))
    return objective


def _build_peer(
    settings: Mapping[str, Any], geometry: Geometry, classes: int | None, dimensions: int, seed: int
) -> nn.Module:
    """Build a loss of pytorch-metric-learning; what it takes of classes, dimensions and temperature is filled in."""
    if not geometry.is_cosine:
        spaces = ", ".join(part["space"] for part in geometry.describe()["spaces"])
        raise InputError(
            f"loss: found pytorch_metric_learning for a geometry of {spaces}, expected a geometry of one sphere"
        )
    if geometry.learned():
        learned = ", ".join(geometry.learned())
        raise InputError(
            f"loss: found pytorch_metric_learning for a geometry that learns {learned}, expected one that is fixed"
        )
    from pytorch_metric_learning import losses

    kind = getattr(losses, settings["loss"], None)
    if not inspect.isclass(kind):
        known = ", ".join(name for name in dir(losses) if name.endswith("Loss"))
        raise InputError(
            f"loss.loss: found {settings['loss']}, expected one of pytorch-metric-learning: {known}"
        )
    takes = inspect.signature(kind.__init__).parameters
    if "num_classes" in takes:
        _known(classes, settings["loss"])
    known_here = {"num_classes": classes, "embedding_size": dimensions, "temperature": geometry.tau}
    arguments = {key: value for key, value in known_here.items() if key in takes} | settings[
        "arguments"
    ]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cast(nn.Module, kind(**arguments))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"loss.arguments: found {settings['arguments']}, refused by {settings['loss']}: {error}"
        ) from None
