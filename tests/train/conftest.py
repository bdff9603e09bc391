"""Settings of a training run that takes a moment."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from geomix.config.sections import Geometry as Spaces
from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.geometry.geometry import Geometry, build_geometry
from geomix.train.chunks import Chunks
from geomix.train.fit import Run, take_step
from geomix.train.fit import fit as fit_typed
from geomix.train.state import build_batches, build_state
from geomix.train.views import draw_views

# A learned tree that is small.
HIER = {
    "name": "hier",
    "weight": 0.5,
    "proxies": 8,
    "neighbours": 3,
    "triplets": 4,
    "margin": 0.1,
    "curvature": 0.1,
    "clip_radius": 2.3,
    "rate_factor": 5,
}


def fit(packed: Packed, geometry: Geometry, settings: dict[str, Any], seed: int, name: str) -> Run:
    """Fit with settings as params.yaml has them."""
    return fit_typed(packed, geometry, TrainParams.model_validate(settings), seed, name)


def build(parts: dict[str, Any], tau: float, curvature: float, lam: float | None) -> Geometry:
    """Build a geometry of 8 dimensions as params.yaml describes it."""
    spaces = TypeAdapter(Spaces).validate_python(parts)
    return build_geometry(spaces, tau=tau, curvature=curvature, lam=lam, dimensions=8)


def small_settings() -> dict[str, Any]:
    """Return the sections of params.yaml that training reads, in small."""
    return {
        "epochs": 2,
        "device": "cpu",
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "pretrained": False,
            "checkpoint": None,
            "stem": "patch",
            "side": None,
            "patch": 8,
            "width": 16,
            "depth": 1,
            "heads": 2,
            "drop_path": 0,
            "freeze_patch_embedding": False,
        },
        "head": {"outputs": 8, "norm": "none"},
        "geometry": {},
        "relevance": "class",
        "loss": {"name": "pairwise_cross_entropy"},
        "negatives": {"rule": "uniform"},
        "regulariser": {"name": "none"},
        "labels": "given",
        "batch": {"classes": 3, "images": 2},
        "crop": {"area": 1, "flip": 0, "centre": 1},
        "augment": {"rotate": 3, "zoom": 0.03, "shear": 0.03, "shift": 0.02, "noise": 0.02},
        "optim": {"learning_rate": 0.003, "weight_decay": 0.01, "warmup": 0.1, "clip_norm": 3},
    }


@pytest.fixture
def settings() -> dict[str, Any]:
    """Return settings to be changed."""
    return small_settings()


def step_in_double(
    packed: Packed, settings: dict[str, Any], chunk: int | None
) -> tuple[float, dict[str, torch.Tensor]]:
    """Take one step in float64, and return its loss and the gradients by name.

    The learning rate is 0, and no gradient is clipped.
    """
    params = TrainParams.model_validate(settings)
    parts = {
        "cosine": {"space": "sphere", "weight": 1, "learn_weight": True},
        "distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3},
    }
    parts["distance"] |= {"learn_curvature": True}
    geometry = build(parts, tau=0.5, curvature=0.5, lam=1)
    batches = build_batches(packed, params)
    state = build_state(packed, geometry, params, batches, 0, torch.device("cpu"))
    for module in state.modules.values():
        module.double()
    batch = next(draw_views(packed, batches, params, state))
    batch = batch._replace(views=batch.views.double())
    step = take_step(state, Chunks(state.encoder.backbone, chunk, nullcontext), batch, 0, 1e9)
    named = {
        f"{part}.{name}": weight.grad
        for part, module in state.modules.items()
        for name, weight in module.named_parameters()
    }
    return step.loss.item(), {name: grad for name, grad in named.items() if grad is not None}
