"""Small and large classes: refused by name, dropped, found only, or capped; counted on the card."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geomix.config.sections import Classes, Images, Split
from geomix.data.packed import SPLITS, Packed, open_packed
from geomix.datasets import load_dataset
from geomix.datasets.listing import Listing
from geomix.errors import InputError
from geomix.preprocess.limits import cap_classes, find_small, limit_train
from geomix.preprocess.pack import pack, split_samples
from geomix.report.dataset import build_dataset

IMAGES = Images(form="decoded", side=4, broken=0)
SPLIT = Split(seed=0, train=0.4, val=0.3, test=0.3)
# Ten classes of 4 images, three of one, two of two, one of nine.
SIZES = {
    **{f"c{number}": 4 for number in range(10)},
    **{f"one {number}": 1 for number in range(3)},
    **{f"two {number}": 2 for number in range(2)},
    "nine": 9,
}


def draw(row: int) -> bytes:
    """Draw a PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (row, 255 - row, 7)).save(file, "PNG")
    return file.getvalue()


def listing_of(sizes: dict[str, int], **columns: Any) -> Listing:
    """List images of classes, the images of a class apart from each other."""
    most = max(sizes.values())
    labels = [label for number in range(most) for label in sizes if number < sizes[label]]
    ids = [f"image {row}" for row in range(len(labels))]
    samples = pd.DataFrame({"id": ids, "label": labels} | columns)

    def images() -> Iterator[tuple[int, bytes | np.ndarray]]:
        yield from ((row, draw(row)) for row in range(len(labels)))

    return Listing(samples, (), images)


def pack_limited(folder: Path, listing: Listing, **limits: Any) -> Packed:
    """Pack with limits, and open what was packed."""
    pack("sizes", listing, folder, SPLIT, IMAGES, Classes.model_validate(limits))
    return open_packed(folder)


def used(packed: Packed) -> dict[str, Counter[str]]:
    """Count the samples of each class by split."""
    table = packed.samples
    return {split: Counter(table.loc[table["split"] == split, "label"]) for split in (*SPLITS, "")}


def small_in_train(listing: Listing) -> Listing:
    """Return the listing with an official split whose train has all small classes."""
    labels = listing.samples["label"]
    held = labels.map({"c0": "val", "c1": "val", "c2": "test", "c3": "test"}).fillna("train")
    samples = listing.samples.assign(split=held)
    return Listing(samples, (), listing.images)


def test_a_class_that_is_too_small_to_train_on_is_refused_by_name(tmp_path: Path) -> None:
    listing = small_in_train(listing_of(SIZES))
    message = (
        "classes.smallest_class: found 1 sample of class 'one 0' in train and 2 more such classes,"
        " expected at least 2, as a batch holds several of each; classes.below: drop leaves"
    )
    with pytest.raises(InputError, match=message) as caught:
        pack_limited(tmp_path / "packed", listing)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="found 1 sample of class 'one 0' in train and 4 more"):
        pack_limited(tmp_path / "packed", listing, smallest_class=4)
    assert not list(tmp_path.iterdir())
    assert pack_limited(tmp_path / "packed", listing, smallest_class=1).card.get("limits") is None


def test_small_classes_of_val_and_test_are_no_mistake(tmp_path: Path) -> None:
    listing = listing_of(SIZES)
    held = listing.samples["label"].map(
        {"c0": "val", "c1": "val", "one 0": "val", "c2": "test", "c3": "test", "one 1": "test"}
    )
    rest = listing.samples["label"].map({"one 2": ""}).fillna("train")
    listing = Listing(listing.samples.assign(split=held.fillna(rest)), (), listing.images)
    assert used(pack_limited(tmp_path / "packed", listing))["test"]["one 1"] == 1


def test_dropped_classes_are_not_used_and_the_others_are_split_without_them(tmp_path: Path) -> None:
    listing = listing_of(SIZES)
    packed = pack_limited(tmp_path / "packed", listing, smallest_class=3, below="drop")
    found = used(packed)
    dropped = {label for label, size in SIZES.items() if size < 3}
    assert set(found[""]) == dropped
    kept = listing_of({label: size for label, size in SIZES.items() if size >= 3})
    alone = used(pack_limited(tmp_path / "alone", kept))
    assert {split: set(found[split]) for split in SPLITS} == {
        split: set(alone[split]) for split in SPLITS
    }
    assert packed.card["limits"] == {"smallest_class": 3, "small_classes": 5, "found_only": 0}
    page = " ".join(build_dataset(tmp_path / "packed")["README.md"].decode().split())
    assert "Small classes: 5 with fewer than 3 images are not used." in page


