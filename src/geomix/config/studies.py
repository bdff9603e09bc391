"""The sections of params.yaml that say what the studies run: cells, values of sweeps, seeds."""

from typing import Annotated

from pydantic import Field

from geomix.config.base import (
    Count,
    Dataset,
    Labels,
    Name,
    NonNegative,
    Positive,
    Section,
    Seed,
    Share,
)
from geomix.config.losses import Loss, Regulariser
from geomix.config.negatives import Negatives
from geomix.config.sections import Augment, Backbone, Batch, Crop, Images, Optim, Split

# The row of the study `systems` that others are compared with, by what training knows.
REFERENCES = {"given": "euclidean", "hidden": "infonce"}


class Compare(Section):
    """The study of the headline settings; its geometries are stages of dvc.yaml."""

    seeds: Annotated[list[Seed], Field(min_length=1)]


class TauSweep(Section):
    """The temperature study: its values, and what the other knobs are pinned to."""

    values: Annotated[list[Positive], Field(min_length=1)]
    curvature: Positive
    lam: Positive


class CurvatureSweep(Section):
    """The curvature study, likewise; 0 is the flat limit."""

    values: Annotated[list[NonNegative], Field(min_length=1)]
    tau: Positive
    lam: Positive


class Runs(Section):
    """Which geometries and seeds run at each value of a sweep."""

    geometries: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]


class SweepRuns(Section):
    """One `Runs` for each sweep."""

    tau: Runs
    curvature: Runs


class Sweep(Section):
    """Studies that move one knob and pin the others."""

    tau: TauSweep
    curvature: CurvatureSweep
    benchmarks: TauSweep
    runs: SweepRuns


class Benchmarks(Section):
    """The study over data sets; its temperatures are `sweep.benchmarks`, what each data set needs is under `benchmark`."""

    datasets: Annotated[list[Dataset], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]


class Benchmark(Section):
    """Sections that stand in for those at the top while a data set of `benchmarks` is prepared and trained on."""

    epochs: Count
    split: Split
    images: Images
    crop: Crop
    backbone: Backbone
    batch: Batch
    augment: Augment
    optim: Optim


class Settings(Section):
    """What a system is trained with: its geometry, and sections that stand in for those at the top unless they are null."""

    geometry: Name
    tau: Positive
    curvature: Positive | None = None
    lam: Positive | None = None
    labels: Labels | None = None
    loss: Loss | None = None
    negatives: Negatives | None = None
    regulariser: Regulariser | None = None
    batch: Batch | None = None
    augment: Augment | None = None


class System(Section):
    """A row of the study `systems`: words for its page, apart from the settings, so that new words train nothing."""

    about: Annotated[str, Field(min_length=1)]
    claim: str | None = None
    settings: Settings


class Systems(Section):
    """The study over the literature's systems, which are the entries of `system`."""

    seeds: Annotated[list[Seed], Field(min_length=1)]


class Ensemble(Section):
    """Two of the systems, trained apart and fused: the weights of the second that validation chooses from."""

    systems: Annotated[list[Name], Field(min_length=2, max_length=2)]
    weights: Annotated[list[Share], Field(min_length=1)]
