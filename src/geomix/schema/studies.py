"""The sections of params.yaml that say what the studies run: cells, values of sweeps, seeds."""

from typing import Annotated

from pydantic import Field

from geomix.schema.base import Count, Name, NonNegative, Positive, Section, Seed, Share


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


class Systems(Section):
    """The study over the literature's systems, which are the entries of `system`."""

    seeds: Annotated[list[Seed], Field(min_length=1)]


class Ensemble(Section):
    """Two of the systems, trained apart and fused: the weights of the second that validation chooses from."""

    systems: Annotated[list[Name], Field(min_length=2, max_length=2)]
    weights: Annotated[list[Share], Field(min_length=1)]


class Report(Section):
    """What the pages show."""

    queries: Count
