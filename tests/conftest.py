"""What several tests use: small packed data sets, raw folders, the root of the repository."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from geomix.config.read import read_yaml
from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.data.packed import SPLITS, Packed, open_packed
from geomix.datasets import load_dataset
from geomix.download.obtain import obtain
from geomix.files import hash_file, write_json

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked cuda where there is no such device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture
def raw() -> dict[str, Any]:
    """Return the content of params.yaml, to be changed."""
    content: dict[str, Any] = read_yaml(ROOT / "params.yaml")
    return content


def set_key(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a value by its dotted name."""
    *sections, last = key.split(".")
    for section in sections:
        raw = raw[section]
    raw[last] = value


def write_packed(folder: Path, classes: int = 12, images: int = 5, side: int = 16) -> Path:
    """Write a packed data set of noisy patterns.

    A third of the classes is in each split, and there are two levels of hierarchy.
    """
    random = np.random.default_rng(0)
    patterns = random.integers(0, 200, (classes, side, side, 1))
    pixels = patterns[:, None] + random.integers(0, 55, (classes, images, side, side, 1))
    rows = [
        {
            "id": f"{label}-{image}",
            "label": f"class {label}",
            "kind": "odd" if label % 2 else "even",
            "group": f"group {label % 4}",
            "split": SPLITS[label * 3 // classes],
        }
        for label in range(classes)
        for image in range(images)
    ]
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", pixels.reshape(-1, side, side, 1).astype(np.uint8))
    table = pd.DataFrame(rows)
    table.to_csv(folder / "samples.csv", index=False)
    counts = {
        split: {
            "images": int((table["split"] == split).sum()),
            **{
                name: table[table["split"] == split][column].nunique()
                for name, column in (("classes", "label"), ("kind", "kind"), ("group", "group"))
            },
        }
        for split in SPLITS
    }
    card = {
        "dataset": "patterns",
        "levels": ["kind", "group"],
        "image_shape": [side, side, 1],
        "sha256": {name: hash_file(folder / name) for name in ("images.npy", "samples.csv")},
        "counts": counts,
    }
    write_json(folder / "card.json", card)
    return folder


@pytest.fixture
def packed_folder(tmp_path: Path) -> Path:
    """Return the folder of a small packed data set."""
    return write_packed(tmp_path / "packed")


@pytest.fixture(scope="session")
def kept_packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small packed data set that all tests share and none changes."""
    return write_packed(tmp_path_factory.mktemp("shared") / "packed")


@pytest.fixture
def floats() -> Callable[[Packed, np.ndarray], torch.Tensor]:
    """Return what turns rows of decoded images into floats in [-1, 1], (n, C, H, W)."""

    def turn(packed: Packed, rows: np.ndarray) -> torch.Tensor:
        assert isinstance(packed.images, np.ndarray)
        return torch.from_numpy(packed.images[rows]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    return turn


@pytest.fixture
def packed(packed_folder: Path) -> Packed:
    """Return a small packed data set."""
    return open_packed(packed_folder)


Obtain = Callable[[str, Path], Path]


@pytest.fixture(scope="session")
def obtain_raw() -> Obtain:
    """Return the function that writes the raw folder of a data set that needs no network."""
    params = DownloadParams(
        download=Download(mirror=None),
        folder=Folder(path=None, table=None),
        embeddings=Embeddings(path=None, table=None),
    )

    def write(name: str, folder: Path) -> Path:
        obtain(name, load_dataset(name).SOURCE, params, folder)
        return folder

    return write
