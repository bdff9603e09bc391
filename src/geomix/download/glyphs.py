"""Draw the embedded data set: letters of the DejaVu fonts that ship inside matplotlib.

Twelve faces of one font family, 32 x 32 grey, one class for each letter: real shapes, many
fine-grained classes and natural hard negatives (e-acute, e-grave, e-circumflex), without a
download. `letters.txt` lists the letters: those that all faces have (categories Ll, Lu, Lt, Lo;
five scripts), less every letter whose drawing equals an earlier one's in some face (Latin A, Greek
Alpha, Cyrillic A). The list is kept, not derived, so that the data set does not change with the
Unicode tables of Python; `select_letters` is the rule behind it, and a test compares the two.
"""

import hashlib
import unicodedata
from importlib.resources import files
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from geomix.errors import InputError
from geomix.files import new_folder, write_json

FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
)
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
CATEGORIES = ("Ll", "Lu", "Lt", "Lo")
SIDE = 32  # pixels
COLUMNS = 38  # letters in a row of a sheet: 1,216 of them make 32 full rows
POINTS, BASELINE = 20, 23  # at this size, on this row of pixels, every letter of every face fits


def fonts_folder() -> Path:
    """Give the folder of the DejaVu fonts inside matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def read_letters() -> list[str]:
    """Read the letters of the data set, in the order of their classes."""
    text = files("geomix.download").joinpath("letters.txt").read_text(encoding="utf-8")
    return [letter for line in text.splitlines() for letter in line]


def script_of(letter: str) -> str:
    """Give the script of a letter, the first word of its Unicode name."""
    return unicodedata.name(letter).split()[0]


def base_of(letter: str) -> str:
    """Give the letter without its marks, in its own case: the first character of its canonical decomposition."""
    return unicodedata.normalize("NFD", letter)[0]


def open_faces(folder: Path) -> dict[str, Path]:
    """Give the file of each face.

    Raises:
        InputError: Naming the fonts that are not there.
    """
    paths = {face: folder / f"{face}.ttf" for face in FACES}
    missing = [face for face, path in paths.items() if not path.is_file()]
    if missing:
        raise InputError(
            f"{folder}: found no font {', '.join(missing)}; expected the 12 DejaVu faces of matplotlib"
        )
    return paths


def draw_face(path: Path, letters: list[str]) -> np.ndarray:
    """Draw letters in one face, white on black, as they stand in a line of text: on one baseline,
    centred sideways.

    Args:
        path: A TrueType file.
        letters: L letters.

    Returns:
        Grey images, uint8, shape (L, SIDE, SIDE).

    Raises:
        InputError: Naming the letters that the font lacks.
    """
    known = FT2Font(path).get_charmap()
    missing = [f"{letter} (U+{ord(letter):04X})" for letter in letters if ord(letter) not in known]
    if missing:
        raise InputError(
            f"{path.name}: found no letter {', '.join(missing)}; expected all {len(letters)} of the data set"
        )
    font = ImageFont.truetype(path, POINTS, layout_engine=ImageFont.Layout.BASIC)
    images = np.zeros((len(letters), SIDE, SIDE), np.uint8)
    for image, letter in zip(images, letters, strict=True):
        canvas = Image.new("L", (SIDE, SIDE), 0)
        pen = ImageDraw.Draw(canvas)
        left, _, right, _ = (
            int(edge) for edge in pen.textbbox((0, 0), letter, font=font, anchor="ls")
        )
        pen.text(
            ((SIDE - (right - left)) // 2 - left, BASELINE),
            letter,
            fill=255,
            font=font,
            anchor="ls",
        )
        image[:] = np.asarray(canvas)
    return images


def draw_glyphs(folder: Path, letters: list[str]) -> dict[str, np.ndarray]:
    """Draw all letters in all faces.

    Returns:
        For each face its images, uint8, shape (L, SIDE, SIDE).

    Raises:
        InputError: If a font or a letter is missing, or two letters have the same drawing in a
            face.
    """
    drawings = {face: draw_face(path, letters) for face, path in open_faces(folder).items()}
    for face, images in drawings.items():
        seen: dict[bytes, str] = {}
        for letter, image in zip(letters, images, strict=True):
            twin = seen.setdefault(image.tobytes(), letter)
            if twin != letter:
                raise InputError(
                    f"{face}: found one drawing for {twin} and {letter}, expected another for each class"
                )
    return drawings


def select_letters(folder: Path) -> list[str]:
    """Choose the letters of the data set from the fonts: the rule by which letters.txt was made."""
    paths = open_faces(folder)
    common = set.intersection(*(set(FT2Font(path).get_charmap()) for path in paths.values()))
    letters = [
        chr(code) for code in sorted(common) if unicodedata.category(chr(code)) in CATEGORIES
    ]
    letters = [letter for letter in letters if script_of(letter) in SCRIPTS]
    drawings = [draw_face(path, letters) for path in paths.values()]
    seen: list[set[bytes]] = [set() for _ in paths]
    chosen = []
    for index, letter in enumerate(letters):
        keys = [images[index].tobytes() for images in drawings]
        if not any(key in known for key, known in zip(keys, seen, strict=True)):
            chosen.append(letter)
            for key, known in zip(keys, seen, strict=True):
                known.add(key)
    return chosen


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay images out on one sheet, row by row; the last row is filled up with black.

    Args:
        images: Shape (L, H, W).
        columns: Images in a row of the sheet.

    Returns:
        The sheet, shape (ceil(L / columns) * H, columns * W).
    """
    count, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width), images.dtype)
    sheet[:count] = images
    return (
        sheet.reshape(rows, columns, height, width)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width)
    )


def save_glyphs(out: Path) -> None:
    """Draw the data set into a folder: a sheet for each face, letters.csv in the order of the
    tiles, manifest.json.

    Raises:
        InputError: As `draw_glyphs`; nothing is written then.
    """
    letters = read_letters()
    drawings = draw_glyphs(fonts_folder(), letters)
    rows = [
        {"letter": letter, "script": script_of(letter), "base": base_of(letter)}
        for letter in letters
    ]
    with new_folder(out) as folder:
        for face, images in drawings.items():
            Image.fromarray(tile(images, COLUMNS)).save(folder / f"{face}.png")
        pd.DataFrame(rows).to_csv(folder / "letters.csv", index=False)
        manifest = {
            "dataset": "glyphs",
            "source": "DejaVu fonts inside matplotlib, drawn with FreeType",
            "licence": "Bitstream Vera and DejaVu font licences (free use and redistribution)",
            "classes": len(letters),
            "images": len(letters) * len(drawings),
            "side": SIDE,
            "pixels_sha256": {
                face: hashlib.sha256(images.tobytes()).hexdigest()
                for face, images in drawings.items()
            },
        }
        write_json(folder / "manifest.json", manifest)
