"""The calibration in small: the ball wins on a tree, flat space on a plane, and neither by luck."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from geomix.config.sections import Geometry as Spaces
from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.datasets.grid import draw_grid
from geomix.datasets.tree import draw_tree
from geomix.evaluate.cells import Affine
from geomix.evaluate.distances import relative_stress, target_distances
from geomix.geometry.geometry import Geometry, build_geometry
from geomix.network.embed import embed
from geomix.train.fit import fit

TREE_NODES = 121  # down to depth 4: parents come first
FREE = {"weight": 1, "scale": 1, "clip_radius": None}
BALL: dict[str, Any] = {"space": "ball", **FREE}
SPACES: dict[str, dict[str, Any]] = {
    "cosine": {"space": "sphere", "weight": 1},
    "dot": {"space": "inner", **FREE},
    "flat": {"space": "flat", **FREE},
    "ball": BALL,
}


@pytest.fixture(scope="module")
def params() -> TrainParams:
    """Return settings of a training that takes a second or two."""
    return TrainParams.model_validate(
        {
            "epochs": 150,
            "device": "cpu",
            "backbone": {
                "name": "mlp",
                "pretrained": False,
                "checkpoint": None,
                "stem": "patch",
                "side": None,
                "patch": None,
                "width": 64,
                "depth": 1,
                "heads": None,
                "drop_path": 0,
                "freeze_patch_embedding": False,
            },
            "head": {"outputs": 3, "norm": "none"},
            "geometry": {},
            "relevance": "class",
            "loss": {"name": "distances"},
            "negatives": {"rule": "uniform"},
            "regulariser": {"name": "none"},
            "labels": "given",
            "batch": {"classes": 2, "images": 2},
            "crop": {"area": 1, "flip": 0, "centre": 1},
            "augment": {"rotate": 0, "zoom": 0, "shear": 0, "shift": 0, "noise": 0},
            "optim": {"learning_rate": 0.01, "weight_decay": 0, "warmup": 0.1, "clip_norm": 3},
        }
    )


def pack_tree() -> Packed:
    """Return a small tree; every second leaf is held out."""
    nodes, vectors = draw_tree()
    nodes, vectors = nodes[:TREE_NODES], vectors[:TREE_NODES]
    leaves = [node.count("/") == max(one.count("/") for one in nodes) for node in nodes]
    split = ["val" if leaf and row % 2 else "train" for row, leaf in enumerate(leaves)]
    return pack(vectors, lineage=nodes, label=nodes, split=split)


def pack_grid() -> Packed:
    """Return the grid, of which a sixth is held out as val."""
    table, vectors = draw_grid()
    columns = {name: table[name].tolist() for name in ("label", "x", "y", "split")}
    return pack(vectors, coordinates=["x", "y"], **columns)


def pack(vectors: np.ndarray, coordinates: list[str] | None = None, **columns: Any) -> Packed:
    """Return a packed data set of vectors."""
    shape = [1, 1, vectors.shape[1]]
    card = {"image_shape": shape, "levels": [], "coordinates": coordinates or []}
    return Packed(pd.DataFrame(columns), vectors, card)


def held_out_stress(
    packed: Packed, space: dict[str, Any], params: TrainParams, curvature: float = 1
) -> float:
    """Train in one space and return the stress of pairs with a sample of val."""
    torch.set_num_threads(1)
    parts = TypeAdapter(Spaces).validate_python({"only": space})
    geometry = build_geometry(parts, tau=1, curvature=curvature, lam=1, dimensions=3)
    run = fit(packed, geometry, params, 0, "control")
    device = torch.device("cpu")
    vectors = [embed(run.encoder, packed, split, params.crop, device) for split in ("train", "val")]
    points = torch.from_numpy(np.concatenate([vectors[0]["train_head"], vectors[1]["val_head"]]))
    rows = np.concatenate([packed.rows("train"), packed.rows("val")])
    targets = target_distances(packed, rows)
    affine = Affine(**run.objective.learned())
    trained: Geometry = run.geometry
    start = len(packed.rows("train"))
    return relative_stress(trained, affine, points.double(), targets, start).pairs


@pytest.fixture(scope="module")
def on_tree(params: TrainParams) -> dict[str, float]:
    """Return the stress of each space on the tree."""
    return {name: held_out_stress(pack_tree(), space, params) for name, space in SPACES.items()}


def test_on_a_tree_the_ball_beats_each_flat_control(on_tree: dict[str, float]) -> None:
    flat = [stress for name, stress in on_tree.items() if name != "ball"]
    assert on_tree["ball"] < 0.8 * min(flat)


def test_a_ball_at_its_flat_limit_is_flat_space_and_no_longer_wins(
    on_tree: dict[str, float], params: TrainParams
) -> None:
    limit = held_out_stress(pack_tree(), BALL, params, curvature=0)
    assert limit == pytest.approx(on_tree["flat"], abs=1e-6)
    nearly = held_out_stress(pack_tree(), BALL, params, curvature=1e-9)
    assert nearly == pytest.approx(on_tree["flat"], rel=0.02)


def test_a_ball_of_unit_vectors_no_longer_wins(
    on_tree: dict[str, float], params: TrainParams
) -> None:
    unit = held_out_stress(pack_tree(), BALL | {"normalize": True}, params)
    assert unit > min(stress for name, stress in on_tree.items() if name != "ball")


def test_on_a_plane_flat_space_beats_the_ball_the_more_it_is_curved(params: TrainParams) -> None:
    flat, *balls = (
        held_out_stress(pack_grid(), space, params, curvature)
        for space, curvature in ((SPACES["flat"], 1), (BALL, 0.1), (BALL, 4))
    )
    assert flat < balls[0] / 2
    assert balls[0] < balls[1] / 2
