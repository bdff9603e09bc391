"""Cars-196: photographs of 196 models of cars."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from geomix.datasets.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    check_counts,
    count_parts,
    find_top,
    images_in,
    raw_file,
)
from geomix.datasets.sources import RESEARCH, File, Source
from geomix.errors import InputError

SOURCE = Source(
    files=(
        File(
            "CARS196.zip",
            urls=("http://ftp.cs.stanford.edu/cs/cvgl/CARS196.zip",),
            counts={"*car_ims/*.jpg": 16185, "*cars_annos.mat": 1},
            member_md5={"*cars_annos.mat": "b407c6086d669747186bd1d764ff9dbc"},
        ),
    ),
    licence=RESEARCH,
    by_hand="a zip of the original car_ims/000001.jpg ... 016185.jpg and cars_annos.mat",
)
ANNOTATIONS = "cars_annos.mat"
LAST_TRAIN = 98  # classes 1-98 train, 99-196 test, in the order of class_names
MAKES_OF_TWO_WORDS = ("AM General", "Aston Martin", "Land Rover")
GATES = {"train images": 8054, "test images": 8131, "train classes": 98, "test classes": 98}


def make_of(label: str) -> str:
    """Return the first word of a name, or two: `Land Rover LR2 SUV 2012` -> `Land Rover`."""
    return next(
        (make for make in MAKES_OF_TWO_WORDS if label.startswith(f"{make} ")),
        label.partition(" ")[0],
    )


def read_annotations(place: str, content: bytes) -> list[tuple[str, str, int]]:
    """Read the path, the name of the class and its number, from 1, of each image.

    Raises:
        InputError: If the .mat file is not what its authors published.
    """
    try:
        table: dict[str, Any] = loadmat(io.BytesIO(content), simplify_cells=True)
        names = [str(name) for name in table["class_names"]]
        pairs = [(str(row["relative_im_path"]), int(row["class"])) for row in table["annotations"]]
    except (MatReadError, ValueError, TypeError, KeyError, NotImplementedError, OSError) as error:
        found = f"no annotations and class_names ({error})"
        raise InputError(f"{place}: found {found}, expected MATLAB's structs") from None
    unknown = sorted({number for _, number in pairs if not 1 <= number <= len(names)})
    if unknown:
        raise InputError(f"{place}: found class {unknown[0]}, expected 1 to {len(names)}")
    return [(image, names[number - 1], number) for image, number in pairs]


def read(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List Cars-196: make -> model; the first 98 classes are train, the others test.

    The official train flags are not used.

    Args:
        raw: The folder of CARS196.zip.
        gates: The numbers of images and classes that train and test must have.

    Returns:
        Photographs; encoded by default. An id is the path in the archive.

    Raises:
        InputError: If the archive is missing or incomplete.
    """
    path = raw_file(raw, "CARS196.zip")
    with open_archive(path) as archive:
        names = archive.names()
        top = find_top(path, names, ANNOTATIONS)
        annotations = read_annotations(f"{path}/{ANNOTATIONS}", archive.read(f"{top}{ANNOTATIONS}"))
    rows = [
        {
            "id": image,
            "label": label,
            "make": make_of(label),
            "split": "train" if number <= LAST_TRAIN else "test",
        }
        for image, label, number in annotations
    ]
    samples = pd.DataFrame(rows, columns=["id", "label", "make", "split"])
    check_counts(path, count_parts(samples), gates)
    images = images_in(path, names, [f"{top}{image}" for image in samples["id"]])
    return Listing(samples, ("make",), images, form="encoded")
