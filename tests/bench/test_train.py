"""The benchmark of training: both ways train one loss; rows say what was not measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import ROOT, inputs, page, train
from bench.inputs import CURVATURE, LAM, RADIUS, TAU_BALL, TAU_SPHERE_HYBRID
from bench.limits import LIMITS
from bench.measure import Options
from bench.released import hybrid, summed_loss
from bench.startup import pack_noise
from bench.stopwatch import PHASES
from geomix.config.read import load
from geomix.config.stages import CellParams
from geomix.data.packed import open_packed
from geomix.losses.pairwise import pairwise_cross_entropy

TINY = {
    "epochs": 1,
    "backbone": {"patch": 16, "width": 16, "depth": 1, "heads": 2},
    "batch": {"classes": 8, "images": 2},
}


def prepare(folder: Path) -> None:
    """Pack grey noise, and write its train split as files."""
    pack_noise(folder / "packed", classes=24, images=8)
    packed = open_packed(folder / "packed")
    (folder / "files").mkdir()
    for row in packed.rows("train"):
        pixels = np.asarray(packed.images)[row]
        Image.fromarray(pixels.squeeze()).save(folder / "files" / f"{row}.png")


CPU = train.SETTINGS["cpu"]
SMALL = replace(CPU, overlays=(*CPU.overlays, TINY), steps=5, loaders=0, prepare=prepare)


@pytest.mark.parametrize("way", train.WAYS)
def test_both_ways_train_and_are_timed(tmp_path: Path, way: str) -> None:
    deterministic = torch.are_deterministic_algorithms_enabled()
    SMALL.prepare(tmp_path)
    try:
        found = train.time_training(way, tmp_path, SMALL, exact=True)
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert found["steps"] >= 2
    assert set(found["seconds"]) == set(PHASES)
    assert all(seconds > 0 for seconds in found["seconds"].values())
    assert found["peak"] > 50


def test_both_ways_have_one_loss() -> None:
    params = CPU.params()
    embeddings = inputs.draw_batch(6, 3, params.head.outputs).double()
    geometry, table = train.build_hypmix(params), inputs.batch_table(6, 3)
    points = geometry.place(embeddings)
    ours = pairwise_cross_entropy(geometry.logits(points, points), table, table)
    system = hybrid(TAU_SPHERE_HYBRID, TAU_BALL, LAM, CURVATURE, RADIUS, unit=True)
    theirs = summed_loss(embeddings.view(3, 6, -1), system)
    assert float(3 * 2 * ours) == pytest.approx(float(theirs), rel=1e-4)


def test_the_operations_of_a_vision_transformer_are_those_of_its_formula() -> None:
    width, depth, tokens = 384, 12, (224 // 16) ** 2 + 1
    products = 12 * tokens * width**2 + 2 * tokens**2 * width  # of a block
    patches = (tokens - 1) * 3 * 16**2 * width
    head = width * 128
    params = train.SETTINGS["cuda"].params().model_copy(update={"device": "cpu"})
    flops = train.count_flops(params, (224, 224, 3))
    assert flops == 3 * 2 * (depth * products + patches + head)
    assert flops == pytest.approx(27.6e9, rel=1e-3)


def test_transforms_are_those_that_the_settings_ask_for(tmp_path: Path) -> None:
    prepare(tmp_path)
    packed = open_packed(tmp_path / "packed")
    params = SMALL.params()
    encoder = train.build_encoder(params.backbone, params.head, packed.image_shape, 0)
    names = [
        type(step).__name__
        for step in train.build_transform(params, encoder).transforms  # type: ignore[attr-defined]
    ]
    assert names == ["RandomAffine", "ToTensor", "partial", "Normalize"]
    photographs = train.SETTINGS["cuda"].params()
    names = [
        type(step).__name__
        for step in train.build_transform(photographs, encoder).transforms  # type: ignore[attr-defined]
    ]
    assert names == ["RandomResizedCrop", "RandomHorizontalFlip", "ToTensor", "Normalize"]


def made_rows() -> list[page.Row]:
    """Return rows of a run on a machine without a GPU: steps of 0.1 s, and of 0.3 s."""
    phases = dict(zip(PHASES, (0.002, 0.03, 0.006, 0.06, 0.002), strict=True))
    slow = phases | {"data": 0.202}
    runs = {train.OURS: [{"seconds": phases}] * 5, train.THEIRS: [{"seconds": slow}] * 5}
    exact = {way: found[0] for way, found in runs.items()}
    peaks = {train.OURS: 500.0, train.THEIRS: 900.0}
    rows = train.rows_of(CPU, runs, exact, peaks, flops=1e8, peak=1e12)
    return [*rows, *train.rows_of(train.SETTINGS["cuda"], {}, {}, {}, 0, 0)]


def test_rows_are_quotients_of_both_ways() -> None:
    row, ours, theirs, *_ = made_rows()
    batch = load(CellParams, path=ROOT / "params.yaml").batch
    images = batch.classes * batch.images
    assert row["ratio"] == pytest.approx(3)
    assert row["baseline_images_per_second"] == pytest.approx(images / 0.1)
    assert row["baseline_utilisation"] == pytest.approx(1e8 * images / 0.1 / 1e12)
    assert row["baseline_network"] == pytest.approx(0.9)
    assert ours["backward"] == pytest.approx(0.6)
    assert theirs["data"] == pytest.approx(0.202 / 0.3)


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    table = page.write_csv("train", made_rows(), Options(True, tmp_path, 1, 1.0))
    for name, count in (("training", 1), ("phases", 2)):
        text = page.table_text("train", name, table)
        assert text.count("not measured") == count
        assert max(line.count("|") for line in text.splitlines()) <= 8
    page.write_page(tmp_path)
    limits = [limit for limit in LIMITS if limit.bench == "train"]
    rows = page.records(table)
    for limit in limits:
        assert any(limit.names("train", row) for row in rows), limit
    asked = [limit for limit in limits if any(limit.applies("train", row) for row in rows)]
    assert [limit.within for limit in asked] == ["CPU"]
