"""What each stage asks params.yaml for: a typed part of it.

The names of the fields are the `params:` of the stage's blocks in dvc.yaml.
"""

from typing import Any

from geomix.config.base import (
    Count,
    Dataset,
    Device,
    Labels,
    Name,
    NonNegative,
    Positive,
    Relevance,
    Section,
    Task,
)
from geomix.config.losses import Distances, Loss, Regulariser
from geomix.config.negatives import Negatives
from geomix.config.sections import (
    Augment,
    Backbone,
    Batch,
    Classes,
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
from geomix.config.studies import Baselines, Control, Datasets, Evaluated, Report, Study, Systems
from geomix.config.tuning import Tuned, Verdict
from geomix.errors import InputError

TUNED = ("tune", "datasets")  # the sections whose geometries are tuned
JUDGED = (*TUNED, "lineage")  # those that have a verdict


class DownloadParams(Section):
    """Where the user's data and mirrors are."""

    download: Download
    folder: Folder
    embeddings: Embeddings


class PreprocessParams(Section):
    """How a data set is split and packed."""

    split: Split
    images: Images
    classes: Classes = Classes()


class Tasked(Section):
    """What says which pairs belong together, or how far apart they are."""

    relevance: Relevance
    loss: Loss

    @property
    def task(self) -> Task:
        """What is learned and scored: classes, lineages, or known distances."""
        return "distances" if isinstance(self.loss, Distances) else self.relevance


class TrainParams(Tasked):
    """What a cell is trained with, apart from what stands on its command line."""

    epochs: Count
    device: Device
    backbone: Backbone
    head: Head
    geometry: dict[Name, Geometry]
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


class BaselineParams(Tasked):
    """What the untrained network is built from."""

    device: Device
    crop: Crop
    backbone: Backbone
    head: Head


class StudyParams(Section):
    """All that is run."""

    study: dict[Name, Study]
    further: dict[Name, Study]
    control: Control
    baselines: Baselines
    tune: Tuned
    datasets: Tuned
    lineage: Datasets
    kernel: Datasets
    systems: Systems


class TuneParams(StudyParams):
    """What is tuned, and what chooses."""

    verdict: Verdict


def list_studies(params: StudyParams) -> dict[str, Study]:
    """Return all studies by their keys in params.yaml."""
    return {
        **{f"study.{name}": study for name, study in params.study.items()},
        **{f"further.{name}": study for name, study in params.further.items()},
        **{f"control.{name}": study for name, study in params.control.parts.items()},
        **list_tuned(params),
        "lineage": params.lineage,
        "kernel": params.kernel,
    }


def list_tuned(params: StudyParams) -> dict[str, Tuned]:
    """Return the studies of tuned geometries by their keys in params.yaml."""
    return {name: getattr(params, name) for name in TUNED}


def list_own(params: StudyParams) -> dict[str, dict[Dataset, dict[str, Any]]]:
    """Return by section what each of its data sets lays over params.yaml."""
    sections = *TUNED, "lineage", "kernel", "control"
    return {name: getattr(params, name).own for name in sections}


def find_study(params: StudyParams, key: str) -> Evaluated:
    """Return what a key of params.yaml names, such as study.tau, control.flat or systems.

    Raises:
        InputError: If it names nothing that is run.
    """
    runs: dict[str, Evaluated] = {**list_studies(params)}
    runs |= {"systems": params.systems, "baselines": params.baselines}
    if key not in runs:
        raise InputError(f"command line: --study: found {key}, expected one of {', '.join(runs)}")
    return runs[key]


class ProposeParams(TuneParams):
    """What trials are proposed from."""

    geometry: dict[Name, Geometry]


def find_geometry(params: ProposeParams, name: str) -> Geometry:
    """Return the spaces of a geometry.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in params.geometry:
        known = ", ".join(params.geometry)
        raise InputError(f"command line: --geometry: found {name}, expected one of {known}")
    return params.geometry[name]


def find_tuned(params: StudyParams, key: str) -> Tuned:
    """Return the study of tuned geometries that a key of params.yaml names.

    Raises:
        InputError: If it names none.
    """
    studies = list_tuned(params)
    if key not in studies:
        expected = ", ".join(studies)
        raise InputError(f"command line: --study: found {key}, expected one of {expected}")
    return studies[key]


def find_judged(params: StudyParams, key: str) -> Study:
    """Return the study that a verdict is about.

    Raises:
        InputError: If a key of params.yaml names none of them.
    """
    if key not in JUDGED:
        expected = ", ".join(JUDGED)
        raise InputError(f"command line: --study: found {key}, expected one of {expected}")
    return list_studies(params)[key]


class SettleParams(CellParams):
    """What the settings of a system are laid over."""

    systems: Systems


class PageParams(TrainParams):
    """What a page of a study says of its cells."""

    report: Report


class SearchPageParams(TrainParams):
    """What the page of a search says of its trials, and what chose."""

    verdict: Verdict


class SystemsPageParams(TrainParams):
    """What the page of the systems says of its cells, and what it compares them with."""

    study: dict[Name, Study]
    systems: Systems


class ControlParams(Section):
    """What the page of the calibration reports on."""

    control: Control


class SummaryParams(Section):
    """What the page of the default flow says."""

    report: Report
    geometry: dict[Name, Geometry]
    study: dict[Name, Study]


class VerdictParams(Tasked):
    """What a verdict is judged by."""

    geometry: dict[Name, Geometry]
    verdict: Verdict


class FrontParams(Section):
    """What the first page is about."""

    dataset: Dataset
    tune: Tuned
    datasets: Tuned
    lineage: Datasets
