"""Read CUB-200-2011: photographs of 200 species of birds."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from geomix.data.archives import open_archive
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
from geomix.errors import InputError

LISTS = ("images.txt", "image_class_labels.txt", "classes.txt")
LAST_TRAIN = 100  # classes 1-100 train, 101-200 test
GATES = {"train images": 5864, "test images": 5924, "train classes": 100, "test classes": 100}


def genus_of(label: str) -> str:
    """Give the group of a species, the last word of its name: `001.Black_footed_Albatross` -> `Albatross`."""
    return label.rpartition(".")[2].rpartition("_")[2]


def list_cub200(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List CUB-200-2011: genus -> species; the first hundred classes are train, the others test.

    Args:
        raw: The folder of CUB_200_2011.tgz.
        gates: Images and classes of train and test there must be.

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
            f"{path}: found {len(paths)} images, {len(class_of)} of them with a class, {len(class_names)} classes; "
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
