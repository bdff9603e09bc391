"""Glyphs: letters of the DejaVu fonts that ship inside matplotlib, drawn here without a download.

Twelve faces of one font family, 32 x 32 grey, one class for each letter: real shapes, many
fine-grained classes and natural hard negatives (e-acute, e-grave, e-circumflex).
"""

import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.letters import LETTERS, SIDE, read_letters, write_letters
from geomix.datasets.listing import Listing
from geomix.datasets.sources import Source

LEVELS = ("script", "base")


def script_of(letter: str) -> str:
    """Return the script of a letter, the first word of its Unicode name."""
    return unicodedata.name(letter).split()[0]


def base_of(letter: str) -> str:
    """Return the letter without its marks, the first character of its canonical decomposition."""
    return unicodedata.normalize("NFD", letter)[0]


def write_glyphs(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Draw the data set: a sheet for each face, and letters.csv in the order of the tiles.

    Raises:
        InputError: As `letters.draw_letters`.
    """
    rows = [(letter, script_of(letter), base_of(letter)) for letter in LETTERS]
    return write_letters(folder, pd.DataFrame(rows, columns=["letter", *LEVELS]))


SOURCE = Source(
    licence="Bitstream Vera and DejaVu font licences (free use and redistribution)",
    write=write_glyphs,
    origin="DejaVu fonts inside matplotlib, drawn with FreeType",
)


def read(raw: Path) -> Listing:
    """List the drawn letters: script -> base letter -> letter; all faces of a letter together.

    Returns:
        Decoded grey images, uint8, shape (side, side, 1).

    Raises:
        InputError: If a file is missing or its pixels are not those of the manifest.
    """
    samples, images = read_letters(raw, LEVELS)
    return Listing(samples, LEVELS, lambda: enumerate(images), channels=1, side=SIDE)
