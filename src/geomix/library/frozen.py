"""The frozen backbone of features (make trial): what turns pictures into them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geomix.config import sections
from geomix.errors import InputError
from geomix.features.extract import HEAD, SEED
from geomix.files import read_json
from geomix.library.pictures import Form, embed_pictures
from geomix.network.encoder import build_encoder

FOLDER = Path("data/raw/features")  # in the root of the repository
DATASET = "features"


class Frozen:
    """A backbone as stage features used it.

    Its weights are read from where they were read then: the hub's cache or the network, or the
    checkpoint.

    Args:
        folder: What the stage wrote.
        device: On which to compute.

    Attributes:
        of: The data set whose pictures the features are of.

    Raises:
        InputError: If these are features of vectors, or the weights are not there or others.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        facts = read_json(folder / "manifest.json")
        if "settings" not in facts:
            expected = "features that a frozen backbone made (stage features)"
            raise InputError(f"{folder}: found vectors as they are, expected {expected}")
        self.of: str = facts["of"]
        height, width, channels = facts["shape"]
        crop = sections.Crop(fit=facts["fit"], area=1, flip=0, centre=facts["centre"])
        self.form = Form(facts["form"], (height, width, channels), crop)
        backbone = sections.Frozen(**facts["settings"])
        with torch.random.fork_rng(devices=[]):
            encoder = build_encoder(backbone, HEAD, self.form.shape, SEED)
        if encoder.weights != facts["weights"]:
            found, expected = (" ".join(w.values()) for w in (encoder.weights, facts["weights"]))
            raise InputError(f"{folder}: found weights {found}, expected {expected}")
        self.encoder, self.device = encoder.to(device).eval(), device

    def embed(
        self, images: Sequence[Any] | np.ndarray, aspects: Sequence[float] | None
    ) -> np.ndarray:
        """Turn pictures into features, float32 (N, D); see `Model.embed`."""
        return embed_pictures(self.encoder, self.form, images, aspects, self.device)[0]


def find_features(run: Path, dataset: str) -> Path | None:
    """Return the folder of features beside the folder runs/ that holds a run, or None.

    None also if the run is on another data set, or features are vectors as they are.
    """
    if dataset != DATASET:
        return None
    for parent in run.resolve().parents:
        manifest = parent / FOLDER / "manifest.json"
        if parent.joinpath("runs") in run.resolve().parents and manifest.is_file():
            return manifest.parent if "settings" in read_json(manifest) else None
    return None
