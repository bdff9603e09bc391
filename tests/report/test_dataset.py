"""The page of a data set: counts of the card, and families of classes side by side."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest

from geomix.data.packed import SPLITS, Packed
from geomix.datasets.listing import list_warnings
from geomix.files import write_json
from geomix.preprocess.pack import count_split
from geomix.report.dataset import (
    build_dataset,
    chain_rows,
    count_related,
    describe_form,
    describe_tree,
    group_samples,
    sample_rows,
)
from geomix.report.figures import find_stand_ins
from geomix.report.text import literal


def test_counts_are_those_of_the_samples(packed_folder: Path, packed: Packed) -> None:
    files = build_dataset(packed_folder)
    assert sorted(files) == ["README.md", "counts.csv", "samples.png"]
    counts = pd.read_csv(io.BytesIO(files["counts.csv"])).set_index(["split", "kind"])["count"]
    for split in SPLITS:
        rows = packed.samples[packed.samples["split"] == split]
        assert counts[split, "images"] == len(rows)
        assert counts[split, "classes"] == rows["label"].nunique()
    page = files["README.md"].decode()
    assert "patterns has 60 images in 12 classes" in page
    assert "A class has 5 images." in page


def test_warnings_stand_on_the_page_with_names_as_they_are(
    packed_folder: Path, packed: Packed
) -> None:
    one = dict.fromkeys(("class 8", "class 9", "class 10"), "a*b|c")
    samples = packed.samples.replace({"label": one})
    samples.to_csv(packed_folder / "samples.csv", index=False)
    page = build_dataset(packed_folder)["README.md"].decode()
    found = [line for line in page.splitlines() if line.startswith("**Warning:** ")]
    assert found == [f"**Warning:** {literal(one)}" for one in list_warnings(samples)]
    assert found[0].startswith("**Warning:** Val has 4 classes, too few to choose settings by: ")
    assert found[1].startswith(r"**Warning:** Class a\*b\|c has 75 % of the samples that are ")
    assert len(found) == 2


def test_a_page_of_points_has_no_warnings_of_classes(packed_folder: Path, packed: Packed) -> None:
    card = packed.card | {"levels": [], "coordinates": ["x"]}
    packed.samples.assign(x="1").to_csv(packed_folder / "samples.csv", index=False)
    write_json(packed_folder / "card.json", card)
    assert "Warning" not in build_dataset(packed_folder)["README.md"].decode()


def test_related_classes_are_counted(packed: Packed) -> None:
    assert count_related(packed) == 4
    apart = packed.samples.assign(group=packed.samples["label"])
    assert count_related(Packed(apart, packed.images, packed.card)) == 0
    assert describe_form(packed) == "16 x 16 pixels, grey"


def test_a_row_shows_a_family_first(packed: Packed) -> None:
    rows = dict(sample_rows(packed))
    assert list(rows) == ["even\nfrom group group 0", "odd\nfrom group group 1"]
    captions = [caption for _, caption in rows["even\nfrom group group 0"]]
    assert captions[:6] == ["class 0 (train)"] * 2 + ["class 4 (val)"] * 2 + ["class 8 (test)"] * 2


def test_a_data_set_without_levels_has_one_row(packed: Packed) -> None:
    flat = Packed(packed.samples, packed.images, packed.card | {"levels": []})
    assert len(list(sample_rows(flat))) == 1
    assert count_related(flat) == 0


PATHS = ["r", "r/a", "r/a/x", "r/a/y", "r/b", "r/b/x", "r/b/y", "r/b/z", "s", "s/a", "s/a/x", "s/b"]


@pytest.fixture
def grown(packed: Packed) -> Packed:
    """Return the data set with a node of a tree for each of its 12 classes, in place of levels."""
    labels = list(packed.samples["label"].drop_duplicates())
    samples = packed.samples.assign(
        lineage=packed.samples["label"].map(dict(zip(labels, PATHS, strict=True)))
    )
    return Packed(samples, packed.images, packed.card | {"levels": []})


def test_nodes_and_leaves_of_a_tree_are_counted(grown: Packed) -> None:
    assert describe_tree(grown) == {
        "nodes": 12,
        "bare": 0,
        "roots": 2,
        "leaves": 7,
        "shallowest": 1,
        "deepest": 3,
        "splits": {
            "train": {"nodes": 4, "leaves": 2},
            "val": {"nodes": 4, "leaves": 3},
            "test": {"nodes": 4, "leaves": 2},
        },
        "shared": 0,
        "kin": 0,
    }
    samples = grown.samples.replace({"lineage": {"s/b": "r/a/q", "s": "t/x/x"}})
    found = describe_tree(Packed(samples, grown.images, grown.card))
    assert (found["nodes"], found["bare"], found["roots"], found["kin"]) == (15, 3, 3, 1)
    samples = grown.samples.assign(lineage=["a", "b"] * 30)
    assert describe_tree(Packed(samples, grown.images, grown.card))["shared"] == 2


def test_a_row_shows_the_way_from_the_root_to_a_leaf(grown: Packed) -> None:
    rows = list(chain_rows(grown))
    assert [name for name, _ in rows] == ["x", "y", "x", "y", "z", "x"]
    assert [caption for _, caption in rows[0][1]] == [
        *("r (train)", "r (train)", "a (train)", "a (train)", "x (train)", "x (train)"),
    ]


def test_a_map_is_coloured_by_branch_or_coordinate(packed: Packed, grown: Packed) -> None:
    assert group_samples(packed) is packed
    coloured = group_samples(grown)
    assert coloured.card["levels"] == ["branch"]
    assert set(coloured.samples["branch"]) == {"r", "s"}
    below = grown.samples[grown.samples["lineage"].str.startswith("r")]
    part = Packed(below.reset_index(drop=True), grown.images, grown.card)
    assert set(group_samples(part).samples["branch"]) == {"r", "a", "b"}
    points = Packed(
        packed.samples.assign(x="1"), packed.images, packed.card | {"coordinates": ["x"]}
    )
    assert group_samples(points).card["levels"] == ["x"]


def test_the_page_of_a_tree_says_so(packed_folder: Path, grown: Packed) -> None:
    grown.samples.to_csv(packed_folder / "samples.csv", index=False)
    write_json(packed_folder / "card.json", grown.card)
    files = build_dataset(packed_folder)
    page = " ".join(files["README.md"].decode().split())
    assert "patterns has 60 images at 12 nodes of trees; no leaf is in two of the splits" in page
    assert "The trees have 12 nodes, 2 roots and 3 levels; 7 nodes are leaves." in page
    assert "Of the 2 leaves of test, 0 have an ancestor in train." in page
    counts = pd.read_csv(io.BytesIO(files["counts.csv"])).set_index(["split", "kind"])["count"]
    assert counts["val", "leaves"] == 3


def test_the_page_of_points_names_their_coordinates(packed_folder: Path, packed: Packed) -> None:
    samples = packed.samples.assign(x="1", y="2")
    samples.to_csv(packed_folder / "samples.csv", index=False)
    card = packed.card | {"levels": [], "coordinates": ["x", "y"]}
    write_json(packed_folder / "card.json", card)
    page = " ".join(build_dataset(packed_folder)["README.md"].decode().split())
    assert "Samples have coordinates, x and y, and are compared by distance." in page


NAMES = {"kind": "classes", "group": "pi|pe $x$\n_y_"}
VALUES = {"even": "Ba$$in", "odd": "<b>猫 | _x_", "group 0": "ألفا"}


def test_levels_and_groups_may_have_any_names(packed_folder: Path, packed: Packed) -> None:
    samples = packed.samples.replace({"kind": VALUES, "group": VALUES}).rename(columns=NAMES)
    samples["label"] = samples["label"].replace({"class 3": "a|b\n$c$ 猫"})
    samples.to_csv(packed_folder / "samples.csv", index=False)
    levels = list(NAMES.values())
    counts = {
        split: count_split(samples[samples["split"] == split], levels, "images") for split in SPLITS
    }
    write_json(packed_folder / "card.json", packed.card | {"levels": levels, "counts": counts})
    files = build_dataset(packed_folder)
    page = files["README.md"].decode()
    table = [line for line in page.splitlines() if line.startswith("|")][:5]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    name = r"pi\|pe \$x\$ \_y\_"
    assert cells[0] == ["split", "images", "classes", "classes groups", f"{name} groups"]
    assert cells[2] == ["train", "20", "4", "2", "4"]
    assert f"The hierarchy is classes -> {name} -> class." in page
    if find_stand_ins("猫"):
        assert (
            r"Pictures show the code of a character that no font here has: \[732B\] for 猫." in page
        )
    found = pd.read_csv(io.BytesIO(files["counts.csv"])).set_index(["split", "kind"])["count"]
    assert (found["train", "classes"], found["train", "classes groups"]) == (4, 2)
