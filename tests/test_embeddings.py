"""Vectors of the user from end to end: download, preprocess, fit, save, score."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from geomix.config.sections import Augment, Crop, Download, Embeddings, Folder, Images, Split
from geomix.config.stages import BaselineParams, DownloadParams, TrainParams
from geomix.data.packed import Packed, open_packed
from geomix.datasets import embeddings
from geomix.download.obtain import obtain
from geomix.evaluate.score import score_study
from geomix.geometry.geometry import build_geometry
from geomix.network.encoder import build_encoder
from geomix.preprocess.pack import pack
from geomix.report.results import average_baselines, read_results
from geomix.train.fit import Run, fit
from geomix.train.save import save_baselines, save_run

CLASSES, EACH = 20, 10
BALL = {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3}
PARAMS = TrainParams.model_validate(
    {
        "epochs": 8,
        "device": "cpu",
        "backbone": {
            "name": "mlp",
            "pretrained": False,
            "checkpoint": None,
            "stem": "patch",
            "side": None,
            "patch": None,
            "width": 32,
            "depth": 1,
            "heads": None,
            "drop_path": 0,
            "freeze_patch_embedding": False,
        },
        "head": {"outputs": 8, "norm": "none"},
        "geometry": {"ball": {"distance": BALL}},
        "relevance": "class",
        "loss": {"name": "pairwise_cross_entropy"},
        "negatives": {"rule": "uniform"},
        "regulariser": {"name": "none"},
        "labels": "given",
        "batch": {"classes": 5, "images": 4},
        "crop": {"area": 1, "flip": 0, "centre": 1},
        "augment": {"rotate": 3, "zoom": 0.03, "shear": 0.03, "shift": 0.02, "noise": 0.1},
        "optim": {"learning_rate": 0.003, "weight_decay": 0.01, "warmup": 0.1, "clip_norm": 3},
    }
)
BASELINES = BaselineParams.model_construct(
    **{name: getattr(PARAMS, name) for name in BaselineParams.model_fields}
)


def draw_vectors() -> tuple[np.ndarray, pd.DataFrame]:
    """Draw classes that differ in two small columns beside four that are loud and say nothing."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(CLASSES), EACH)
    places = random.uniform(-1, 1, (CLASSES, 2))
    quiet = 0.01 * (places[classes] + 0.05 * random.normal(size=(len(classes), 2))) + 5
    loud = 300 * random.normal(size=(len(classes), 4))
    table = pd.DataFrame(
        {
            "label": [f"class {label}" for label in classes],
            "kind": [f"{label % 3}" for label in classes],
        }
    )
    return np.hstack([quiet, loud, 7.5 + 1e-6 * (classes[:, None] % 2)]), table


def prepare(folder: Path, kind: str) -> Packed:
    """Store and pack the vectors from one kind of file."""
    vectors, table = draw_vectors()
    path = folder / f"own.{kind}"
    if kind == "npy":
        np.save(path, vectors)
        table.to_csv(folder / "labels.csv", index=False)
    else:
        table.assign(vector=list(vectors)).to_parquet(path)
    params = DownloadParams(
        download=Download(mirror=None),
        folder=Folder(path=None, table=None),
        embeddings=Embeddings(path=str(path), table="labels.csv" if kind == "npy" else None),
    )
    obtain("embeddings", embeddings.SOURCE, params, folder / "raw")
    listing = embeddings.read(folder / "raw")
    split = Split(seed=0, train=0.5, val=0.2, test=0.3)
    images = Images(form="auto", side=None, broken=0)
    pack("embeddings", listing, folder / "packed", split, images)
    return open_packed(folder / "packed")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Return the packed vectors, which no test changes."""
    return prepare(tmp_path_factory.mktemp("vectors"), "npy")


def train(packed: Packed, **changes: Any) -> Run:
    """Train in the ball."""
    spaces = PARAMS.geometry["ball"]
    geometry = build_geometry(spaces, tau=0.1, curvature=0.5, lam=1, dimensions=8)
    return fit(packed, geometry, PARAMS.model_copy(update=changes), 0, "cell")


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_classes_that_a_cosine_of_raw_vectors_cannot_see_are_learned(
    tmp_path: Path, kind: str
) -> None:
    packed = prepare(tmp_path, kind)
    cell = {"geometry": "ball", "seed": 0, "tau": 0.1, "curvature": 0.5, "lam": 1}
    save_run(train(packed), packed, cell, PARAMS, tmp_path / "runs" / "cell")
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "scores", "tau")
    save_baselines(packed, BASELINES, [0], tmp_path / "baselines")
    score_study(
        tmp_path / "baselines", ["pixels", "untrained-0"], packed, tmp_path / "results", "baselines"
    )
    metrics = pd.read_csv(tmp_path / "scores" / "metrics.csv").set_index(
        ["split", "vector", "similarity"]
    )
    baselines = average_baselines(read_results(tmp_path / "results"), "test")
    assert baselines["geometry"].tolist() == ["raw vectors", "untrained network"]
    raw = baselines["recall_at_1"][0]
    assert raw < 0.4
    assert metrics.loc[("test", "head", "own"), "recall_at_1"] > raw + 0.3


def test_both_kinds_of_file_give_the_same_packed_data(tmp_path: Path, packed: Packed) -> None:
    other = prepare(tmp_path, "parquet")
    assert other.card == packed.card


def test_columns_are_standardised_by_those_of_train(packed: Packed) -> None:
    assert packed.moments
    vectors = np.asarray(packed.images)[packed.rows("train")].astype(np.float64)
    mean, deviation = packed.moments
    np.testing.assert_allclose(mean, vectors.mean(0), rtol=1e-9)
    np.testing.assert_allclose(deviation[:-1], vectors.std(0)[:-1], rtol=1e-6)
    assert deviation[-1] == 1  # of a column that varies by the last digit of a float32 alone


def test_saved_weights_embed_raw_vectors_on_their_own(packed: Packed, tmp_path: Path) -> None:
    save_run(train(packed, epochs=1), packed, {"geometry": "ball"}, PARAMS, tmp_path / "cell")
    saved = load_file(tmp_path / "cell" / "model.safetensors")
    unknown = (np.zeros(7), np.ones(7))
    encoder = build_encoder(PARAMS.backbone, PARAMS.head, packed.image_shape, 1, unknown).eval()
    encoder.load_state_dict(saved)
    vectors = torch.from_numpy(np.asarray(packed.images)[packed.rows("val")])
    with torch.no_grad():
        _, heads = encoder((vectors - encoder.mean) / encoder.std)
    found = np.load(tmp_path / "cell" / "embeddings.npz")["val_head"]
    np.testing.assert_allclose(found, heads, rtol=1e-5, atol=1e-6)


def test_crops_and_moves_change_nothing_and_noise_does(packed: Packed) -> None:
    first = train(packed, epochs=1).history
    noise = PARAMS.augment.noise
    moves = Augment(rotate=90, zoom=0.5, shear=1, shift=0.5, noise=noise)
    crop = Crop(area=0.2, flip=0.5, centre=0.5)
    assert train(packed, epochs=1, crop=crop, augment=moves).history == first
    quiet = PARAMS.augment.model_copy(update={"noise": 0})
    assert train(packed, epochs=1, augment=quiet).history != first
