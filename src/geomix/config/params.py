"""The whole of params.yaml: `Params`, the parts that stages ask for together."""

from geomix.config.base import Dataset
from geomix.config.stages import (
    CellParams,
    DownloadParams,
    FeaturesParams,
    PreprocessParams,
    TuneParams,
)
from geomix.config.studies import Report


class Params(DownloadParams, PreprocessParams, FeaturesParams, CellParams, TuneParams):
    """The whole of params.yaml."""

    dataset: Dataset
    report: Report
