"""Cars-196: the .mat file numbers the classes, and not in alphabetical order."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from geomix.datasets import cars196
from geomix.errors import InputError

NAMES = [f"Make{number} Model 2012" for number in range(196, 0, -1)]
NAMES[97], NAMES[98] = "Land Rover LR2 SUV 2012", "AM General Hummer SUV 2000"
CLASS_OF = {1: 196, 2: 98, 3: 99, 4: 1, 5: 98}  # image -> class, from 1
GATES = {"train images": 3, "test images": 2, "train classes": 2, "test classes": 2}
FIELDS = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]


def annotations(class_of: dict[int, int]) -> bytes:
    """Return the .mat file: a row of structs for the images, a row of cells for the names."""
    table = np.zeros((1, len(class_of)), dtype=[(field, object) for field in FIELDS])
    for column, (image, number) in enumerate(class_of.items()):
        box = [np.uint16(edge) for edge in (30, 52, 246, 147)]
        table[0, column] = (f"car_ims/{image:06}.jpg", *box, np.uint8(number), np.uint8(image % 2))
    names = np.empty((1, len(NAMES)), object)
    names[0] = NAMES
    file = io.BytesIO()
    savemat(file, {"annotations": table, "class_names": names})
    return file.getvalue()


def members(top: str = "") -> dict[str, bytes]:
    """Return the members of the archive."""
    images = {
        f"{top}car_ims/{image:06}.jpg": f"car {image}".encode() for image in reversed(CLASS_OF)
    }
    return images | {f"{top}cars_annos.mat": annotations(CLASS_OF)}


@pytest.mark.parametrize("top", ["", "CARS196/"])
def test_the_first_98_names_are_train_and_the_others_test(
    tmp_path: Path, write_zip: Callable[..., Path], top: str
) -> None:
    write_zip(tmp_path / "CARS196.zip", members(top))
    listing = cars196.read(tmp_path, GATES)
    assert listing.samples.to_numpy().tolist() == [
        ["car_ims/000001.jpg", "Make1 Model 2012", "Make1", "test"],
        ["car_ims/000002.jpg", "Land Rover LR2 SUV 2012", "Land Rover", "train"],
        ["car_ims/000003.jpg", "AM General Hummer SUV 2000", "AM General", "test"],
        ["car_ims/000004.jpg", "Make196 Model 2012", "Make196", "train"],
        ["car_ims/000005.jpg", "Land Rover LR2 SUV 2012", "Land Rover", "train"],
    ]
    assert dict(listing.images()) == {row: f"car {row + 1}".encode() for row in range(5)}
    assert (listing.form, listing.levels) == ("encoded", ("make",))


@pytest.mark.parametrize(
    ("label", "make"),
    [
        ("Aston Martin V8 Vantage Coupe 2012", "Aston Martin"),
        ("Rolls-Royce Ghost Sedan 2012", "Rolls-Royce"),
        ("Ram C-V Cargo Van Minivan 2012", "Ram"),
        ("smart fortwo Convertible 2012", "smart"),
    ],
)
def test_a_make_is_one_word_or_two(label: str, make: str) -> None:
    assert cars196.make_of(label) == make


def test_a_class_without_a_name_is_refused(tmp_path: Path, write_zip: Callable[..., Path]) -> None:
    write_zip(
        tmp_path / "CARS196.zip", members() | {"cars_annos.mat": annotations(CLASS_OF | {3: 197})}
    )
    with pytest.raises(InputError, match=r"cars_annos\.mat: found class 197, expected 1 to 196"):
        cars196.read(tmp_path, GATES)


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>" * 20, annotations(CLASS_OF)[:1000]]
)
def test_annotations_that_are_none_are_refused(
    tmp_path: Path, write_zip: Callable[..., Path], content: bytes
) -> None:
    write_zip(tmp_path / "CARS196.zip", members() | {"cars_annos.mat": content})
    with pytest.raises(InputError, match=r"cars_annos\.mat: found no annotations and class_names"):
        cars196.read(tmp_path, GATES)


def test_a_missing_photograph_is_named(tmp_path: Path, write_zip: Callable[..., Path]) -> None:
    files = members()
    del files["car_ims/000004.jpg"]
    write_zip(tmp_path / "CARS196.zip", files)
    with pytest.raises(
        InputError, match=r"CARS196\.zip: found no car_ims/000004\.jpg; expected the 5 files"
    ):
        cars196.read(tmp_path, GATES)


def test_a_part_of_the_set_is_refused(tmp_path: Path, write_zip: Callable[..., Path]) -> None:
    write_zip(tmp_path / "CARS196.zip", members())
    with pytest.raises(
        InputError,
        match="found 3 train images, .*; expected 8054 train images, 8131 test images, 98 train",
    ):
        cars196.read(tmp_path)
