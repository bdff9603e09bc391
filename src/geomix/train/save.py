"""Write a cell: weights, geometry, history, embeddings."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from safetensors.torch import save_file

from geomix.files import new_folder, write_json
from geomix.model.embed import embed
from geomix.model.encoder import Encoder, build_encoder
from geomix.samples import SCORED, Packed
from geomix.train.fit import Run, choose_device


def describe_machine(device: torch.device) -> dict[str, str]:
    """Give versions and the kind of device: what bytes depend on besides code, data and params. No times, no names."""
    kind = f"CPU {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.split("+")[0],
        "timm": timm.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else kind,
    }


def embed_scored(encoder: Encoder, packed: Packed, device: torch.device) -> dict[str, np.ndarray]:
    """Embed the splits that will be searched."""
    return {name: vectors for split in SCORED for name, vectors in embed(encoder, packed, split, device).items()}


def save_run(run: Run, packed: Packed, cell: Mapping[str, Any], out: Path) -> None:
    """Write a trained cell: model.safetensors, geometry.json, history.csv, embeddings.npz.

    Args:
        run: What training left behind.
        packed: The data set, whose val and test images are embedded.
        cell: What makes the cell: geometry, seed, tau, curvature, lam.
        out: The folder of the cell.
    """
    weights = {name: tensor.contiguous().cpu() for name, tensor in run.encoder.state_dict().items()}
    embeddings = embed_scored(run.encoder, packed, run.device)
    with new_folder(out) as folder:
        save_file(weights, folder / "model.safetensors")
        write_json(folder / "geometry.json", {"cell": cell, **run.geometry.describe(), "machine": describe_machine(run.device)})
        pd.DataFrame(run.history).to_csv(folder / "history.csv", index=False)
        np.savez(folder / "embeddings.npz", allow_pickle=False, **embeddings)


def save_baselines(packed: Packed, params: Mapping[str, Any], out: Path) -> None:
    """Write the cells that need no training: raw pixels, and an untrained encoder for each seed of `compare`.

    Args:
        packed: The data set.
        params: Keys device, backbone, head, compare of params.yaml.
        out: The folder of the baselines; one folder for each.
    """
    device = choose_device(params["device"])
    machine = describe_machine(device)
    with new_folder(out) as folder:
        pixels = {f"{split}_pixels": packed.images[packed.rows(split)].reshape(len(packed.rows(split)), -1) for split in SCORED}
        _save_baseline(folder / "pixels", {"geometry": "pixels"}, pixels, machine)
        for seed in params["compare"]["seeds"]:
            encoder = build_encoder(params["backbone"], params["head"]["outputs"], packed.images.shape[1:], seed).to(device)
            cell = {"geometry": "untrained", "seed": seed}
            _save_baseline(folder / f"untrained-{seed}", cell, embed_scored(encoder, packed, device), machine)


def _save_baseline(folder: Path, cell: dict[str, Any], vectors: dict[str, np.ndarray], machine: dict[str, str]) -> None:
    folder.mkdir()
    write_json(folder / "geometry.json", {"cell": cell, "machine": machine})
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
