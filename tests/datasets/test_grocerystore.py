"""GroceryStore: three levels, classes split by us, queries and gallery from the official split."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets import grocerystore
from geomix.errors import InputError

CLASSES = """\
Class Name (str),Class ID (int),Coarse Class Name (str),\
Coarse Class ID (int),Iconic Image Path (str)\r
Royal-Gala,0,Apple,0,/iconic/Royal-Gala.jpg\r
Pink-Lady,1,Apple,0,/iconic/Pink-Lady.jpg\r
Oatly-Oat-Milk,2,Oat-Milk,1,/iconic/Oatly-Oat-Milk.jpg\r
"""
IMAGES = {
    "train": [
        "Fruit/Apple/Royal-Gala/a.jpg, 0, 0",
        "Fruit/Apple/Pink-Lady/a.jpg, 1, 0",
        "Packages/Oat-Milk/a.jpg, 2, 1",
    ],
    "val": ["Fruit/Apple/Royal-Gala/a.jpg, 0, 0", "Packages/Oat-Milk/a.jpg, 2, 1"],
    "test": [
        "Fruit/Apple/Royal-Gala/a.jpg, 0, 0",
        "Fruit/Apple/Pink-Lady/a.jpg, 1, 0",
        "Packages/Oat-Milk/a.jpg, 2, 1",
    ],
}
GATES = {
    "train images": 3,
    "val images": 2,
    "test images": 3,
    "kinds": 2,
    "coarse classes": 2,
    "classes": 3,
}
TOP = "GroceryStoreDataset-master/dataset"


def members() -> dict[str, bytes]:
    """Return the members of the archive, with an iconic image that is not in the lists."""
    lists = {split: [f"{split}/{line}" for line in lines] for split, lines in IMAGES.items()}
    names = [line.partition(",")[0] for lines in lists.values() for line in lines]
    return {
        f"{TOP}/classes.csv": CLASSES.encode(),
        f"{TOP}/iconic-images-and-descriptions/Fruit/Apple/Royal-Gala.jpg": b"iconic",
        **{
            f"{TOP}/{split}.txt": "\n".join(lines).encode() + b"\n"
            for split, lines in lists.items()
        },
        **{f"{TOP}/{name}": name.encode() for name in sorted(names)},
    }


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    write_zip(tmp_path / "any name.zip", members())
    return tmp_path


def test_each_image_has_its_kind_coarse_class_and_class(raw: Path) -> None:
    listing = grocerystore.read(raw, GATES)
    assert listing.levels == ("kind", "coarse")
    assert (listing.form, listing.side) == ("decoded", 128)
    assert listing.samples.iloc[[0, 3, 7]].to_numpy().tolist() == [
        ["train/Fruit/Apple/Royal-Gala/a.jpg", "Royal-Gala", "Fruit", "Apple"],
        ["val/Fruit/Apple/Royal-Gala/a.jpg", "Royal-Gala", "Fruit", "Apple"],
        ["test/Packages/Oat-Milk/a.jpg", "Oatly-Oat-Milk", "Packages", "Oat-Milk"],
    ]
    assert dict(listing.images()) == {
        row: name.encode() for row, name in enumerate(listing.samples["id"])
    }


def test_held_out_classes_are_searched_across_official_lists_and_train_classes_leave_out_test(
    raw: Path,
) -> None:
    samples = grocerystore.read(raw, GATES).samples
    split = samples["label"].map(
        {"Royal-Gala": "train", "Pink-Lady": "val", "Oatly-Oat-Milk": "test"}
    )
    assigned = grocerystore.assign_roles(samples.assign(split=split))
    assert assigned[["id", "split", "role"]].to_numpy().tolist() == [
        ["train/Fruit/Apple/Royal-Gala/a.jpg", "train", ""],
        ["train/Fruit/Apple/Pink-Lady/a.jpg", "val", "gallery"],
        ["train/Packages/Oat-Milk/a.jpg", "test", "gallery"],
        ["val/Fruit/Apple/Royal-Gala/a.jpg", "train", ""],
        ["val/Packages/Oat-Milk/a.jpg", "", ""],
        ["test/Fruit/Apple/Royal-Gala/a.jpg", "", ""],
        ["test/Fruit/Apple/Pink-Lady/a.jpg", "val", "query"],
        ["test/Packages/Oat-Milk/a.jpg", "test", "query"],
    ]


def test_classes_that_the_shares_leave_over_are_not_used(raw: Path) -> None:
    assigned = grocerystore.assign_roles(grocerystore.read(raw, GATES).samples.assign(split=""))
    assert set(assigned["split"]) == set(assigned["role"]) == {""}


def test_the_listing_hands_the_rule_on(raw: Path) -> None:
    listing = grocerystore.read(raw, GATES)
    assert listing.assign is grocerystore.assign_roles
    assert "split" not in listing.samples


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "train.txt",
            "a.jpg, 2, 1",
            "a.jpg, 2, 0",
            r"train\.txt: found train/Packages/Oat-Milk/a\.jpg, 2, 0; expected",
        ),
        (
            "test.txt",
            "a.jpg, 1, 0",
            "a.jpg, 9, 0",
            r"test\.txt: found test/Fruit/Apple/Pink-Lady/a\.jpg, 9, 0; expected",
        ),
        (
            "val.txt",
            "a.jpg, 0, 0",
            "b.jpg, 0, 0",
            r"zip: found no .*/val/Fruit/Apple/Royal-Gala/b\.jpg; expected the 8 files",
        ),
        (
            "val.txt",
            ", 0, 0",
            " 0 0",
            r"val\.txt: found line 1: 'val/Fruit/Apple/Royal-Gala/a\.jpg 0 0', expected 3 fields",
        ),
        (
            "classes.csv",
            "Class ID (int)",
            "ID",
            r"classes\.csv: found columns .*; expected Class ID \(int\), .* too",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    raw: Path, write_zip: Callable[..., Path], name: str, old: str, new: str, message: str
) -> None:
    files = members()
    files[f"{TOP}/{name}"] = files[f"{TOP}/{name}"].replace(old.encode(), new.encode())
    write_zip(raw / "any name.zip", files)
    with pytest.raises(InputError, match=message):
        grocerystore.read(raw, GATES)


def test_a_part_of_the_set_is_refused(raw: Path) -> None:
    with pytest.raises(
        InputError,
        match="found 3 train images, .* expected 2640 train images, 296 val images, 2485 test",
    ):
        grocerystore.read(raw)


def test_one_archive_is_expected(raw: Path, write_zip: Callable[..., Path]) -> None:
    write_zip(raw / "another.zip", {})
    with pytest.raises(InputError, match="found 2 zip files, expected one"):
        grocerystore.read(raw, GATES)
