"""Tree: vectors at all nodes of a made tree, the case where curvature must help.

A node's input is the sum of random vectors of its own and of its ancestors, plus noise. So the
tree can be read off the input, but only through an encoder: distances of inputs grow with the
square root of hops.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, grow_tree, read_stored, read_vectors
from geomix.datasets.sources import Source, describe_files

ROOT, CHILDREN, DEPTH = "root", "abc", 5  # 1 + 3 + ... + 3^5 = 364 nodes, 243 of them leaves
DIMENSIONS = 64
TRAIN, VAL = 122, 30  # leaves; the other 91 are test, and inner nodes are in train
NOISE = 0.3  # s.d. of each number, beside 1 of each of the sum's terms
SEED = 0


def draw_tree() -> tuple[list[str], np.ndarray]:
    """Draw the tree.

    Returns:
        The path of each of N nodes, parents first, and their inputs, float32, (N, D).
    """
    nodes = grow_tree(ROOT, CHILDREN, DEPTH)
    random = np.random.default_rng(SEED)
    sums = random.standard_normal((len(nodes), DIMENSIONS))
    noise = NOISE * random.standard_normal(sums.shape)
    rows = {node: row for row, node in enumerate(nodes)}
    for node, row in rows.items():
        parent = node.rpartition("/")[0]
        if parent:
            sums[row] += sums[rows[parent]]  # parents come first, so theirs is whole
    return nodes, (sums + noise).astype(np.float32)


def draw_splits(nodes: list[str]) -> list[str]:
    """Hold leaves out, at random.

    Returns:
        The split of each node.
    """
    leaves = np.flatnonzero([node.count("/") == DEPTH for node in nodes])
    drawn = leaves[np.random.default_rng(SEED).permutation(len(leaves))]
    splits = np.full(len(nodes), "train", dtype=object)
    splits[drawn[TRAIN : TRAIN + VAL]], splits[drawn[TRAIN + VAL :]] = "val", "test"
    return splits.tolist()


def write_tree(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Write vectors.npy, and table.csv with the path and the split of each node."""
    nodes, vectors = draw_tree()
    files = folder / "vectors.npy", folder / "table.csv"
    np.save(files[0], vectors)
    table = pd.DataFrame({"id": nodes, "label": nodes, "lineage": nodes})
    table.assign(split=draw_splits(nodes)).to_csv(files[1], index=False)
    return {"nodes": len(nodes), "dimensions": DIMENSIONS, "files": describe_files(*files)}


SOURCE = Source(licence="free", write=write_tree, origin="random numbers of a fixed seed")


def read(raw: Path) -> Listing:
    """List the nodes, inner ones and leaves: each one is a sample, with its path as label.

    Returns:
        Vectors, with an official split: half of the leaves is held out.

    Raises:
        InputError: If a file is missing, or vectors and table have different lengths.
    """
    _, samples = read_stored(raw)
    vectors = read_vectors(raw, len(samples))
    return Listing(samples, (), lambda: enumerate(vectors), DIMENSIONS, form="vectors")
