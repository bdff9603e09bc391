"""Read the drawn letters: sheets of data/raw/glyphs -> a table and its images."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from geomix.datasets.listing import Listing
from geomix.errors import InputError
from geomix.files import read_json

LEVELS = ("script", "base")


def untile(sheet: np.ndarray, side: int, count: int) -> np.ndarray:
    """Cut a sheet, filled row by row, into its square images.

    Args:
        sheet: Shape (rows * side, columns * side).
        side: Pixels.
        count: Images on the sheet; what is left over at its end is dropped.

    Returns:
        Shape (count, side, side).
    """
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    return (
        sheet.reshape(rows, side, columns, side)
        .swapaxes(1, 2)
        .reshape(rows * columns, side, side)[:count]
    )


def list_glyphs(raw: Path) -> Listing:
    """List the drawn letters: script -> base letter -> letter; class by class, the faces of a
    letter one after the other.

    Returns:
        Decoded grey images, uint8, shape (side, side, 1).

    Raises:
        InputError: If a file is missing or its pixels are not those of the manifest.
    """
    manifest = read_json(raw / "manifest.json")
    for name in ("letters.csv", *(f"{face}.png" for face in manifest["pixels_sha256"])):
        if not (raw / name).is_file():
            raise InputError(
                f"{raw / name}: not found; expected it from an earlier stage (dvc repro)"
            )
    letters = pd.read_csv(raw / "letters.csv", dtype=str, keep_default_na=False)
    if len(letters) != manifest["classes"] or list(letters.columns) != ["letter", *LEVELS]:
        raise InputError(
            f"{raw}/letters.csv: found {len(letters)} rows of {', '.join(letters.columns)}, expected {manifest['classes']}"
        )
    faces, columns = [], []
    for face, expected in manifest["pixels_sha256"].items():
        path = raw / f"{face}.png"
        try:
            with Image.open(path) as image:
                sheet = np.asarray(image)
        except OSError as error:
            raise InputError(f"{path}: not a whole image: {error}") from None
        images = untile(sheet, manifest["side"], len(letters))
        found = hashlib.sha256(images.tobytes()).hexdigest()
        if found != expected:
            raise InputError(
                f"{path}: found pixels of sha256 {found[:16]}..., expected {expected[:16]}..."
            )
        faces.append(face)
        columns.append(images)
    images = np.stack(columns, axis=1).reshape(-1, manifest["side"], manifest["side"], 1)
    table = pd.DataFrame(
        [
            {
                "id": f"U+{ord(row.letter):04X}-{face}",
                "label": row.letter,
                "script": row.script,
                "base": row.base,
            }
            for row in letters.itertuples()
            for face in faces
        ]
    )
    return Listing(
        table, LEVELS, lambda: enumerate(images), channels=1, form="decoded", side=manifest["side"]
    )
