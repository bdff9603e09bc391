"""Trained cells of two small studies."""

from pathlib import Path

import pytest

from geomix.analyze.trained import Trained
from geomix.config.studies import Study
from geomix.data.packed import open_packed
from tests.report.conftest import SPACES, list_cells, write_cell


def make_study(seeds: str, **over: object) -> Study:
    run = {"geometries": ["euclidean", "flat", "hyperbolic"], "seeds": [seeds]}
    return Study.model_validate({"run": run, "over": over})


def write_trained(root: Path, packed_folder: Path, seeds: str = "0-2") -> Trained:
    """Write cells of studies compare and tau; tau 0.1 is chosen."""
    packed = open_packed(packed_folder)
    studies = {"compare": make_study(seeds), "tau": make_study(seeds, tau=[0.1, 0.4])}
    for name, study in studies.items():
        for place, cell in list_cells(study):
            noise = 2 + cell["tau"]
            write_cell(root / name / place, packed, cell, SPACES[cell["geometry"]], noise)
    chosen = {name: {"tau": 0.1} for name in studies["tau"].geometries}
    runs = {name: root / name for name in studies}
    return Trained(packed, studies, runs, "tau", "compare", chosen)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Trained:
    return write_trained(tmp_path_factory.mktemp("runs"), kept_packed)
