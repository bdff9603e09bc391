"""Write a cell: weights, geometry, history, embeddings, and what is needed to use them."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from safetensors.torch import save

from geomix.config.base import Task
from geomix.config.sections import Crop
from geomix.config.stages import BaselineParams, TrainParams
from geomix.data.images import read_raw
from geomix.data.packed import SCORED, SPLITS, Packed
from geomix.files import new_folder, write_json
from geomix.network.embed import embed, project, settle_norm
from geomix.network.encoder import Encoder, build_encoder
from geomix.network.ranks import own_rank
from geomix.train.device import backbone_precision, choose_device
from geomix.train.fit import Run
from geomix.train.spread import refuse_near_precision

CPU_INFO = Path("/proc/cpuinfo")
KEPT = ("split", "role", "lineage")  # columns of samples.parquet, where the data set has them


def describe_cpu() -> str:
    """Return the kind of CPU, which sums of floats depend on: machine, instructions, vendor."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    vendors = [line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")]
    parts = ("CPU", platform.machine(), torch.backends.cpu.get_cpu_capability(), *vendors[:1])
    return " ".join(parts)


def describe_machine(device: torch.device) -> dict[str, str]:
    """Return versions and the kind of device, without times and names.

    Bytes depend on these besides code, data and params.
    """
    on_cpu = device.type == "cpu"
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.split("+")[0],
        "timm": timm.__version__,
        "device": describe_cpu() if on_cpu else torch.cuda.get_device_name(device),
    }


def describe_origin(encoder: Encoder, device: torch.device) -> dict[str, str]:
    """Return the machine and, unless training began from scratch, the origin of the weights."""
    machine = describe_machine(device)
    if encoder.weights["source"] != "scratch":
        machine["weights"] = " ".join(encoder.weights.values())
    return machine


def list_splits(task: Task, trial: bool = False) -> tuple[str, ...]:
    """Return the splits that scoring needs: in a tree, train is part of each gallery.

    Nothing of test is computed in a trial.
    """
    splits = SCORED if task == "class" else SPLITS
    return tuple(split for split in splits if not (trial and split == "test"))


def embed_splits(
    encoder: Encoder, packed: Packed, splits: Sequence[str], crop: Crop, device: torch.device
) -> dict[str, np.ndarray]:
    """Embed some splits."""
    return {
        name: vectors
        for split in splits
        for name, vectors in embed(encoder, packed, split, crop, device).items()
    }


def embed_train(run: Run, packed: Packed, crop: Crop) -> np.ndarray:
    """Return the head's embeddings of train, (n, outputs), from its features if there are any."""
    if run.features is None:
        return embed(run.encoder, packed, "train", crop, run.device)["train_head"]
    return project(run.encoder, run.features, run.device)


def save_run(
    run: Run,
    packed: Packed,
    cell: Mapping[str, Any],
    params: TrainParams,
    out: Path,
    whole: bool = True,
) -> None:
    """Write a trained cell.

        model.safetensors   weights of backbone and head, and statistics of the norm
        geometry.json       the cell, the geometry with its numbers, and the machine
        history.csv         a row for each epoch
        embeddings.npz      <split>_head (n, outputs) and <split>_backbone (n, width), float32
        model.json          if whole: the settings of the network and of its input
        samples.parquet     if whole: id, label, levels and split of what was embedded, train first
        tree.csv            if whole, where a tree was learned

    `geomix.load_run` reads a whole cell, without params.yaml, the data or the first weights.

    Args:
        run: What training left behind.
        packed: The data set, whose val and test images are embedded; in a tree, train's too. Test
            is left out of trials.
        cell: What makes the cell: geometry, seed and its settings.
        params: Of them backbone, head, crop and the task are read.
        out: The folder of the cell.
        whole: Whether the cell will be used. Then train's head is embedded too. A trial of tuning
            is only scored, on val, and does without.

    Raises:
        InputError: If the embeddings of a split are spread over hardly more than precision.
    """
    weights = {name: tensor.contiguous().cpu() for name, tensor in run.encoder.state_dict().items()}
    splits, crop = list_splits(params.task, trial=not whole), params.crop
    embeddings = embed_splits(run.encoder, packed, splits, crop, run.device)
    for split in splits:
        where = f"{run.name}: {split}"
        refuse_near_precision(
            embeddings[f"{split}_head"], backbone_precision(run.device, params.precision), where
        )
    if whole and "train" not in splits:
        # No backbone of train: it would be the larger part of the file, and nothing reads it.
        embeddings["train_head"] = embed_train(run, packed, crop)
    if own_rank():  # the first of several processes writes for all
        return
    origin = describe_origin(run.encoder, run.device)
    description = {"cell": cell, "task": params.task, **run.geometry.describe()}
    if learned := run.objective.learned():
        description["affine"] = learned
    description["machine"] = origin
    with new_folder(out) as folder:
        # save_file would leave it to its owner alone
        (folder / "model.safetensors").write_bytes(save(weights))
        write_json(folder / "geometry.json", description)
        pd.DataFrame(run.history).to_csv(folder / "history.csv", index=False)
        if whole and run.objective.hierarchy:
            embeddings |= _save_tree(run, embeddings, folder)
        np.savez(folder / "embeddings.npz", allow_pickle=False, **embeddings)
        if whole:
            write_json(folder / "model.json", describe_model(run.encoder, packed, params))
            list_embedded(packed).to_parquet(folder / "samples.parquet", index=False)


