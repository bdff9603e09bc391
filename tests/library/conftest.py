"""Tiny trained runs to be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geomix.config.sections import Features
from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.features.extract import Machine, write_features
from geomix.files import hash_file, write_json
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


@pytest.fixture
def features(packed: Packed, tmp_path: Path) -> Packed:
    """Return features of the small data set: data/raw has them, data/packed their card."""
    folder = tmp_path / "data/raw/features"
    folder.mkdir(parents=True)
    shape = {"side": 16, "patch": 8, "width": 16, "depth": 1, "heads": 2}
    given = {"dataset": "glyphs", "batch": 7, "device": "cpu", "centre": 1}
    section = Features.model_validate(
        given | {"backbone": {"name": "vit_tiny_patch16_224", **shape}}
    )
    machine = Machine(torch.device("cpu"), threads=1)
    facts = write_features(folder, packed, section, tmp_path / "parts", machine)
    write_json(folder / "manifest.json", facts)
    hashes = {"vectors.npy": hash_file(folder / "vectors.npy")}
    card = packed.card | {"image_shape": [1, 1, 16], "dataset": "features", "sha256": hashes}
    beside = tmp_path / "data/packed/features"
    beside.mkdir(parents=True)
    write_json(beside / "card.json", card)
    return Packed(packed.samples, np.load(folder / "vectors.npy"), card)


@pytest.fixture
def trained_on_features(features: Packed, train: Train, settings: dict[str, Any]) -> Path:
    """Return the folder of a run on features: a head alone."""
    return train(features, backbone=settings["backbone"] | {"name": "linear"})


def bare_model(geometry: Geometry, vectors: np.ndarray) -> Model:
    """Return a model without a network, which searches vectors."""
    described = {"dataset": "none", "input": {"form": "vectors", "shape": [1, 1, 2], "crop": CROP}}
    nothing: Any = torch.nn.Identity()
    samples: Any = None
    model = Model(Path(), nothing, geometry, described, samples, torch.device("cpu"))
    model.vectors = vectors
    return model
