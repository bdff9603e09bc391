"""GroceryStore: photographs of groceries in 3 kinds, 43 coarse and 81 fine classes."""

import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from geomix.data.packed import SCORED
from geomix.datasets.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    check_counts,
    find_top,
    images_in,
    read_rows,
    read_texts,
    require_columns,
)
from geomix.datasets.sources import File, Source
from geomix.errors import InputError

SOURCE = Source(
    files=(
        File(
            "GroceryStoreDataset-master.zip",
            urls=(
                "https://github.com/marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip",
            ),
            other_names=("GroceryStoreDataset-128px.zip", "GroceryStoreDataset.zip"),
            # GitHub packs a branch anew now and then, so no checksum of the archive lasts.
            counts={
                "*dataset/train/*.jpg": 2640,
                "*dataset/val/*.jpg": 296,
                "*dataset/test/*.jpg": 2485,
                "*dataset/train.txt": 1,
                "*dataset/val.txt": 1,
                "*dataset/test.txt": 1,
                "*dataset/classes.csv": 1,
            },
        ),
    ),
    licence="MIT",
    by_hand="https://github.com/marcusklasson/GroceryStoreDataset, Code, Download ZIP",
)
SIDE = 128  # pixels
LISTS = ("train.txt", "val.txt", "test.txt")
COLUMNS = ["Class ID (int)", "Class Name (str)", "Coarse Class ID (int)", "Coarse Class Name (str)"]
GATES = {
    "train images": 2640,
    "val images": 296,
    "test images": 2485,
    "kinds": 3,
    "coarse classes": 43,
    "classes": 81,
}


def find_zip(raw: Path) -> Path:
    """Find the only zip file of a raw folder; its name depends on where it was downloaded.

    Raises:
        InputError: If there is none or more than one.
    """
    paths = sorted(raw.glob("*.zip"))
    if len(paths) != 1:
        expected = "one from an earlier stage (dvc repro)"
        raise InputError(f"{raw}: found {len(paths)} zip files, expected {expected}")
    return paths[0]


def read_classes(place: str, text: str) -> dict[str, list[str]]:
    """Read classes.csv: the name of the class, the coarse id and its name, by fine id.

    Raises:
        InputError: If a column is missing.
    """
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    require_columns(place, table, COLUMNS)
    return {fine: rest for fine, *rest in table[COLUMNS].to_numpy().tolist()}


def assign_roles(samples: pd.DataFrame) -> pd.DataFrame:
    """Turn the official split of the images into roles, once the classes are split.

    Every class is in every official list, and shots of one list are near copies of each other. So
    classes held out are searched across lists: queries are the official test images, the gallery
    is the official train images, and the official val images are not used. Classes of train take
    the official train and val images; their test images are not used.

    Args:
        samples: The table, with the split of each image's class; an id begins with the official
            list.

    Returns:
        The table with split ("" for images not used) and role ("" in train).
    """
    official = samples["id"].str.partition("/")[0]
    held_out = samples["split"].isin(SCORED)
    unused = official.eq("test") & ~held_out | official.eq("val") & held_out
    split = samples["split"].mask(unused, "")
    role = official.map({"test": "query", "train": "gallery", "val": ""}).where(
        split.isin(SCORED), ""
    )
    return samples.assign(split=split, role=role)


def read(raw: Path, gates: Mapping[str, int] = GATES) -> Listing:
    """List GroceryStore: kind -> coarse -> class.

    Classes are split by us; `assign_roles` then uses the official split.

    Args:
        raw: The folder of the one archive, whatever its name and top folder.
        gates: The numbers of images, kinds, coarse classes and classes that it must have.

    Returns:
        Photographs; by default squares of 128 pixels, twice the side of the network that
        params.yaml trains on them: decoding files in each pass took a tenth of a training on the
        CPU. An id is the path that the lists give.

    Raises:
        InputError: If the archive is incomplete, or its lists do not fit classes.csv.
    """
    path = find_zip(raw)
    with open_archive(path) as archive:
        names = archive.names()
        top = find_top(path, names, LISTS[0])
        *lists, classes_text = read_texts(
            path, archive, [f"{top}{name}" for name in (*LISTS, "classes.csv")]
        )
    classes = read_classes(f"{path}/classes.csv", classes_text)
    rows = []
    for name, text in zip(LISTS, lists, strict=True):
        for image, fine, coarse in read_rows(f"{path}/{name}", text, 3, ","):
            label, coarse_id, coarse_name = classes.get(fine, ("", "", ""))
            if coarse != coarse_id or image.count("/") < 3:
                raise InputError(
                    f"{path}/{name}: found {image}, {fine}, {coarse}; "
                    "expected <list>/<kind>/<class>/<file> with the ids of classes.csv"
                )
            rows.append(
                {"id": image, "label": label, "kind": image.split("/")[1], "coarse": coarse_name}
            )
    samples = pd.DataFrame(rows, columns=["id", "label", "kind", "coarse"])
    official = samples["id"].str.partition("/")[0]
    found = {
        f"{name.removesuffix('.txt')} images": int(official.eq(name.removesuffix(".txt")).sum())
        for name in LISTS
    }
    levels = {"kinds": "kind", "coarse classes": "coarse", "classes": "label"}
    check_counts(
        path, found | {name: samples[column].nunique() for name, column in levels.items()}, gates
    )
    images = images_in(path, names, [f"{top}{image}" for image in samples["id"]])
    return Listing(samples, ("kind", "coarse"), images, side=SIDE, assign=assign_roles)
