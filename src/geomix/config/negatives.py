"""The schema of section `negatives`: the rules of geomix/negatives, with their numbers."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geomix.config.base import Count, NonNegative, Number, Positive, Section, Share

Prior = Annotated[Number, Field(ge=0, lt=1)]
Inside = Annotated[Number, Field(gt=0, lt=1)]
Several = Annotated[int, Field(ge=2)]


class Uniform(Section):
    """All negatives alike."""

    rule: Literal["uniform"]


class Hard(Section):
    """HCL: weighted by their own hardness; beta constant, or linear over the epochs."""

    rule: Literal["hard"]
    beta: NonNegative
    tau_plus: Prior
    anneal: Literal["none", "up", "down"] = "none"


class Debiased(Section):
    """HCL without weights."""

    rule: Literal["debiased"]
    tau_plus: Prior


class Bayesian(Section):
    """BCL: weighted by rank."""

    rule: Literal["bayesian"]
    alpha: Inside
    beta: Share
    tau_plus: Prior


class Ambiguous(Section):
    """SimANS: weighted by closeness to the positive's similarity."""

    rule: Literal["ambiguous"]
    a: NonNegative
    b: Number
    top: Count | None


class FalseNegativeElimination(Section):
    """FNE: one drawn, seldom one that may match."""

    rule: Literal["false_negative_elimination"]
    margin: NonNegative
    prior: Inside
    suspicious: Inside


class Cluster(Section):
    """ClusterNS: centroids beside samples."""

    rule: Literal["cluster"]
    clusters: Several
    momentum: Prior
    start: Annotated[Number, Field(ge=-1, le=1)]
    weight: NonNegative


class Synthetic(Section):
    """SSCL: mixtures beside samples."""

    rule: Literal["synthetic"]
    count: Annotated[int, Field(ge=0)]


class MixedImportance(Section):
    """UnReMix: weighted by three kinds of importance."""

    rule: Literal["mixed_importance"]
    similarity: Share
    uncertainty: Share
    distance: Share

    @model_validator(mode="after")
    def _at_most_one(self) -> "MixedImportance":
        total = self.similarity + self.uncertainty + self.distance
        if total > 1 + 1e-9:
            raise ValueError(f"at most 1 for similarity + uncertainty + distance, not {total:g}")
        return self


class PositiveUnlabelled(Section):
    """PUCL: a share of them is positive."""

    rule: Literal["positive_unlabelled"]
    prior: Prior


class Ranking(Section):
    """GraphRank: drawn ones, pair by pair."""

    rule: Literal["ranking"]
    count: Count


class Limited(Section):
    """A number of random ones."""

    rule: Literal["limited"]
    count: Count


class DoublyContrastive(Section):
    """DCDC: soft assignments to prototypes."""

    rule: Literal["doubly_contrastive"]
    clusters: Several
    temperature: Positive
    weight: NonNegative
    rate_factor: Positive


Negatives = Annotated[
    Uniform
    | Hard
    | Debiased
    | Bayesian
    | Ambiguous
    | FalseNegativeElimination
    | Cluster
    | Synthetic
    | MixedImportance
    | PositiveUnlabelled
    | Ranking
    | Limited
    | DoublyContrastive,
    Field(discriminator="rule"),
]
