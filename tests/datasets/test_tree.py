"""The made tree: every node is a sample, and inputs of relatives are near."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import PreprocessParams
from geomix.data.lineages import hops, parse_paths
from geomix.datasets import tree
from geomix.errors import InputError
from geomix.preprocess.split import split_listing


def test_all_nodes_of_the_tree_are_samples() -> None:
    nodes, vectors = tree.draw_tree()
    assert vectors.shape == (364, 64)
    assert vectors.dtype == np.float32
    assert len(set(nodes)) == 364
    depth = parse_paths(nodes).depth
    assert np.bincount(depth).tolist() == [0, 1, 3, 9, 27, 81, 243]
    assert nodes[:5] == ["root", "root/a", "root/b", "root/c", "root/a/a"]


def test_inputs_are_farther_apart_the_more_hops_there_are_between() -> None:
    nodes, vectors = tree.draw_tree()
    lineages = parse_paths(nodes)
    leaves = lineages.depth == 6
    between = hops(lineages[leaves], lineages[leaves])
    points = vectors[leaves].astype(np.float64)
    gaps = ((points[:, None] - points) ** 2).mean(-1)
    means = [gaps[between == count].mean() for count in (2, 4, 6, 8, 10)]
    # each edge adds a term of variance 1, and each end its noise
    np.testing.assert_allclose(means, np.array([2, 4, 6, 8, 10]) + 2 * tree.NOISE**2, rtol=0.1)


def test_a_child_is_its_parent_and_a_term_of_its_own() -> None:
    nodes, vectors = tree.draw_tree()
    rows = {node: row for row, node in enumerate(nodes)}
    added = np.stack(
        [vectors[row] - vectors[rows[node.rpartition("/")[0]]] for node, row in rows.items() if row]
    )
    assert added.std() == pytest.approx(np.sqrt(1 + 2 * tree.NOISE**2), rel=0.02)


def test_half_of_the_leaves_is_held_out_as_the_default_shares_do(root: Path) -> None:
    nodes, _ = tree.draw_tree()
    table = pd.DataFrame({"label": nodes, "lineage": nodes})
    shares = load(PreprocessParams, path=root / "params.yaml").split
    splits = tree.draw_splits(nodes)
    assert splits == split_listing(table, shares.model_copy(update={"unit": "leaf"}))
    assert len(nodes) - splits.count("train") == 243 // 2


def test_the_raw_folder_is_listed_with_lineages(
    tmp_path: Path, obtain_raw: Callable[[str, Path], Path]
) -> None:
    listing = tree.read(obtain_raw("tree", tmp_path / "raw"))
    nodes, vectors = tree.draw_tree()
    columns = {"id": nodes, "label": nodes, "lineage": nodes, "split": tree.draw_splits(nodes)}
    assert listing.samples.to_dict("list") == columns
    assert (listing.form, listing.channels, listing.unit) == ("vectors", 64, "class")
    assert listing.levels == ()
    assert np.array_equal(np.stack([vector for _, vector in listing.images()]), vectors)
    np.save(tmp_path / "raw" / "vectors.npy", vectors[:-1])
    with pytest.raises(InputError, match="found 363 vectors and 364 rows of table.csv"):
        tree.read(tmp_path / "raw")
