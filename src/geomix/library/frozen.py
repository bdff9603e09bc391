"""The frozen backbone of features (make trial): what turns pictures into them."""

from collections.abc import Mapping, Sequence
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


def open_backbone(
    run: Path, described: Mapping[str, Any], given: Path | None, device: torch.device
) -> tuple[Frozen | None, str]:
    """Open the backbone that turns pictures into the features of a run.

    Args:
        run: Its folder.
        described: As its `model.json` has it.
        given: What stage features wrote; None for data/raw/features beside runs/, if it is there.
        device: On which to compute.

    Returns:
        The backbone, None if there is none; and, of a run on features without one, why it takes no
        pictures.

    Raises:
        InputError: If features are given for a run on pictures, or as `Frozen`.
    """
    if given and described["input"]["form"] != "vectors":
        raise InputError(f"--features: found {given} for a run on pictures, expected none")
    folder = given or find_features(run, described["dataset"])
    if folder:
        change = describe_change(folder, described.get("sha256", {}))
        return (None, change) if change else (Frozen(folder, device), "")
    if described["dataset"] != DATASET:
        return None, ""
    found = f"pictures, and beside runs/ no {FOLDER} that names a backbone"
    return None, f"images: found {found}, expected vectors, or that folder (--features)"


def describe_change(folder: Path, hashes: Mapping[str, str]) -> str:
    """Say that features, as they are packed now, are not those of a run; nothing if they are.

    Only vectors are compared: under another class split they have another table.

    Args:
        folder: What stage features wrote, with data/packed/features beside it.
        hashes: Of the files that the run was trained on; none of a run that does not name them.
    """
    card = folder.resolve().parent.parent / "packed" / DATASET / "card.json"
    expected = hashes.get("vectors.npy")
    if not expected or not card.is_file():
        return ""
    found = read_json(card).get("sha256", {}).get("vectors.npy", "none")
    if found == expected:
        return ""
    change = f"sha256 {found[:16]}... in {card}, expected {expected[:16]}... of the run"
    reason = "another backbone may have made them, so the run takes vectors only"
    return f"images: found features of {change}: {reason}"


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
