"""The grid: points of the plane, of which a third is held out, and inputs that bend the plane."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from geomix.datasets import grid


def test_the_points_are_those_of_the_plane() -> None:
    table, vectors = grid.draw_grid()
    assert vectors.shape == (324, 64)
    assert np.abs(vectors).max() < 1
    assert sorted(zip(table["x"], table["y"], strict=True)) == [
        (x, y) for x in range(18) for y in range(18)
    ]
    assert table.loc[table["label"] == "3-12", ["x", "y"]].to_numpy().tolist() == [[3, 12]]


def test_a_third_of_the_points_is_held_out() -> None:
    table, _ = grid.draw_grid()
    assert table["split"].value_counts().to_dict() == {"train": 216, "val": 54, "test": 54}


def test_inputs_of_neighbours_are_nearer_than_of_others() -> None:
    table, vectors = grid.draw_grid()
    points = table[["x", "y"]].to_numpy()
    between = np.linalg.norm((points[:, None] - points), axis=-1)
    gaps = np.linalg.norm((vectors[:, None] - vectors), axis=-1)
    assert gaps[between == 1].max() < gaps[between > 10].min()


def test_the_raw_folder_is_listed_with_coordinates(
    tmp_path: Path, obtain_raw: Callable[[str, Path], Path]
) -> None:
    listing = grid.read(obtain_raw("grid", tmp_path / "raw"))
    assert list(listing.samples) == ["id", "label", "x", "y", "split"]
    assert listing.coordinates == ("x", "y")
    assert (listing.form, listing.unit, listing.levels) == ("vectors", "class", ())
    _, vectors = grid.draw_grid()
    assert np.array_equal(np.stack([vector for _, vector in listing.images()]), vectors)
