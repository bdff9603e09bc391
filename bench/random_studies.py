"""A small study of an odd data set, from its packed form to the page: trained, scored, reported."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from geomix.config.read import load
from geomix.config.settings import list_runs
from geomix.config.stages import BaselineParams, PageParams
from geomix.config.studies import Baselines, Study
from geomix.errors import InputError

IMAGES = {"patch": 16, "width": 16, "depth": 1, "heads": 2, "side": 16}
VECTORS = {"name": "mlp", "width": 16, "depth": 1}
SEEDS = "0-1"


def choose_settings(vectors: bool) -> dict[str, Any]:
    """Return settings with which a cell trains in a moment on whatever is there."""
    return {
        "tau": 0.1,
        "curvature": 1,
        "lam": 1,
        "epochs": 1,
        "device": "cpu",
        "backbone": VECTORS if vectors else IMAGES,
        "head": {"outputs": 4, "norm": "none"},
        "batch": {"classes": 2, "images": 2},
    }


def build_study(vectors: bool) -> Study:
    """Return a study of two geometries with two seeds."""
    run = {"geometries": ["euclidean", "hyperbolic_free"], "seeds": [SEEDS]}
    return Study.model_validate({"run": run, "pinned": choose_settings(vectors)})


def run_study(study: Study, own: str | None, data: Path, folder: Path) -> dict[str, bytes]:
    """Train the cells of a study, score them and the baselines, and build the page.

    Args:
        study: Its settings are pinned.
        own: A data set whose settings are laid over params.yaml.
        data: The packed data set.
        folder: Where runs and results are written.

    Returns:
        The files of the page.

    Raises:
        InputError: If the data cannot be trained on.
    """
    from geomix.data.packed import open_packed
    from geomix.evaluate.score import score_study
    from geomix.report.lineage import build_lineage
    from geomix.report.page import build_page
    from geomix.report.results import scored_lineages
    from geomix.train.cells import Planned, train_cells
    from geomix.train.save import save_baselines

    packed = open_packed(data)
    planned = [Planned(cell, seed, packed, place) for cell, seed, place in list_runs(study, own)]
    runs, results = folder / "runs", folder / "results"
    with patch.dict(os.environ, DVC_ROOT=str(folder)):  # where cells that are stopped would lie
        train_cells(planned, runs / "odd")
    below, params = Baselines(seeds=[SEEDS]), load(BaselineParams, study.base, own=own)
    save_baselines(packed, params, below.seed_list, runs / "baselines")
    score_study(runs / "odd", [one.place for one in planned], packed, results / "odd", "odd")
    folders = (runs / "baselines", below.cells(), packed, results / "baselines")
    score_study(*folders, "baselines", baselines=True)
    build = build_lineage if scored_lineages(results / "odd") else build_page
    shown = load(PageParams, study.base, own=own)
    return build("odd", study, results / "odd", results / "baselines", data, shown)


def report_study(data: Path, folder: Path, vectors: bool) -> dict[str, bytes]:
    """Build the page of a study without a word; no file where training refuses the data."""
    study = build_study(vectors)
    own = "tune.features" if vectors else None  # which are vectors as well
    list_runs(study, own)  # what is wrong with our settings is no fault of the data
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            return run_study(study, own, data, folder)
    except InputError:
        return {}