def describe_model(encoder: Encoder, packed: Packed, params: TrainParams) -> dict[str, Any]:
    """Describe the network and its input in plain numbers, so that weights can be loaded again.

    Mean and deviation of pixels are here; those of vectors are among the weights.
    """
    shape = packed.image_shape
    described: dict[str, Any] = {"form": packed.form, "shape": list(shape), "side": encoder.side}
    described["crop"] = params.crop.model_dump()
    if packed.form != "vectors":
        described |= {"mean": encoder.mean.tolist(), "std": encoder.std.tolist()}
    # Weights are those of the folder, wherever the first ones were from.
    own = {"pretrained": False, "checkpoint": None}
    return {
        "dataset": packed.card["dataset"],
        "sha256": packed.card["sha256"],
        "levels": packed.card["levels"],
        "input": described,
        "backbone": params.backbone.model_dump() | own,
        "head": params.head.model_dump(),
    }


def list_embedded(packed: Packed) -> pd.DataFrame:
    """Return the table of all samples of train, val and test, split by split."""
    kept = ["id", "label", *packed.card["levels"], *(k for k in KEPT if k in packed.samples)]
    rows = np.concatenate([packed.rows(split) for split in SPLITS])
    return packed.samples[kept].iloc[rows]


def _save_tree(
    run: Run, embeddings: Mapping[str, np.ndarray], folder: Path
) -> dict[str, np.ndarray]:
    """Write tree.csv: each proxy with its parent (-1 for the root) and its samples by split.

    Returns:
        The nearest proxy of each sample, `<split>_proxy`.
    """
    hierarchy = run.objective.hierarchy
    assert hierarchy
    heads = {
        split: torch.from_numpy(embeddings[f"{split}_head"]).to(run.device) for split in SCORED
    }
    nearest = {split: hierarchy.nearest(head).cpu().numpy() for split, head in heads.items()}
    parents = hierarchy.grow().cpu().numpy()
    members = {
        split: np.bincount(proxies, minlength=len(parents)) for split, proxies in nearest.items()
    }
    table = pd.DataFrame({"proxy": range(len(parents)), "parent": parents, **members})
    table.to_csv(folder / "tree.csv", index=False)
    return {f"{split}_proxy": proxies for split, proxies in nearest.items()}


def save_baselines(packed: Packed, params: BaselineParams, seeds: Sequence[int], out: Path) -> None:
    """Write the cells that need no training.

    These are raw pixels or vectors (in `pixels`), and an untrained encoder for each seed.

    Args:
        packed: The data set.
        params: What the encoder is built from.
        seeds: Of the untrained encoders.
        out: The folder of the baselines; one folder for each.
    """
    device = choose_device(params.device)
    head, shape = params.head, packed.image_shape
    with new_folder(out) as folder:
        splits = list_splits(params.task)
        raw = {f"{split}_{packed.raw}": read_raw(packed, split) for split in splits}
        machine = describe_machine(device)
        described: dict[str, Any]
        described = {"cell": {"geometry": packed.raw}, "task": params.task, "machine": machine}
        _save_baseline(folder / "pixels", described, raw)
        for seed in seeds:
            encoder = build_encoder(params.backbone, head, shape, seed, packed.moments)
            encoder = encoder.to(device)
            settle_norm(encoder, packed, params.crop, device)
            vectors = embed_splits(encoder, packed, splits, params.crop, device)
            cell = {"geometry": "untrained", "seed": seed}
            origin = describe_origin(encoder, device)
            described = {"cell": cell, "task": params.task, "machine": origin}
            _save_baseline(folder / f"untrained-{seed}", described, vectors)


def _save_baseline(
    folder: Path, described: Mapping[str, Any], vectors: dict[str, np.ndarray]
) -> None:
    folder.mkdir()
    write_json(folder / "geometry.json", described)
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
