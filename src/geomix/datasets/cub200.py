"""CUB-200-2011: photographs of 200 species of birds."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from geomix.datasets.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    check_counts,
    count_parts,
    find_top,
    images_in,
    raw_file,
    read_rows,
    read_texts,
)
from geomix.datasets.sources import RESEARCH, File, Source
from geomix.errors import InputError

SOURCE = Source(
    files=(
        File(
            "CUB_200_2011.tgz",
            urls=("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
            sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            counts={
                "*CUB_200_2011/images/*/*.jpg": 11788,
                "*CUB_200_2011/images.txt": 1,
                "*CUB_200_2011/classes.txt": 1,
                "*CUB_200_2011/image_class_labels.txt": 1,
            },
        ),
    ),
    licence=RESEARCH,
    by_hand="https://data.caltech.edu/records/65de6-vp158",
)
LISTS = ("images.txt", "image_class_labels.txt", "classes.txt")
LAST_TRAIN = 100  # classes 1-100 train, 101-200 test
GATES = {"train images": 5864, "test images": 5924, "train classes": 100, "test classes": 100}


def genus_of(label: str) -> str:
    """Return the last word of a name: `001.Black_footed_Albatross` -> `Albatross`."""
    return label.rpartition(".")[2].rpartition("_")[2]


def read(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List CUB-200-2011: genus -> species; the first hundred classes are train, the others test.

    Args:
        raw: The folder of CUB_200_2011.tgz.
        gates: The numbers of images and classes that train and test must have.

    Returns:
        Photographs; encoded by default. An id is the path in the folder images, a label the
        official name with its number.

    Raises:
        InputError: If the archive is missing or incomplete, or its lists do not fit each other.
    """
    path = raw_file(raw, "CUB_200_2011.tgz")
    with open_archive(path) as archive:
        names = archive.names()
        top = find_top(path, names, LISTS[0])
        texts = read_texts(path, archive, [f"{top}{name}" for name in LISTS])
    tables = [read_rows(f"{path}/{name}", text, 2) for name, text in zip(LISTS, texts, strict=True)]
    paths, class_of, class_names = ({row[0]: row[1] for row in table} for table in tables)
    if paths.keys() != class_of.keys() or not class_names.keys() >= set(class_of.values()):
        raise InputError(
            f"{path}: found {len(paths)} images, {len(class_of)} of them with a class, "
            f"{len(class_names)} classes; "
            f"expected {', '.join(LISTS)} of the same numbers"
        )
    rows = [
        {
            "id": image,
            "label": class_names[class_of[number]],
            "genus": genus_of(class_names[class_of[number]]),
            "split": "train" if int(class_of[number]) <= LAST_TRAIN else "test",
        }
        for number, image in paths.items()
    ]
    samples = pd.DataFrame(rows, columns=["id", "label", "genus", "split"])
    check_counts(path, count_parts(samples), gates)
    images = images_in(path, names, [f"{top}images/{image}" for image in samples["id"]])
    return Listing(samples, ("genus",), images, form="encoded")