def test_one_sample_of_a_small_class_can_be_found_and_has_nothing_to_find(tmp_path: Path) -> None:
    listing = listing_of(SIZES)
    packed = pack_limited(tmp_path / "packed", listing, smallest_class=3, below="gallery")
    found = used(packed)
    small = {label for label, size in SIZES.items() if size < 3}
    singles = {split: {one for one in found[split] if one in small} for split in SPLITS}
    assert not singles["train"]
    assert singles["val"] | singles["test"] == small
    assert not singles["val"] & singles["test"]
    assert all(found[split][label] == 1 for split in SPLITS for label in singles[split])
    assert [len(singles[split]) for split in ("val", "test")] == [2, 3]
    assert packed.card["limits"] == {"smallest_class": 3, "small_classes": 5, "found_only": 5}
    page = " ".join(build_dataset(tmp_path / "packed")["README.md"].decode().split())
    assert "are not used, but one of each of 5 can be found in val or test." in page
    again = pack_limited(tmp_path / "again", listing, smallest_class=3, below="gallery")
    assert again.samples.equals(packed.samples)


def test_small_classes_of_an_official_split_stay_in_theirs(tmp_path: Path) -> None:
    labels = listing_of(SIZES).samples["label"]
    splits = labels.map({"c0": "val", "c1": "val", "one 0": "val"} | {"two 0": "test", "one 1": ""})
    splits = splits.fillna(labels.map({"c2": "test", "c3": "test"})).fillna("train")
    roles = np.where(splits == "test", "gallery", "")
    roles[np.flatnonzero((splits == "test") & ~labels.duplicated())] = "query"
    listing = listing_of(SIZES, split=splits, role=roles)
    packed = pack_limited(tmp_path / "packed", listing, smallest_class=3, below="gallery")
    found = used(packed)
    assert found["val"]["one 0"] == found["test"]["two 0"] == 1
    assert found[""] == {"two 0": 1, "one 1": 1, "one 2": 1, "two 1": 2}
    (role,) = packed.samples.loc[
        packed.samples["label"].eq("two 0") & packed.samples["split"].eq("test"), "role"
    ]
    assert role == "gallery"
    assert packed.samples.loc[packed.samples["label"] == "one 0", "role"].tolist() == [""]


def test_large_classes_are_capped_evenly(tmp_path: Path) -> None:
    listing = listing_of({label: size for label, size in SIZES.items() if size > 3})
    packed = pack_limited(tmp_path / "packed", listing, largest_class=3)
    counts = sum(used(packed).values(), Counter()) - used(packed)[""]
    assert set(counts.values()) == {3}
    nine = packed.samples[packed.samples["label"] == "nine"].reset_index()
    assert nine.index[nine["split"] != ""].tolist() == [0, 4, 8]
    assert packed.card["limits"] == {"largest_class": 3, "large_classes": 11, "not_used": 16}
    page = " ".join(build_dataset(tmp_path / "packed")["README.md"].decode().split())
    assert (
        "Large classes: of 11 with more than 3 images the others, 16 in all, are not used." in page
    )


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("most", [2, 3, 5])
def test_a_cap_keeps_the_first_and_the_last_of_each_role(size: int, most: int) -> None:
    roles = ["query", "gallery"] * size
    table = pd.DataFrame({"label": "a", "role": roles, "split": "test"})
    kept = cap_classes(table, most)
    for role in ("query", "gallery"):
        rows = np.flatnonzero((table["role"] == role) & (kept["split"] != ""))
        assert len(rows) == min(size, most)
        own = np.flatnonzero(table["role"] == role)
        assert {rows[0], rows[-1]} == {own[0], own[-1]}
    assert cap_classes(table, None) is table


def test_what_is_not_used_makes_no_class_large_enough() -> None:
    table = pd.DataFrame({"label": list("aaab"), "split": ["train", "", "", "train"]})
    small = find_small(table, Classes(smallest_class=2, below="drop", largest_class=None))
    assert small.tolist() == [True] * 4
    assert not find_small(table, Classes()).any()


