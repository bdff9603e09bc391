"""CUB-200-2011: a tar file with three lists and with files of macOS among the images."""

import io
import tarfile
from pathlib import Path

import pytest

from geomix.datasets import cub200
from geomix.errors import InputError

SPECIES = {
    1: "001.Black_footed_Albatross",
    100: "100.Brown_Pelican",
    101: "101.White_Pelican",
    200: "200.Common_Yellowthroat",
}
GATES = {"train images": 4, "test images": 4, "train classes": 2, "test classes": 2}


def members() -> dict[str, bytes]:
    """Return the files of the archive: two photographs of each of four species."""
    images = [
        (number, f"{name}/{name[4:]}_{shot:04}_{number}.jpg")
        for number, name in SPECIES.items()
        for shot in (1, 2)
    ]
    top = "CUB_200_2011"
    return {
        "./._CUB_200_2011": b"macOS",
        "attributes.txt": b"1 has_bill_shape::curved_(up_or_down)\n",
        f"{top}/._images.txt": b"macOS",
        **{f"{top}/images/{name}": name.encode() for _, name in reversed(images)},
        f"{top}/images/001.Black_footed_Albatross/._Black_footed_Albatross_0001_1.jpg": b"macOS",
        f"{top}/images.txt": "".join(
            f"{row} {name}\n" for row, (_, name) in enumerate(images, 1)
        ).encode(),
        f"{top}/image_class_labels.txt": "".join(
            f"{row} {number}\n" for row, (number, _) in enumerate(images, 1)
        ).encode(),
        f"{top}/classes.txt": "".join(
            f"{number} {name}\n" for number, name in SPECIES.items()
        ).encode(),
        f"{top}/train_test_split.txt": b"1 0\n2 1\n",
    }


def write_tar(raw: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(raw / "CUB_200_2011.tgz", "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return raw


def test_the_first_hundred_classes_are_train_and_the_others_test(tmp_path: Path) -> None:
    samples = cub200.read(write_tar(tmp_path, members()), GATES).samples
    assert samples.drop(columns="id").drop_duplicates().to_numpy().tolist() == [
        ["001.Black_footed_Albatross", "Albatross", "train"],
        ["100.Brown_Pelican", "Pelican", "train"],
        ["101.White_Pelican", "Pelican", "test"],
        ["200.Common_Yellowthroat", "Yellowthroat", "test"],
    ]
    assert samples["id"][2] == "100.Brown_Pelican/Brown_Pelican_0001_100.jpg"


def test_each_row_gets_its_photograph_and_macos_none(tmp_path: Path) -> None:
    listing = cub200.read(write_tar(tmp_path, members()), GATES)
    assert dict(listing.images()) == {
        row: name.encode() for row, name in enumerate(listing.samples["id"])
    }
    assert (len(listing.samples), listing.form, listing.levels) == (8, "encoded", ("genus",))


@pytest.mark.parametrize(
    ("label", "genus"),
    [
        ("001.Black_footed_Albatross", "Albatross"),
        ("021.Eastern_Towhee", "Towhee"),
        ("110.Geococcyx", "Geococcyx"),
    ],
)
def test_the_genus_is_the_last_word(label: str, genus: str) -> None:
    assert cub200.genus_of(label) == genus


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "image_class_labels.txt",
            "8 200\n",
            "",
            "found 8 images, 7 of them with a class, 4 classes; expected images.txt",
        ),
        (
            "classes.txt",
            "200 200.",
            "199 200.",
            "found 8 images, 8 of them with a class, 4 classes; expected images.txt",
        ),
        (
            "images.txt",
            "_0002_200",
            "_0003_200",
            r"found no CUB_200_2011/images/200\.Common_.*_0003_200\.jpg; expected the 8",
        ),
        (
            "image_class_labels.txt",
            "3 100\n",
            "3 101\n",
            "found 3 train images, 5 test images; expected 4 train images",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    files = members()
    files[f"CUB_200_2011/{name}"] = files[f"CUB_200_2011/{name}"].replace(
        old.encode(), new.encode()
    )
    with pytest.raises(InputError, match=message):
        cub200.read(write_tar(tmp_path, files), GATES)


def test_a_part_of_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="found 4 train images, .*; expected 5864 train images, 5924 test images, 100 train",
    ):
        cub200.read(write_tar(tmp_path, members()))
