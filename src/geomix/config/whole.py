"""The whole of params.yaml: `Params`."""

from typing import Annotated

from pydantic import Field

from geomix.config.base import Count, Dataset, Device, Labels, Name, NonNegative, Positive, Section
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
    Split,
)
from geomix.config.studies import Baselines, Datasets, Report, Study, Systems


class Params(Section):
    """The whole of params.yaml."""

    dataset: Dataset
    tau: Positive
    curvature: NonNegative
    lam: Positive
    epochs: Count
    device: Device
    download: Download
    folder: Folder
    embeddings: Embeddings
    images: Images
    split: Split
    crop: Crop
    backbone: Backbone
    head: Head
    geometry: Annotated[dict[Name, Geometry], Field(min_length=1)]
    loss: Loss
    negatives: Negatives
    regulariser: Regulariser
    labels: Labels
    batch: Batch
    augment: Augment
    optim: Optim
    study: dict[Name, Study]
    baselines: Baselines
    datasets: Datasets
    systems: Systems
    report: Report
