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
    Precision,
    Relevance,
    Section,
    Task,
)
from geomix.config.literature import Systems
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
    Features,
    Folder,
    Geometry,
    Head,
    Images,
    Machine,
    Optim,
    Split,
)
from geomix.config.studies import Baselines, Control, Datasets, Evaluated, Report, Study
from geomix.config.tuning import Tuned, Verdict
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
    classes: Classes = Classes()


class FeaturesParams(Section):
    """What is embedded before any head is trained, and by what."""

    features: Features


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
    precision: Precision = "auto"
    machine: Machine = Machine()
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
    kernel: Datasets
    systems: Systems


class AnalyzeParams(Section):
    """Whose embeddings are analyzed, and in batches of which shape."""

    study: dict[Name, Study]
    batch: Batch


class NegativesPageParams(Section):
    """What the page of negatives says of its cells, and how many anchors it shows."""

    study: dict[Name, Study]
    geometry: dict[Name, Geometry]
    report: Report


class GeometryPageParams(Section):
    """What the page of the shape of embeddings is about."""

    geometry: dict[Name, Geometry]


class TrainingPageParams(TrainParams):
    """What the page of training is about, and what trained its cells."""

    study: dict[Name, Study]


class TuneParams(StudyParams):
    """What is tuned, and what chooses."""

    verdict: Verdict


def list_studies(params: StudyParams) -> dict[str, Study]:
    """Return all studies by their keys in params.yaml."""
    return {
        **{f"study.{name}": study for name, study in params.study.items()},
        **{f"further.{name}": study for name, study in params.further.items()},
        **{f"control.{name}": study for name, study in params.control.parts.items()},
        **{f"tune.{name}": params.tune.winners(name) for name in params.tune.budget},
        "kernel": params.kernel,
    }


def list_own(params: StudyParams) -> dict[str, dict[Dataset, dict[str, Any]]]:
    """Return by section what each of its data sets lays over params.yaml."""
    return {name: getattr(params, name).own for name in ("tune", "kernel", "control")}


def find_study(params: StudyParams, key: str) -> Evaluated:
    """Return what a key of params.yaml names, such as study.tau, control.flat or baselines.

    Raises:
        InputError: If it names nothing that is run.
    """
    runs: dict[str, Evaluated] = {**list_studies(params)}
    runs |= {"baselines": params.baselines}
    if key not in runs:
        raise InputError(f"command line: --study: found {key}, expected one of {', '.join(runs)}")
    return runs[key]


class ProposeParams(Section):
    """What trials are proposed from."""

    geometry: dict[Name, Geometry]
    tune: Tuned
    verdict: Verdict


class AdoptParams(ProposeParams):
    """Which winner is adopted."""

    dataset: Dataset


class WinnerParams(Section):
    """Which winners are evaluated."""

    tune: Tuned


def find_geometry(params: ProposeParams, name: str) -> Geometry:
    """Return the spaces of a geometry.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in params.geometry:
        known = ", ".join(params.geometry)
        raise InputError(f"command line: --geometry: found {name}, expected one of {known}")
    return params.geometry[name]


def find_dataset(tuned: Tuned, name: str) -> Dataset:
    """Return the data set of that name whose geometries are tuned.

    Raises:
        InputError: If there is none.
    """
    for one in tuned.of.sets:
        if one == name:
            return one
    expected = f"one of tune.of.sets: {', '.join(tuned.of.sets)}"
    raise InputError(f"command line: found {name}, expected {expected}")


class TrialParams(TrainParams):
    """What trials and winners are trained with."""

    tune: Tuned


class DivideParams(PreprocessParams):
    """How a data set is divided for tuning."""

    tune: Tuned


class SettleParams(CellParams):
    """What the settings of a system are laid over."""

    systems: Systems


class PageParams(TrainParams):
    """What a page of a study says of its cells."""

    report: Report


class SearchPageParams(TrialParams):
    """What the page of a search says of its trials, and what chose."""

    verdict: Verdict


class SystemsParams(Section):
    """Which systems are evaluated."""

    systems: Systems


class SystemChoiceParams(Section):
    """What chooses the winner of a system."""

    verdict: Verdict


class SystemsPageParams(TrainParams):
    """What the page of the systems says of its cells, and by which metric."""

    systems: Systems
    verdict: Verdict


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
    tune: Tuned
    verdict: Verdict


class FrontParams(Section):
    """What the first page is about."""

    dataset: Dataset
    tune: Tuned
