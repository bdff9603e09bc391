"""Read Omniglot: handwritten characters of 50 alphabets, 20 drawings of each."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from geomix.data.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    archive_images,
    check_counts,
    find_top,
    raw_file,
    some,
    visible,
)
from geomix.errors import InputError

DRAWINGS = 20
SIDE = 32  # pixels; the originals have 105

# Alphabets and characters of the two archives, and the official split that each one is.
GATES: dict[str, dict[str, int]] = {
    "images_background": {"alphabets": 30, "characters": 964},
    "images_evaluation": {"alphabets": 20, "characters": 659},
}
SPLIT_OF = {"images_background": "train", "images_evaluation": "test"}


def list_drawings(path: Path, folder: str, gates: Mapping[str, int]) -> list[tuple[str, str]]:
    """List the drawings of one archive: `<folder>/<alphabet>/character<NN>/<NNNN>_<MM>.png`, in
    alphabetical order.

    Args:
        path: The archive.
        folder: Its folder.
        gates: Alphabets and characters there must be.

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
        raise InputError(
            f"{path}: found {some(odd)}, expected <alphabet>/<character>/<drawing>.png"
        )
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
        raise InputError(
            f"{path}: found {some(short)}; expected {DRAWINGS} drawings of each character"
        )
    return [(f"{top}{drawing}", drawing) for drawing in drawings]


def list_omniglot(raw: Path, gates: Mapping[str, Mapping[str, int]] = GATES) -> Listing:
    """List Omniglot: alphabet -> character; the background set is train, the evaluation set is
    test.

    Args:
        raw: The folder of images_background.zip and images_evaluation.zip.
        gates: Alphabets and characters each archive must have.

    Returns:
        Black strokes on white, grey; decoded by default. The order of rows does not depend on that
        of the archives.

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
    return Listing(pd.DataFrame(rows), ("alphabet",), archive_images(places), channels=1, side=SIDE)