def test_train_classes_that_become_too_small_are_left_out_where_they_may_be() -> None:
    table = pd.DataFrame({"label": list("aabcc"), "split": ["train"] * 3 + ["test"] * 2})
    assert limit_train(table[:2], Classes()) is not None
    with pytest.raises(InputError, match="found 1 sample of class 'b' in train, after 7 were lost"):
        limit_train(table, Classes(), ", after 7 were lost")
    dropped = limit_train(table, Classes(below="drop"))["split"].tolist()
    assert dropped == ["train", "train", "", "test", "test"]


def test_nodes_of_a_tree_and_points_of_a_plane_are_no_classes_to_train_on(tmp_path: Path) -> None:
    sizes = {f"r/{number}": 1 for number in range(20)}
    tree = listing_of(sizes, lineage=list(sizes))
    assert open_packed_of(tmp_path / "tree", tree).card.get("limits") is None
    grid = listing_of(sizes, x="1")
    plane = Listing(grid.samples, (), grid.images, coordinates=("x",))
    assert open_packed_of(tmp_path / "grid", plane).card.get("limits") is None


def lineages_of(labels: list[str], lineages: list[str]) -> pd.DataFrame:
    """Return a table of train."""
    return pd.DataFrame({"label": labels, "lineage": lineages, "split": "train"})


def test_classes_that_became_lineages_are_limited_as_others_are() -> None:
    table = lineages_of([*"aabk"], ["k/a", "k/a", "k/b", "k"])
    found = "found 1 sample of class 'b' in train, expected at least 2"
    with pytest.raises(InputError, match=f"{found}.* smallest_class: 1 keeps them, for relevance"):
        limit_train(table, Classes())
    dropped = limit_train(table, Classes(below="drop"))["split"].tolist()
    assert dropped == ["train", "train", "", "train"]
    assert limit_train(table, Classes(smallest_class=1)).equals(table)


@pytest.mark.parametrize(
    ("labels", "lineages"),
    [
        (["a", "b", "c"], ["k/a", "k/b", "k"]),  # one by one
        (["k/a", "k/a", "k/b", "k"], ["k/a", "k/a", "k/b", "k"]),  # by their paths
    ],
)
def test_nodes_are_no_classes(labels: list[str], lineages: list[str]) -> None:
    table = lineages_of(labels, lineages)
    assert limit_train(table, Classes()).equals(table)


@pytest.mark.parametrize("dataset", ["tree", "grid", "wordnet"])
def test_settings_for_own_data_leave_trees_and_planes_as_they_are(
    tmp_path: Path, dataset: str, obtain_raw: Callable[[str, Path], Path]
) -> None:
    listing = load_dataset(dataset).read(obtain_raw(dataset, tmp_path / "raw"))
    shares = Split(seed=0, train=0.5, val=0.125, test=0.375)
    expected = split_samples(listing, shares, Classes())[0]
    for below in ("drop", "gallery"):
        limits = Classes(smallest_class=3, below=below, largest_class=3)
        assert split_samples(listing, shares, limits)[0].equals(expected)
    if "split" in listing.samples:
        other = Split(seed=3, train=0.6, val=0.2, test=0.2, unit="branch")
        assert split_samples(listing, other, Classes())[0].equals(expected)


def open_packed_of(folder: Path, listing: Listing) -> Packed:
    """Pack a listing whose val and test share a node with train, so that relatives are found."""
    split = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    samples = listing.samples.assign(split=split)
    if "lineage" in samples:
        samples["lineage"] = [*samples["lineage"][:12], *samples["lineage"][:8] + "/x"]
    pack(
        "own",
        Listing(samples, (), listing.images, coordinates=listing.coordinates),
        folder,
        SPLIT,
        IMAGES,
    )
    return open_packed(folder)


def test_one_query_class_in_test_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    sizes = {"t0": 3, "t1": 3, "v0": 3, "v1": 3, "s0": 3, "s1": 1, "s2": 1, "s3": 1}
    labels = listing_of(sizes).samples["label"]
    splits = labels.str[0].map({"t": "train", "v": "val", "s": "test"})
    message = "split.test: found 6 samples of 4 classes and queries of 's0' alone with another"
    with pytest.raises(InputError, match=message):
        pack_limited(tmp_path / "packed", listing_of(sizes, split=splits))
