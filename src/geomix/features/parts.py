"""Parts of a long computation: a file for each, in a folder that outlives a kill.

What was made with other weights, images or settings lies in a folder of another name, so a part is
never taken for one of another computation.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from geomix.config.sections import Features
from geomix.data.packed import Packed
from geomix.files import replace_file
from geomix.network.encoder import Encoder

PART = 1024  # samples
IMAGES = ("images.npy", "images.bin", "offsets.npy")  # what holds them, of the files on a card
UNUSED = {"pretrained", "checkpoint", "drop_path", "freeze_patch_embedding"}  # by a frozen network
LETTERS = 16  # of a folder's name


def name_parts(encoder: Encoder, packed: Packed, features: Features, device: torch.device) -> str:
    """Name the folder of parts by all that their bytes depend on, apart from the processor.

    Args:
        encoder: The network, whose weights are hashed, wherever they are from.
        packed: The data set. Its labels and splits do not matter: another split needs no new parts.
        features: Section `features` of params.yaml.
        device: On which features are computed.
    """
    settings = {
        "backbone": features.backbone.model_dump(exclude=UNUSED),
        "side": encoder.side,
        "mean": encoder.mean.tolist(),
        "std": encoder.std.tolist(),
        "fit": features.fit,
        "centre": features.centre,
        "batch": features.batch,
        "part": PART,
        "images": {name: packed.card["sha256"].get(name) for name in IMAGES},
        "device": device.type,
        "versions": [torch.__version__, timm.__version__],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(packed.aspects.tobytes())
    hash_weights(digest, encoder.backbone.state_dict())
    return digest.hexdigest()[:LETTERS]


def hash_weights(digest: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Add names, shapes and bytes of weights to a digest."""
    for name, tensor in weights.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()))


def save_part(path: Path, vectors: np.ndarray) -> None:
    """Write a part, float32 (n, D); it is there as a whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    replace_file(path, buffer.getvalue())


def read_part(path: Path, count: int) -> np.ndarray | None:
    """Read a part of so many vectors, (n, D); None where there is none or the file is damaged."""
    try:
        vectors: np.ndarray = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None


def remove_torn(folder: Path) -> None:
    """Remove files that a kill left half-written."""
    for path in folder.glob(".*.part"):
        path.unlink()
