"""Tiny trained runs to be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.geometry.geometry import Geometry
from geomix.library.model import Model
from geomix.train.save import save_run
from tests.train.conftest import build, fit
from tests.train.conftest import settings as settings

BALL: dict[str, Any] = {
    "distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": None}
}
CELL = {"geometry": "ball", "seed": 0}
CROP = {"area": 1, "flip": 0, "centre": 1}

Train = Callable[..., Path]


@pytest.fixture
def train(settings: dict[str, Any], tmp_path: Path) -> Train:
    """Return what trains, with some settings changed, and returns the folder of the run."""

    def train(
        packed: Packed, parts: dict[str, Any] = BALL, whole: bool = True, **changed: Any
    ) -> Path:
        given = settings | changed
        run = fit(packed, build(parts, tau=0.1, curvature=0.5, lam=1), given, 0, "cell")
        out = tmp_path / "runs" / packed.card["dataset"] / "cell"
        save_run(run, packed, CELL, TrainParams.model_validate(given), out, whole)
        return out

    return train


def bare_model(geometry: Geometry, vectors: np.ndarray) -> Model:
    """Return a model without a network, which searches vectors."""
    described = {"dataset": "none", "input": {"form": "vectors", "shape": [1, 1, 2], "crop": CROP}}
    nothing: Any = torch.nn.Identity()
    samples: Any = None
    model = Model(Path(), nothing, geometry, described, samples, torch.device("cpu"))
    model.vectors = vectors
    return model
