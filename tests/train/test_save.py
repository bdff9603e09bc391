"""Saved cells: complete, the same bytes every time, readable without training code."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from geomix.config.sections import Backbone, Crop, Head
from geomix.config.stages import BaselineParams, TrainParams
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.files import hash_file, read_json
from geomix.network import embed as embed_module
from geomix.network.embed import embed, settle_norm
from geomix.network.encoder import build_encoder
from geomix.train import fit as fit_module
from geomix.train import save as save_module
from geomix.train.save import save_baselines, save_run
from tests.train.conftest import HIER, build, fit

PARTS = {"distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3}}
SCORED = ("embeddings.npz", "geometry.json", "history.csv", "model.safetensors")
USED = ("model.json", "samples.parquet")
CELL = {"geometry": "ball", "seed": 0, "tau": 0.1, "curvature": 0.5, "lam": None}


def baseline_params(settings: dict[str, Any]) -> BaselineParams:
    keys = BaselineParams.model_fields
    return BaselineParams.model_validate({key: settings[key] for key in keys})


def train_and_save(packed: Packed, settings: dict[str, Any], out: Path, whole: bool = True) -> None:
    run = fit(
        packed,
        build(PARTS, tau=0.1, curvature=0.5, lam=1),
        settings,
        0,
        "cell",
    )
    save_run(run, packed, CELL, TrainParams.model_validate(settings), out, whole)


def test_a_cell_has_the_same_bytes_every_time(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        train_and_save(packed, settings, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted([*SCORED, *USED])
    assert all(
        hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name) for name in files
    )


def test_the_files_of_a_cell_can_be_read_by_all_who_may_read_others(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    train_and_save(packed, settings, tmp_path / "cell")
    (tmp_path / "plain").touch()
    files = [tmp_path / "plain", *(tmp_path / "cell").iterdir()]
    assert len({path.stat().st_mode for path in files}) == 1


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_embeddings_are_those_of_the_saved_weights_on_clean_images(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    floats: Callable[[Packed, np.ndarray], torch.Tensor],
    norm: str,
) -> None:
    settings["head"]["norm"] = norm
    train_and_save(packed, settings, tmp_path / "cell")
    backbone, head = (Backbone(**settings["backbone"]), Head(**settings["head"]))
    encoder = build_encoder(backbone, head, (16, 16, 1), seed=99)
    encoder.load_state_dict(load_file(tmp_path / "cell" / "model.safetensors"))
    embeddings = np.load(tmp_path / "cell" / "embeddings.npz")
    for split in ("val", "test"):
        with torch.no_grad():
            found = encoder.eval()(floats(packed, packed.rows(split)))
        for part, vectors in zip(("backbone", "head"), found, strict=True):
            np.testing.assert_allclose(embeddings[f"{split}_{part}"], vectors, rtol=1e-5, atol=1e-5)


def test_train_is_encoded_once_where_its_batch_norm_is_measured(
    packed: Packed, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["head"]["norm"] = "batch"
    splits: list[str] = []

    def note(*given: Any) -> dict[str, np.ndarray]:
        splits.append(given[2])
        return embed(*given)

    for module in (save_module, embed_module):
        monkeypatch.setattr(module, "embed", note)
    train_and_save(packed, settings, tmp_path / "cell")
    assert splits == ["train", "val", "test"]


def test_saved_statistics_of_batch_norm_are_of_train_and_not_of_its_augmented_batches(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    floats: Callable[[Packed, np.ndarray], torch.Tensor],
) -> None:
    settings["head"]["norm"] = "batch"
    train_and_save(packed, settings, tmp_path / "cell")
    monkeypatch.setattr(fit_module, "settle_norm", lambda *_: None)
    train_and_save(packed, settings, tmp_path / "running")
    saved, running = (
        load_file(tmp_path / name / "model.safetensors") for name in ("cell", "running")
    )
    backbone, head = Backbone(**settings["backbone"]), Head(**settings["head"])
    encoder = build_encoder(backbone, head, (16, 16, 1), seed=99).eval()
    encoder.load_state_dict(saved)
    with torch.no_grad():
        features, _ = encoder(floats(packed, packed.rows("train")))
        outputs = encoder.head(features).double()
    mean, variance = (saved[f"norm.running_{name}"].double() for name in ("mean", "var"))
    torch.testing.assert_close(mean, outputs.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance, (outputs - mean).square().mean(0), rtol=1e-4, atol=0)
    assert saved.keys() == running.keys()
    differ = {name for name in saved if not torch.equal(saved[name], running[name])}
    assert differ == {"norm.running_mean", "norm.running_var"}


def test_a_cell_whose_embeddings_all_but_coincide_is_refused_and_not_written(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = fit(packed, build(PARTS, tau=0.1, curvature=0.5, lam=1), settings, 0, "study/cell")
    torch.nn.init.zeros_(run.encoder.head.weight)
    torch.nn.init.ones_(run.encoder.head.bias)
    with pytest.raises(InputError, match="study/cell: val: head.norm: found embeddings spread"):
        save_run(run, packed, CELL, TrainParams.model_validate(settings), tmp_path / "cell")
    assert not (tmp_path / "cell").exists()


def test_the_description_says_what_the_geometry_became(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    train_and_save(packed, settings, tmp_path / "cell")
    description = read_json(tmp_path / "cell" / "geometry.json")
    assert description["cell"] == CELL
    assert description["tau"] == 0.1
    assert description["spaces"][0]["curvature"] == 0.5
    assert description["spaces"][0]["scale"] != 8**-0.5
    assert len(pd.read_csv(tmp_path / "cell" / "history.csv")) == settings["epochs"]


@pytest.mark.parametrize("regulariser", [{"name": "none"}, HIER])
def test_a_trial_keeps_what_is_scored_and_nothing_more(
    packed: Packed, settings: dict[str, Any], tmp_path: Path, regulariser: dict[str, Any]
) -> None:
    settings["regulariser"] = regulariser
    for name, whole in (("trial", False), ("run", True)):
        train_and_save(packed, settings, tmp_path / name, whole)
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == list(SCORED)
    with np.load(tmp_path / "trial" / "embeddings.npz") as arrays:
        scored = dict(arrays)
    with np.load(tmp_path / "run" / "embeddings.npz") as arrays:
        proxies = {"val_proxy", "test_proxy"} if regulariser == HIER else set()
        assert {*arrays} - {*scored} == {"train_head", "test_head", "test_backbone"} | proxies
        assert all(np.array_equal(arrays[name], scored[name]) for name in scored)


def test_a_run_says_what_its_network_takes_and_what_it_embedded(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["backbone"] |= {"drop_path": 0.1}
    roles = np.where(packed.samples["split"] == "test", "query", "")
    given = replace(packed, samples=packed.samples.assign(role=roles))
    train_and_save(given, settings, tmp_path / "cell")
    model = read_json(tmp_path / "cell" / "model.json")
    assert model["backbone"] == settings["backbone"]
    assert model["head"] == settings["head"]
    assert model["input"] == {
        "form": "decoded", "shape": [16, 16, 1], "side": 16, "mean": [0.5], "std": [0.5],
        "crop": Crop(**settings["crop"]).model_dump(),
    }  # fmt: skip
    table = pd.read_parquet(tmp_path / "cell" / "samples.parquet")
    assert list(table) == ["id", "label", "kind", "group", "split", "role"]
    assert table["split"].unique().tolist() == ["train", "val", "test"]


def test_a_learned_tree_is_written_with_the_proxy_of_each_sample(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    train_and_save(packed, settings | {"regulariser": HIER}, tmp_path / "cell")
    tree = pd.read_csv(tmp_path / "cell" / "tree.csv")
    assert list(tree.columns) == ["proxy", "parent", "val", "test"]
    assert tree["proxy"].tolist() == list(range(8))
    assert (tree["parent"] == -1).sum() == 1
    embeddings = np.load(tmp_path / "cell" / "embeddings.npz")
    for split in ("val", "test"):
        assert (
            np.bincount(embeddings[f"{split}_proxy"], minlength=8).tolist() == tree[split].tolist()
        )
    assert tree["val"].sum() == 20


def test_baselines_are_pixels_and_an_untrained_network_for_each_seed(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    save_baselines(packed, baseline_params(settings), [0, 1], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pixels",
        "untrained-0",
        "untrained-1",
    ]
    pixels = np.load(tmp_path / "out" / "pixels" / "embeddings.npz")
    assert np.array_equal(
        pixels["test_pixels"], np.asarray(packed.images)[packed.rows("test")].reshape(-1, 256)
    )
    heads = [
        np.load(tmp_path / "out" / f"untrained-{seed}" / "embeddings.npz")["val_head"]
        for seed in (0, 1)
    ]
    assert heads[0].shape == (20, 8)
    assert not np.allclose(*heads)


def test_the_batch_norm_of_the_untrained_network_is_measured(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["head"]["norm"] = "batch"
    save_baselines(packed, baseline_params(settings), [0], tmp_path / "out")
    backbone, head = Backbone(**settings["backbone"]), Head(**settings["head"])
    encoder = build_encoder(backbone, head, packed.image_shape, 0)
    crop = baseline_params(settings).crop
    settle_norm(encoder, packed, crop, torch.device("cpu"))
    expected = embed(encoder, packed, "val", crop, torch.device("cpu"))["val_head"]
    found = np.load(tmp_path / "out" / "untrained-0" / "embeddings.npz")["val_head"]
    assert np.array_equal(found, expected)
    assert 0.3 < found.std(0).mean() < 3


def test_in_a_tree_train_is_embedded_too_and_the_task_is_said(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    tree = settings | {"relevance": "lineage"}
    train_and_save(packed, tree, tmp_path / "lineage")
    train_and_save(packed, tree | {"loss": {"name": "distances"}}, tmp_path / "distances")
    train_and_save(packed, settings, tmp_path / "class")
    found = {}
    for task in ("lineage", "distances", "class"):
        description = read_json(tmp_path / task / "geometry.json")
        assert description["task"] == task
        found[task] = description
        with np.load(tmp_path / task / "embeddings.npz") as arrays:
            assert ("train_backbone" in arrays) == (task != "class")
            assert len(arrays["train_head"]) == len(packed.rows("train"))
    assert set(found["distances"]["affine"]) == {"offset", "factor"}
    assert "affine" not in found["lineage"]


def test_baselines_of_a_tree_embed_train_too(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    params = baseline_params(settings | {"relevance": "lineage"})
    save_baselines(packed, params, [0], tmp_path / "baselines")
    for cell, vector in (("pixels", "pixels"), ("untrained-0", "head")):
        folder = tmp_path / "baselines" / cell
        assert read_json(folder / "geometry.json")["task"] == "lineage"
        with np.load(folder / "embeddings.npz") as arrays:
            assert len(arrays[f"train_{vector}"]) == len(packed.rows("train"))
