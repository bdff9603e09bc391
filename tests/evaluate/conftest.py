"""Cells of samples in a tree or in a plane, written as training does."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.data.packed import SPLITS, Packed
from geomix.files import write_json

MACHINE = {"torch": "2", "device": "CPU"}
SPHERE = {"name": "cosine", "weight": 0.7, "space": "sphere"}
TANGENT = {"scale": 0.6, "clip_radius": None}
BALL = {"name": "distance", "weight": 1.3, "space": "ball", "curvature": 0.8, **TANGENT}
FLAT = {"name": "distance", "weight": 0.9, "space": "flat", **TANGENT}
INNER = {"name": "product", "weight": 0.4, "space": "inner", **TANGENT}
GEOMETRIES = {
    "euclidean": [SPHERE],
    "hyperbolic": [BALL],
    "flat": [FLAT],
    "dot": [INNER],
    "hybrid": [SPHERE, BALL],
}

# Train has inner nodes and leaves, two roots, the same name below two parents, two samples of one
# node. Held out are leaves, two samples of one node, a sample of a node of train, a root that train
# lacks, and an inner node above another held-out sample.
TREE = {
    "train": "a a/x a/x a/y a/x/p a/x/q a/y/p b b/x b/x/p b/x/q b/z a/y/p/k b/x/p/m b/x/p",
    "val": "a/x/r a/x/r a/y/q b/x/p/n b/z b/z/u c a/x/q/t a/w a/w/l b/x/r",
    "test": "a/x/s a/y/p/j b/z/v b/z/v d/e a/y/p",
}


def build_tree(shuffle: int = 3) -> Packed:
    """Return the samples of the tree above, their splits mixed in the table."""
    rows = [(path, split) for split, paths in TREE.items() for path in paths.split()]
    order = np.random.default_rng(shuffle).permutation(len(rows))
    table = pd.DataFrame([rows[row] for row in order], columns=["lineage", "split"])
    return _pack(table, {"levels": [], "dataset": "tree"})


def build_plane() -> Packed:
    """Return samples of a plane, two of them at one place."""
    places = np.random.default_rng(5).integers(0, 9, (23, 2)).astype(float) / 2
    places[7] = places[4]
    table = pd.DataFrame(places, columns=["x", "y"]).assign(
        split=[SPLITS[row % 3] if row % 4 else "train" for row in range(23)]
    )
    return _pack(table, {"levels": [], "dataset": "grid", "coordinates": ["x", "y"]})


def _pack(table: pd.DataFrame, card: dict[str, Any]) -> Packed:
    count = len(table)
    table = table.assign(id=range(count), label=[f"class {row}" for row in range(count)])
    return Packed(table, np.zeros((count, 3), np.float32), card)


def draw_vectors(packed: Packed, names: tuple[str, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Draw vectors of 4 numbers of each split."""
    random = np.random.default_rng(seed)
    return {
        f"{split}_{name}": random.normal(size=(len(packed.rows(split)), 4)).astype(np.float32)
        for split in SPLITS
        for name in names
    }


def write_trained(
    folder: Path,
    vectors: dict[str, np.ndarray],
    task: str,
    geometry: str = "hyperbolic",
    **others: Any,
) -> None:
    """Write a trained cell."""
    folder.mkdir(parents=True)
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
    description = {
        "cell": {"geometry": geometry, "seed": 0, "tau": 0.3},
        "tau": 0.3,
        "spaces": GEOMETRIES[geometry],
        "machine": MACHINE,
        "task": task,
    }
    write_json(folder / "geometry.json", description | others)


def write_raw(folder: Path, vectors: dict[str, np.ndarray], task: str) -> None:
    """Write the baseline of raw input."""
    folder.mkdir(parents=True)
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
    described = {"cell": {"geometry": "vectors"}, "machine": MACHINE, "task": task}
    write_json(folder / "geometry.json", described)
