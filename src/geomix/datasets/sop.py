"""Stanford Online Products: photographs of 22,634 products in 12 categories."""

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
            "Stanford_Online_Products.zip",
            urls=("http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",),
            sha256="b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48",
            counts={"*_final/*.JPG": 59551 + 60502, "*Ebay_train.txt": 1, "*Ebay_test.txt": 1},
        ),
    ),
    licence=RESEARCH,
    by_hand="http://ftp.cs.stanford.edu/cs/cvgl (not a copy resized to 224 px)",
)
LISTS = {"Ebay_train.txt": "train", "Ebay_test.txt": "test"}
HEADER = ["image_id", "class_id", "super_class_id", "path"]
GATES = {
    "train images": 59551,
    "test images": 60502,
    "train classes": 11318,
    "test classes": 11316,
    "categories": 12,
}


def read(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List Stanford Online Products: category -> product; the split is that of the two lists.

    Args:
        raw: The folder of Stanford_Online_Products.zip.
        gates: The numbers of images and classes that train and test must have, and of categories.

    Returns:
        Photographs; encoded by default. An id is the path that the lists give, a label the number
        of the product.

    Raises:
        InputError: If the archive is missing or incomplete, or a list has another header.
    """
    path = raw_file(raw, "Stanford_Online_Products.zip")
    with open_archive(path) as archive:
        names = archive.names()
        top = find_top(path, names, next(iter(LISTS)))
        texts = read_texts(path, archive, [f"{top}{name}" for name in LISTS])
    rows = []
    for (name, split), text in zip(LISTS.items(), texts, strict=True):
        header, *listed = read_rows(f"{path}/{name}", text, len(HEADER)) or [[]]
        if header != HEADER:
            found = f"first line {' '.join(header)!r}"
            raise InputError(f"{path}/{name}: found {found}, expected {' '.join(HEADER)!r}")
        for _, product, _, image in listed:
            category = image.partition("/")[0].removesuffix("_final")
            rows.append({"id": image, "label": product, "category": category, "split": split})
    samples = pd.DataFrame(rows, columns=["id", "label", "category", "split"])
    check_counts(path, count_parts(samples) | {"categories": samples["category"].nunique()}, gates)
    images = images_in(path, names, [f"{top}{image}" for image in samples["id"]])
    return Listing(samples, ("category",), images, form="encoded")
