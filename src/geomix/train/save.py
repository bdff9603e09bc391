"""Write a cell: weights, geometry, history, embeddings."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import timm
import torch
from safetensors.torch import save_file

from geomix.data.crops import WHOLE, crop_encoded
from geomix.data.packed import SCORED, Encoded, Packed
from geomix.files import new_folder, write_json
from geomix.network.embed import embed
from geomix.network.encoder import Encoder, build_encoder
from geomix.train.fit import Run, choose_device

if TYPE_CHECKING:
    from geomix.regularisers.hier import Hierarchy

PIXELS, FILES = (
    32,
    512,
)  # side of the raw pixels of images kept as files; so many are decoded at a time


def describe_machine(device: torch.device) -> dict[str, str]:
    """Give versions and the kind of device: what bytes depend on besides code, data and params. No times, no names."""
    kind = f"CPU {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.split("+")[0],
        "timm": timm.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else kind,
    }


def embed_scored(
    encoder: Encoder, packed: Packed, centre: float, device: torch.device
) -> dict[str, np.ndarray]:
    """Embed the splits that will be searched."""
    return {
        name: vectors
        for split in SCORED
        for name, vectors in embed(encoder, packed, split, centre, device).items()
    }


def describe_origin(encoder: Encoder, device: torch.device) -> dict[str, str]:
    """Give the machine and, unless training began from scratch, where the first weights are from."""
    machine = describe_machine(device)
    if encoder.weights["source"] != "scratch":
        machine["weights"] = " ".join(encoder.weights.values())
    return machine


def read_pixels(packed: Packed, split: str) -> np.ndarray:
    """Give the raw pixels of a split, uint8 (n, H * W * C): packed images as they are, files
    squeezed to 32 x 32 pixels.

    Vectors are given as they are, float32 (n, D).
    """
    rows = packed.rows(split)
    if not isinstance(packed.images, Encoded):
        return np.asarray(packed.images[rows]).reshape(len(rows), -1)
    parts = []
    for start in range(0, len(rows), FILES):
        files = [packed.images.read(row) for row in rows[start : start + FILES]]
        boxes, flips = (
            torch.tensor(WHOLE).expand(len(files), 4),
            torch.zeros(len(files), dtype=torch.bool),
        )
        parts.append(
            crop_encoded(files, boxes, flips, PIXELS, packed.channels).flatten(1).cpu().numpy()
        )
    return np.concatenate(parts)


def save_run(run: Run, packed: Packed, cell: Mapping[str, Any], centre: float, out: Path) -> None:
    """Write a trained cell: model.safetensors, geometry.json, history.csv, embeddings.npz; tree.csv
    where a tree was learned.

    Args:
        run: What training left behind.
        packed: The data set, whose val and test images are embedded.
        cell: What makes the cell: geometry, seed, tau, curvature, lam.
        centre: Share of the shorter side of an image that is embedded.
        out: The folder of the cell.
    """
    weights = {name: tensor.contiguous().cpu() for name, tensor in run.encoder.state_dict().items()}
    embeddings = embed_scored(run.encoder, packed, centre, run.device)
    origin = describe_origin(run.encoder, run.device)
    with new_folder(out) as folder:
        save_file(weights, folder / "model.safetensors")
        write_json(
            folder / "geometry.json", {"cell": cell, **run.geometry.describe(), "machine": origin}
        )
        pd.DataFrame(run.history).to_csv(folder / "history.csv", index=False)
        if run.hierarchy:
            embeddings |= _save_tree(run.hierarchy, embeddings, folder, run.device)
        np.savez(folder / "embeddings.npz", allow_pickle=False, **embeddings)


def _save_tree(
    hierarchy: "Hierarchy", embeddings: Mapping[str, np.ndarray], folder: Path, device: torch.device
) -> dict[str, np.ndarray]:
    """Write tree.csv: each proxy, its parent (-1 for the root) and how many samples of each split
    it is nearest to.

    Returns:
        The nearest proxy of each sample, `<split>_proxy`.
    """
    heads = {split: torch.from_numpy(embeddings[f"{split}_head"]).to(device) for split in SCORED}
    nearest = {split: hierarchy.nearest(head).cpu().numpy() for split, head in heads.items()}
    parents = hierarchy.grow().cpu().numpy()
    members = {
        split: np.bincount(proxies, minlength=len(parents)) for split, proxies in nearest.items()
    }
    pd.DataFrame({"proxy": range(len(parents)), "parent": parents, **members}).to_csv(
        folder / "tree.csv", index=False
    )
    return {f"{split}_proxy": proxies for split, proxies in nearest.items()}


def save_baselines(
    packed: Packed, params: Mapping[str, Any], seeds: Sequence[int], out: Path
) -> None:
    """Write the cells that need no training: raw pixels or vectors (in `pixels`), and an untrained
    encoder for each seed.

    Args:
        packed: The data set.
        params: Keys device, crop, backbone, head of params.yaml.
        seeds: Of the untrained encoders.
        out: The folder of the baselines; one folder for each.
    """
    device = choose_device(params["device"])
    with new_folder(out) as folder:
        raw = "vectors" if packed.form == "vectors" else "pixels"
        pixels = {f"{split}_{raw}": read_pixels(packed, split) for split in SCORED}
        _save_baseline(folder / "pixels", {"geometry": raw}, pixels, describe_machine(device))
        for seed in seeds:
            outputs, shape = params["head"]["outputs"], packed.image_shape
            encoder = build_encoder(params["backbone"], outputs, shape, seed, packed.moments).to(
                device
            )
            vectors = embed_scored(encoder, packed, params["crop"]["centre"], device)
            cell = {"geometry": "untrained", "seed": seed}
            _save_baseline(
                folder / f"untrained-{seed}", cell, vectors, describe_origin(encoder, device)
            )


def _save_baseline(
    folder: Path, cell: dict[str, Any], vectors: dict[str, np.ndarray], machine: dict[str, str]
) -> None:
    folder.mkdir()
    write_json(folder / "geometry.json", {"cell": cell, "machine": machine})
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
