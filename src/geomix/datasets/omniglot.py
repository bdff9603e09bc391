"""Omniglot: handwritten characters of 50 alphabets, 20 drawings of each."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from geomix.datasets.archives import open_archive, visible
from geomix.datasets.listing import (
    Listing,
    archive_images,
    check_counts,
    find_top,
    join_names,
    raw_file,
)
from geomix.datasets.sources import File, Source
from geomix.errors import InputError

DRAWINGS = 20
SIDE = 32  # pixels; the originals have 105
URLS = (
    "https://github.com/brendenlake/omniglot/raw/master/python",
    "https://raw.githubusercontent.com/brendenlake/omniglot/master/python",
)
SOURCE = Source(
    files=(
        File(
            "images_background.zip",
            urls=tuple(f"{url}/images_background.zip" for url in URLS),
            md5="68d2efa1b9178cc56df9314c21c6e718",
            counts={"*images_background/*/*/*.png": 964 * DRAWINGS},
            content=(
                "images_background/",
                "a0010054f796a6ce4a3177f43a0de49c9a47abe6bc7643630a3660cdf8cb513c",
            ),
        ),
        File(
            "images_evaluation.zip",
            urls=tuple(f"{url}/images_evaluation.zip" for url in URLS),
            md5="6b91aef0f799c5bb55b94e3f2daec811",
            counts={"*images_evaluation/*/*/*.png": 659 * DRAWINGS},
            content=(
                "images_evaluation/",
                "7e5a92e93f2b659d954a8ae86386252b0e20faaf14d5d959db6f60c82dd2b901",
            ),
        ),
    ),
    licence="MIT",
    by_hand="https://github.com/brendenlake/omniglot, folder python",
)

# Alphabets and characters of the two archives, and the official split that each one holds.
GATES: dict[str, dict[str, int]] = {
    "images_background": {"alphabets": 30, "characters": 964},
    "images_evaluation": {"alphabets": 20, "characters": 659},
}
SPLIT_OF = {"images_background": "train", "images_evaluation": "test"}


def list_drawings(path: Path, folder: str, gates: Mapping[str, int]) -> list[tuple[str, str]]:
    """List the drawings of one archive in alphabetical order.

    A member is named `<folder>/<alphabet>/character<NN>/<NNNN>_<MM>.png`.

    Args:
        path: The archive.
        folder: Its folder.
        gates: The numbers of alphabets and characters that it must have.

    Returns:
        For each drawing the member's name, and the part of it after the folder.

    Raises:
        InputError: If the archive is incomplete.
    """
    with open_archive(path) as archive:
        names = archive.names()
    top = f"{find_top(path, names, folder)}{folder}/"
    drawings = sorted(
        name.removeprefix(top)
        for name in visible(names)
        if name.startswith(top) and name.endswith(".png")
    )
    odd = [drawing for drawing in drawings if drawing.count("/") != 2]
    if odd:
        expected = "<alphabet>/<character>/<drawing>.png"
        raise InputError(f"{path}: found {join_names(odd)}, expected {expected}")
    characters = Counter(drawing.rpartition("/")[0] for drawing in drawings)
    found = {
        "alphabets": len({character.partition("/")[0] for character in characters}),
        "characters": len(characters),
    }
    check_counts(path, found, gates)
    short = [
        f"{count} of {character}" for character, count in characters.items() if count != DRAWINGS
    ]
    if short:
        expected = f"{DRAWINGS} drawings of each character"
        raise InputError(f"{path}: found {join_names(short)}; expected {expected}")
    return [(f"{top}{drawing}", drawing) for drawing in drawings]


def read(raw: Path, gates: Mapping[str, Mapping[str, int]] = GATES) -> Listing:
    """List Omniglot: alphabet -> character; the background set is train, the other one test.

    Args:
        raw: The folder of images_background.zip and images_evaluation.zip.
        gates: The numbers of alphabets and characters that each archive must have.

    Returns:
        Black strokes on white, grey; decoded by default. The order of rows does not depend on the
        order within the archives.

    Raises:
        InputError: If an archive is missing or incomplete.
    """
    rows, places = [], []
    for folder, split in SPLIT_OF.items():
        path = raw_file(raw, f"{folder}.zip")
        for member, drawing in list_drawings(path, folder, gates[folder]):
            label = drawing.rpartition("/")[0]
            name = drawing.removesuffix(".png")
            rows.append(
                {"id": name, "label": label, "alphabet": label.partition("/")[0], "split": split}
            )
            places.append((path, member))
    images = archive_images(places)
    return Listing(pd.DataFrame(rows), ("alphabet",), images, channels=1, side=SIDE, unit="branch")
