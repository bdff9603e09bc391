"""Stanford Online Products: two lists with a header are train and test, categories are folders."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets import sop
from geomix.errors import InputError

HEADER = "image_id class_id super_class_id path\n"
LISTS = {
    "Ebay_train.txt": (
        "1 1 1 bicycle_final/111_0.JPG\n"
        "2 1 1 bicycle_final/111_1.JPG\n"
        "3 2 4 coffee_maker_final/222_0.JPG\n"
    ),
    "Ebay_test.txt": (
        "59552 11319 1 bicycle_final/333_0.JPG\n59553 11320 12 toaster_final/444_0.JPG\n"
    ),
}
GATES = {
    "train images": 3,
    "test images": 2,
    "train classes": 2,
    "test classes": 2,
    "categories": 3,
}
TOP = "Stanford_Online_Products"


def members() -> dict[str, bytes]:
    """Return the members of the archive."""
    images = [line.split()[-1] for text in LISTS.values() for line in text.splitlines()]
    return {f"{TOP}/{image}": image.encode() for image in reversed(images)} | {
        f"{TOP}/{name}": f"{HEADER}{text}".encode() for name, text in LISTS.items()
    }


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    write_zip(tmp_path / "Stanford_Online_Products.zip", members())
    return tmp_path


def test_each_product_has_its_category_and_the_split_of_its_list(raw: Path) -> None:
    listing = sop.read(raw, GATES)
    assert listing.samples.to_numpy().tolist() == [
        ["bicycle_final/111_0.JPG", "1", "bicycle", "train"],
        ["bicycle_final/111_1.JPG", "1", "bicycle", "train"],
        ["coffee_maker_final/222_0.JPG", "2", "coffee_maker", "train"],
        ["bicycle_final/333_0.JPG", "11319", "bicycle", "test"],
        ["toaster_final/444_0.JPG", "11320", "toaster", "test"],
    ]
    assert dict(listing.images()) == {
        row: name.encode() for row, name in enumerate(listing.samples["id"])
    }
    assert (listing.form, listing.levels) == ("encoded", ("category",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            HEADER,
            "",
            r"Ebay_train\.txt: found first line '1 1 1 bicycle_final/111_0\.JPG', "
            "expected 'image_id class_id",
        ),
        (
            HEADER + LISTS["Ebay_train.txt"],
            "",
            r"Ebay_train\.txt: found first line '', expected 'image_id class_id",
        ),
        (
            "111_1",
            "111_9",
            r"zip: found no Stanford_Online_Products/bicycle_final/111_9\.JPG; "
            "expected the 5 files",
        ),
        (
            "111_1",
            "111_0",
            r"zip: found Stanford_Online_Products/bicycle_final/111_0\.JPG listed twice",
        ),
        (
            "3 2 4 coffee_maker_final/222_0.JPG\n",
            "",
            "found 2 train images, 1 train classes, 2 categories; expected 3 train",
        ),
    ],
)
def test_odd_lists_are_refused(
    raw: Path, write_zip: Callable[..., Path], old: str, new: str, message: str
) -> None:
    files = members()
    files[f"{TOP}/Ebay_train.txt"] = files[f"{TOP}/Ebay_train.txt"].replace(
        old.encode(), new.encode()
    )
    write_zip(raw / "Stanford_Online_Products.zip", files)
    with pytest.raises(InputError, match=message):
        sop.read(raw, GATES)


def test_a_part_of_the_set_is_refused(raw: Path) -> None:
    with pytest.raises(
        InputError,
        match="found 3 train images, .*; expected 59551 train images, 60502 test images, 11318",
    ):
        sop.read(raw)
