"""The schema of the whole of params.yaml: `Params`."""

from typing import Literal

from geomix.config.base import Count, Dataset, Labels, Name, Positive, Section
from geomix.config.losses import Loss, Regulariser
from geomix.config.negatives import Negatives
from geomix.config.sections import (
    Augment,
    Backbone,
    Batch,
    Crop,
    Download,
    Embeddings,
    Folder,
    Geometry,
    Head,
    Images,
    Optim,
    Report,
    Split,
)
from geomix.config.studies import Benchmark, Benchmarks, Compare, Ensemble, Sweep, System, Systems


class Params(Section):
    """The whole of params.yaml."""

    dataset: Dataset
    tau: Positive
    curvature: Positive
    lam: Positive
    epochs: Count
    device: Literal["auto", "cpu", "cuda"]
    download: Download
    folder: Folder
    embeddings: Embeddings
    images: Images
    split: Split
    crop: Crop
    backbone: Backbone
    head: Head
    geometry: dict[Name, Geometry]
    loss: Loss
    negatives: Negatives
    regulariser: Regulariser
    labels: Labels
    batch: Batch
    augment: Augment
    optim: Optim
    compare: Compare
    sweep: Sweep
    benchmarks: Benchmarks
    benchmark: dict[Dataset, Benchmark]
    systems: Systems
    ensemble: Ensemble
    system: dict[Name, System]
    report: Report
