"""What each stage asks params.yaml for: a typed part of it.

The names of the fields are the `params:` of the stage's blocks in dvc.yaml.
"""

from geomix.config.base import Count, Device, Labels, Name, NonNegative, Positive, Section
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
from geomix.config.studies import Baselines, Datasets, Evaluated, Report, Study, Systems
from geomix.errors import InputError


class DownloadParams(Section):
    """Where the user's data and mirrors are."""

    download: Download
    folder: Folder
    embeddings: Embeddings


class PreprocessParams(Section):
    """How a data set is split and packed."""

    split: Split
    images: Images


class TrainParams(Section):
    """What a cell is trained with, apart from what stands on its command line."""

    epochs: Count
    device: Device
    backbone: Backbone
    head: Head
    geometry: dict[Name, Geometry]
    loss: Loss
    negatives: Negatives
    regulariser: Regulariser
    labels: Labels
    batch: Batch
    crop: Crop
    augment: Augment
    optim: Optim


class CellParams(TrainParams):
    """All that a cell is trained with."""

    tau: Positive
    curvature: NonNegative
    lam: Positive


class BaselineParams(Section):
    """What the untrained network is built from."""

    device: Device
    crop: Crop
    backbone: Backbone
    head: Head


class StudyParams(Section):
    """All that is run."""

    study: dict[Name, Study]
    baselines: Baselines
    datasets: Datasets
    systems: Systems


def find_study(params: StudyParams, key: str) -> Evaluated:
    """Return what a key of params.yaml names: study.tau, datasets, systems or baselines.

    Raises:
        InputError: If it names nothing that is run.
    """
    runs: dict[str, Evaluated] = {f"study.{name}": study for name, study in params.study.items()}
    for name in ("datasets", "systems", "baselines"):
        runs[name] = getattr(params, name)
    if key not in runs:
        raise InputError(f"command line: --study: found {key}, expected one of {', '.join(runs)}")
    return runs[key]


class SettleParams(CellParams):
    """What the settings of a system are laid over."""

    systems: Systems


class PageParams(TrainParams):
    """What a page of a study says of its cells."""

    report: Report


class SystemsPageParams(TrainParams):
    """What the page of the systems says of its cells, and what it compares them with."""

    study: dict[Name, Study]
    systems: Systems


class SummaryParams(Section):
    """What the first page says."""

    report: Report
    study: dict[Name, Study]
