"""Sections `loss` and `regulariser`: what is minimised over the logits, and what is added to it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from geomix.config.base import Count, NonNegative, Positive, Section


class PairwiseCrossEntropy(Section):
    """The loss of Hyp-ViT and HypMix."""

    name: Literal["pairwise_cross_entropy"]


class SupervisedContrastive(Section):
    """All positives against all other samples."""

    name: Literal["supervised_contrastive"]


class ProxyAnchor(Section):
    """Learned proxies, one for each training class; the margin is in similarities."""

    name: Literal["proxy_anchor"]
    margin: NonNegative
    rate_factor: Positive


class PeerLoss(Section):
    """A loss of pytorch-metric-learning by its class and arguments; for the cosine alone."""

    name: Literal["pytorch_metric_learning"]
    loss: Annotated[str, Field(pattern=r"^[A-Z]\w+$")]
    arguments: Annotated[dict[str, Any], Field(default_factory=dict)]
    rate_factor: Positive = 1


class Distances(Section):
    """Regression on known distances: hops in a tree, or Euclidean ones of coordinates."""

    name: Literal["distances"]


Loss = Annotated[
    PairwiseCrossEntropy | SupervisedContrastive | ProxyAnchor | PeerLoss | Distances,
    Field(discriminator="name"),
]


class NoRegulariser(Section):
    """The loss alone."""

    name: Literal["none"]


class Hier(Section):
    """HIER: learned proxies in a ball of their own, a hierarchy above the samples."""

    name: Literal["hier"]
    weight: Positive
    proxies: Annotated[int, Field(ge=2)]
    neighbours: Annotated[int, Field(ge=2)]
    triplets: Count
    margin: NonNegative
    curvature: Positive
    clip_radius: Positive
    rate_factor: Positive


Regulariser = Annotated[NoRegulariser | Hier, Field(discriminator="name")]
