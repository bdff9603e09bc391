"""In-Shop Clothes Retrieval (DeepFashion): photographs of 7,982 pieces of clothing."""

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
)
from geomix.datasets.sources import RESEARCH, File, Source
from geomix.errors import InputError

LIST = "list_eval_partition.txt"
IMAGES = 25882 + 14218 + 12612
SOURCE = Source(
    files=(
        File(LIST, other_names=(f"Eval/{LIST}",), rows=IMAGES),
        File(
            "img.zip",
            other_names=("Img/img.zip",),
            counts={"*img/*.jpg": IMAGES},
            more=True,  # the table says which count
        ),
    ),
    licence=RESEARCH,
    by_hand=(
        "the authors' Drive folder, by way of "
        "mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html: "
        "Img/img.zip and Eval/list_eval_partition.txt, not the password-protected img_highres.zip"
    ),
)
HEADER = ["image_name", "item_id", "evaluation_status"]
ROLE_OF = {"train": "", "query": "query", "gallery": "gallery"}
GATES = {
    "train images": 25882,
    "train classes": 3997,
    "test classes": 3985,
    "query images": 14218,
    "gallery images": 12612,
}


def read_partition(path: Path) -> list[list[str]]:
    """Read the path, the item and the status of each image.

    The first line is the number of images, the second the header.

    Raises:
        InputError: If the number or the header does not fit, or a status is not train, query or
            gallery.
    """
    try:
        first, _, rest = path.read_text(encoding="utf-8-sig").partition("\n")
    except UnicodeDecodeError as error:
        found = f"no UTF-8 ({error.reason})"
        raise InputError(f"{path}: found {found}, expected the list as text") from None
    header, *rows = read_rows(path, rest, len(HEADER)) or [[]]
    if header != HEADER:
        found = f"second line {' '.join(header)!r}"
        raise InputError(f"{path}: found {found}, expected {' '.join(HEADER)!r}")
    if first.strip() != str(len(rows)):
        expected = f"{first.strip()[:80]!r}, its first line"
        raise InputError(f"{path}: found {len(rows)} images, expected {expected}")
    odd = next((row for row in rows if row[2] not in ROLE_OF or row[0].count("/") != 4), None)
    if odd:
        expected = f"img/<gender>/<category>/<item>/<file>, the item, {', '.join(ROLE_OF)}"
        raise InputError(f"{path}: found {' '.join(odd)}; expected {expected}")
    return rows


def read(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List In-Shop: gender -> category -> item; test has queries and a gallery.

    Args:
        raw: The folder of img.zip and list_eval_partition.txt.
        gates: The numbers of images and classes that train, query and gallery must have.

    Returns:
        Photographs; encoded by default. An id is the path that the list gives, a label the bare
        item: some items have images in two categories, and are one class all the same.

    Raises:
        InputError: If a file is missing or incomplete.
    """
    path, partition = raw_file(raw, "img.zip"), raw_file(raw, LIST)
    rows = [
        (
            image,
            item,
            *image.split("/")[1:3],
            "train" if status == "train" else "test",
            ROLE_OF[status],
        )
        for image, item, status in read_partition(partition)
    ]
    samples = pd.DataFrame(rows, columns=["id", "label", "gender", "category", "split", "role"])
    roles = {f"{role} images": int(samples["role"].eq(role).sum()) for role in ("query", "gallery")}
    check_counts(partition, count_parts(samples) | roles, gates)
    with open_archive(path) as archive:
        names = archive.names()
    top = find_top(path, names, "img")
    images = images_in(path, names, [f"{top}{image}" for image in samples["id"]])
    return Listing(samples, ("gender", "category"), images, form="encoded")
