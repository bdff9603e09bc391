"""Accents: the letters of glyphs that grow out of others: e, e-dot-below, e-dot-below-circumflex.

A letter's ancestors are the letters of the set whose canonical decomposition (NFD) begins its own:
e + dot below begins e + dot below + circumflex. So inner nodes are letters too. There are many
roots, and a letter with a mark can be one: the bare Greek alpha is not in the set, because it
looks like a Latin letter. Letters without any relative are left out, as they have nothing to find.
Images are drawn as those of glyphs.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.letters import LETTERS, SIDE, read_letters, write_letters
from geomix.datasets.listing import Listing, ancestors
from geomix.datasets.sources import Source


def find_lineages(letters: Iterable[str]) -> dict[str, str]:
    """Find the lineage of each letter that has an ancestor or a descendant among the others.

    Returns:
        By letter, in the given order, the path of letters from its root to itself, as in e/ẹ/ệ.
    """
    marks = {unicodedata.normalize("NFD", letter): letter for letter in letters}
    paths = {
        letter: "/".join(
            marks[code[:count]] for count in range(1, len(code) + 1) if code[:count] in marks
        )
        for code, letter in marks.items()
    }
    parents = {path for other in paths.values() for path in ancestors(other)}
    return {letter: path for letter, path in paths.items() if "/" in path or path in parents}


def write_accents(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Draw the letters that have a relative, with their lineages, as glyphs draws its own.

    Raises:
        InputError: As `letters.draw_letters`.
    """
    rows = list(find_lineages(LETTERS).items())
    return write_letters(folder, pd.DataFrame(rows, columns=["letter", "lineage"]))


SOURCE = Source(
    licence="Bitstream Vera and DejaVu font licences (free use and redistribution)",
    write=write_accents,
    origin="DejaVu fonts inside matplotlib, drawn with FreeType",
)


def read(raw: Path) -> Listing:
    """List the drawn letters with their lineages; all faces of a letter are at its node.

    Returns:
        Decoded grey images, uint8, shape (side, side, 1). Leaves are held out.

    Raises:
        InputError: If a file is missing or its pixels are not those of the manifest.
    """
    samples, images = read_letters(raw, ["lineage"])
    return Listing(samples, (), lambda: enumerate(images), channels=1, side=SIDE, unit="leaf")
