"""Odd tables, folders and params files at random, from their files to the page of a study.

    python -m bench.random_inputs 5000

Each ends in a page or in a refusal (InputError). A traceback is a defect of ours, and so is a `nan`
on a page. Of one packed set in ten the page is drawn, and networks are trained for a page of a
study. The inputs are the same on every run.
"""

import csv
import io
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from bench import ROOT
from bench.random_studies import report_study
from geomix.config.read import load
from geomix.config.sections import Classes, Download, Embeddings, Folder, Images, Split
from geomix.config.stages import DownloadParams, PreprocessParams
from geomix.data.packed import SPLITS
from geomix.datasets import load_dataset
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.preprocess.pack import pack

KINDS = ("vectors", "table", "folders", "params")
ODD = (
    *("", " ", "a ", "\u3000e", "\u00a0", "e\u0301", "\u00e9", "x|y", "Ba$$in", "$x_1$", "a\nb"),
    *("<b>", "`c`", "\U0001f642", "\u6f22\u5b57", "\u05e9\u05dc\u05d5\u05dd", "_", "001", "1.0"),
    *("nan", "NA", "None", "null", "-1", "a/b", "/", "..", "=1+1", '"q"', "a,b", "a;b", "\t", "c0"),
    *("train", "query", "Train", "inf", "True", "\ufeff", "\u202e", "x" * 300, "a\\b"),
)
HEADERS = (
    *ODD[:12],
    *("Split", " label", "labels", "role ", "_note", "Unnamed: 0", "aspect", "id", "label", "path"),
    *("split", "images", "classes", "vectors", "lineage", "levels"),
)
WHOLE = 10  # of the pictures that picture_files lists first
NOT_A_NUMBER = re.compile(r"(?<![\w-])nan(?![\w-])", re.IGNORECASE)
VALUES = (
    *(
        "",
        "null",
        "[]",
        "{}",
        "-1",
        "0",
        "1e999",
        ".nan",
        "yes",
        "2020-13-45",
        "'",
        '"',
        "&a",
        "*a",
    ),
    *("!!python/object:os.system a", "{<<: {}}", "|", "[1, 2", "1_000", "9" * 40, "0o9", "? a"),
    *("\t", "\u00e9", "\0", "{a: }", "[[[[[[[[", "glyphs", "auto", "true", "[0, 0]", "1.5", "%TAG"),
)


@dataclass(frozen=True)
class Table:
    """A table as it stands in a file."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Settings:
    """How a data set is split and packed."""

    split: Split
    images: Images
    classes: Classes


@cache
def picture_files() -> tuple[tuple[str, bytes], ...]:
    """Return files of pictures, whole and broken, with their suffixes."""
    random = np.random.default_rng(0)
    files = []
    for suffix, kind, mode, shape in (
        (".png", "PNG", "RGB", (9, 7)),
        (".png", "PNG", "L", (1, 1)),
        (".PNG", "PNG", "RGBA", (3, 40)),
        (".jpg", "JPEG", "RGB", (16, 12)),
        (".jpeg", "JPEG", "CMYK", (8, 8)),
        (".gif", "GIF", "P", (5, 5)),
        (".tif", "TIFF", "RGB", (6, 6)),
        (".webp", "WEBP", "RGB", (8, 4)),
        (".bmp", "BMP", "1", (4, 4)),
        (".png", "PNG", "I;16", (6, 5)),
    ):
        file = io.BytesIO()
        pixels = random.integers(0, 255, (*shape, 3)).astype(np.uint8)
        image = Image.fromarray(pixels)
        if mode == "I;16":
            image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) << 8)  # their full range
        else:
            image = image.convert(mode)
        image.save(file, kind)
        files.append((suffix, file.getvalue()))
    whole = files[0][1]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    files += [(".png", whole[:40]), (".png", b""), (".jpg", whole), (".png", bytes(flipped))]
    return (*files, (".png", b"no picture"), (".txt", b"text"), ("", b"x"), (".heic", b"ftyp"))


@st.composite
def draw_settings(draw: st.DrawFn) -> Settings:
    """Draw shares, limits on classes and how pictures are packed."""
    shares = draw(st.sampled_from([(0.4, 0.3, 0.3), (0.5, 0.25, 0.25), (0.2, 0.2, 0.2)]))
    split = Split(
        seed=draw(st.integers(0, 3)),
        unit=draw(st.sampled_from(["auto", "auto", "class", "leaf", "branch"])),
        **dict(zip(("train", "val", "test"), shares, strict=True)),
    )
    images = Images(
        form=draw(st.sampled_from(["auto", "auto", "decoded", "encoded"])),
        side=draw(st.sampled_from([None, None, None, 8])),
        broken=draw(st.sampled_from([0, 100])),
        duplicates=draw(st.sampled_from(["keep", "keep", "drop", "refuse"])),
    )
    smallest, largest = draw(st.sampled_from([(1, None), (2, None), (2, 2), (3, 4)]))
    return Settings(
        split,
        images,
        Classes(
            smallest_class=smallest,
            largest_class=largest,
            below=draw(st.sampled_from(["refuse", "drop", "gallery"])),
        ),
    )


@st.composite
def draw_tables(draw: st.DrawFn, key: str) -> Table:
    """Draw a table that is right but for a few cells, names and lines.

    Args:
        draw: Of hypothesis.
        key: Its column of names, path or id.
    """
    enough = draw(st.sampled_from([9, 9, 9, 1]))
    each = draw(
        st.lists(
            st.sampled_from([1, 2, 3, 4] if enough == 1 else [2, 3, 6]),
            min_size=enough,
            max_size=12,
        )
    )
    odd = draw(st.lists(st.sampled_from(ODD), max_size=draw(st.sampled_from([0, 0, 1, 3]))))
    names = [odd[n] if n < len(odd) else f"c{n}" for n in range(len(each))]
    labels = [name for name, count in zip(names, each, strict=True) for _ in range(count)]
    number = {name: place for place, name in enumerate(names)}
    columns = {"label": labels}
    if key == "path" or draw(st.booleans()):
        columns[key] = [f"{row}" for row in range(len(labels))]
    more = draw(st.sampled_from([set(), set(), {"family"}, {"lineage"}, {"levels"}]))
    more = more | draw(st.sampled_from([set(), set(), {"split"}, {"split", "role"}, {"role"}]))
    parts = ["train", "val", "test", "test"] * 3
    if draw(st.sampled_from([False, False, True])):
        parts = draw(st.lists(st.sampled_from([*SPLITS, ""]), min_size=12, max_size=12))
    makers: dict[str, Callable[[int, str], str]] = {
        "split": lambda row, name: parts[number[name] % 12],
        "role": lambda row, name: ("query", "gallery")[row % 2],
        "family": lambda row, name: f"f{number[name] // 2}",
        "lineage": lambda row, name: f"f{number[name] // 2}/{name}",
        "levels": lambda row, name: f"f{number[name] // 4}/g{number[name] // 2}",
    }
    for column in sorted(more):
        columns[column] = [makers[column](row, name) for row, name in enumerate(labels)]
    header, rows = list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
        spoil(draw, header, rows)
    return Table(tuple(header), tuple(map(tuple, rows)))


def spoil(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> None:
    """Spoil a cell, a name, a line or a column of a table."""
    how = draw(st.sampled_from(["cell", "cell", "name", "longer", "shorter", "again", "column"]))
    row = draw(st.integers(0, len(rows) - 1)) if rows else 0
    if how == "cell" and rows and rows[row]:
        rows[row][draw(st.integers(0, len(rows[row]) - 1))] = draw(st.sampled_from(ODD))
    elif how == "name":
        header[draw(st.integers(0, len(header) - 1))] = draw(st.sampled_from(HEADERS))
    elif how == "longer" and rows:
        rows[row].append(draw(st.sampled_from(ODD)))
    elif how == "shorter" and rows and rows[row]:
        rows[row].pop()
    elif how == "again" and rows:
        rows.append(list(rows[row]))
    elif how == "column":
        header.append(draw(st.sampled_from(HEADERS)))
        for line in rows:
            line.append(draw(st.sampled_from(ODD)))


def write_csv(draw: st.DrawFn, table: Table, path: Path) -> None:
    """Write a table as CSV, with a separator and an encoding of any program."""
    text = io.StringIO(newline="")
    separator = draw(st.sampled_from([",", ",", ";", "\t"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerows([table.header, *table.rows])
    encodings = ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]
    encoding = draw(st.sampled_from(encodings))
    content = text.getvalue().encode(encoding, "replace")
    cut = draw(st.sampled_from([0] * 9 + [1, 7]))
    path.write_bytes(content[: len(content) - cut])


def write_parquet(draw: st.DrawFn, table: Table, path: Path, vectors: np.ndarray | None) -> None:
    """Write a table as .parquet, perhaps with vectors, and with labels of other types."""
    count = len(table.rows)
    kind = draw(st.sampled_from(["text", "text", "numbers", "floats", "missing", "dictionary"]))
    arrays: dict[str, Any] = {}
    for place, name in enumerate(table.header):
        values: list[Any] = [(*row, *[""] * (place + 1))[place] for row in table.rows]
        array = pa.array(values, pa.string())
        if name == "label" and kind == "numbers":
            array = pa.array([hash_label(value) for value in values], pa.int64())
        elif name == "label" and kind == "floats":
            array = pa.array([hash_label(value) or np.nan for value in values], pa.float64())
        elif name == "label" and kind == "missing":
            array = pa.array([value or None for value in values], pa.string())
        elif kind == "dictionary":
            array = array.dictionary_encode()
        arrays[name] = array
    if vectors is not None:
        lists = [vector.tolist() for vector in vectors[:count]]
        arrays["vector"] = pa.array(lists, pa.list_(pa.float32()))
    parquet.write_table(pa.table(arrays), path)


def hash_label(text: str) -> int:
    """Return a small number for a label, the same on every run."""
    return sum(text.encode()) % 7


@st.composite
def draw_vectors(draw: st.DrawFn, folder: Path) -> DownloadParams:
    """Draw vectors with their table, and write both."""
    table = draw(draw_tables("id"))
    count = max(1, len(table.rows) + draw(st.sampled_from([0, 0, 0, 0, 1])))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    vectors = random.standard_normal((count, draw(st.sampled_from([1, 2, 5])))).astype(np.float32)
    if draw(st.booleans()):
        vectors[:] = vectors[0]  # all the same
    if draw(st.sampled_from([False] * 9 + [True])):
        vectors[0, 0] = np.nan
    form = draw(st.sampled_from(["csv", "csv", "parquet beside", "parquet"]))
    if form == "parquet":
        write_parquet(draw, table, folder / "vectors.parquet", vectors)
        return user(embeddings=Embeddings(path=str(folder / "vectors.parquet"), table=None))
    np.save(folder / "vectors.npy", vectors)
    name = f"labels.{form.split()[0]}"
    if form == "csv":
        write_csv(draw, table, folder / name)
    else:
        write_parquet(draw, table, folder / name, None)
    return user(embeddings=Embeddings(path=str(folder / "vectors.npy"), table=name))


@st.composite
def draw_picture_table(draw: st.DrawFn, folder: Path) -> DownloadParams:
    """Draw pictures with a table of them, and write both."""
    table = draw(draw_tables("path"))
    files = picture_files()
    place = table.header.index("path") if "path" in table.header else -1
    whole = draw(st.booleans())
    rows = []
    for row in table.rows:
        cells = list(row)
        suffix, content = files[draw(st.integers(0, WHOLE - 1 if whole else len(files) - 1))]
        if 0 <= place < len(cells) and cells[place].isdigit():
            name = f"{draw(st.sampled_from(['', '', 'in/', 'é/']))}{cells[place]}{suffix}"
            cells[place] = name if draw(st.booleans()) else name.replace("/", "\\")
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        rows.append(tuple(cells))
    write_csv(draw, Table(table.header, tuple(rows)), folder / "table.csv")
    return user(folder=Folder(path=str(folder), table="table.csv"))


@st.composite
def draw_folders(draw: st.DrawFn, folder: Path) -> DownloadParams:
    """Draw class folders with pictures, other files and links, and write them."""
    files = picture_files()
    whole = draw(st.booleans())
    plain = draw(st.booleans())  # names and numbers as they should be, so that more is packed
    for number in range(9 if plain else draw(st.sampled_from([0, 2, 8, 8, 9]))):
        odd = not plain and draw(st.sampled_from([False, False, False, True]))
        name = draw(st.sampled_from(ODD)) if odd else f"c{number}"
        place = folder / name.replace("\0", "").strip("/")
        if not is_inside(place, folder) or place.is_file():
            continue
        for picture in range(draw(st.sampled_from([2, 3, 3, 4] if plain else [0, 2, 3, 3, 4]))):
            deeper = draw(st.sampled_from([*[""] * 9, "in", ".hidden", "@eaDir", "in/deep"]))
            suffix, content = files[draw(st.integers(0, WHOLE - 1 if whole else len(files) - 1))]
            file = place / deeper / f"{number} {picture}{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if draw(st.sampled_from([False] * 9 + [True])) and place.is_dir():
            target = draw(st.sampled_from(["nowhere", str(folder), "."]))
            (place / "link").unlink(missing_ok=True)  # a name may be drawn twice
            (place / "link").symlink_to(target)
    return user(folder=Folder(path=str(folder), table=None))


def is_inside(place: Path, folder: Path) -> bool:
    """Say whether a folder with this name can be made in another."""
    return place != folder and ".." not in place.parts and len(place.name.encode()) < 256


def user(folder: Folder | None = None, embeddings: Embeddings | None = None) -> DownloadParams:
    """Return params that name what a person brings."""
    return DownloadParams(
        download=Download(mirror=None),
        folder=folder or Folder(path=None, table=None),
        embeddings=embeddings or Embeddings(path=None, table=None),
    )


@st.composite
def draw_params(draw: st.DrawFn) -> bytes:
    """Draw a params.yaml with a few lines that are spoiled."""
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        line, value = lines[number], draw(st.sampled_from(VALUES))
        how = draw(
            st.sampled_from(["value", "value", "value", "drop", "again", "indent", "odd", "cut"])
        )
        if how == "value":
            lines[number] = f"{line.partition(':')[0]}: {value}\n"
        elif how == "drop":
            del lines[number]
        elif how == "again":
            lines.insert(number, line)
        elif how == "indent":
            lines[number] = f" {line}"
        elif how == "odd":
            lines.insert(number, f"{value}\n")
        else:
            lines[number:] = [line[: len(line) // 2]]
    return "".join(lines).encode()


def run_data(kind: str, params: DownloadParams, chosen: Settings, out: Path, page: bool) -> str:
    """Take what a person brings from its files to the packed set, and to pages on request.

    Returns:
        refused, packed, drawn (a page of the data set) or trained (a page of a study too).

    Raises:
        AssertionError: If a page has a number that is none.
    """
    name = "embeddings" if kind == "vectors" else "folder"
    try:
        with redirect_stderr(io.StringIO()):
            module = load_dataset(name)
            obtain(name, module.SOURCE, params, out / "raw")
            listing = module.read(out / "raw")
            pack(name, listing, out / "packed", chosen.split, chosen.images, chosen.classes)
    except InputError:
        return "refused"
    if not page:
        return "packed"
    from geomix.report.dataset import build_dataset

    names = (out / "packed" / "samples.csv").read_text(encoding="utf-8")
    require_numbers(build_dataset(out / "packed"), names)
    study = report_study(out / "packed", out / "study", vectors=kind == "vectors")
    require_numbers(study, names)
    return "trained" if study else "drawn"


def require_numbers(files: Mapping[str, bytes], names: str) -> None:
    """Look for numbers that are none in pages and tables, unless a sample has such a name.

    Details at the end of a page name all settings, and are left out.

    Raises:
        AssertionError: If there is one.
    """
    if NOT_A_NUMBER.search(names):
        return
    for file, content in files.items():
        if file.endswith((".md", ".csv")):
            text = content.decode().partition("<details>")[0]
            assert not NOT_A_NUMBER.search(text), file


def run_params(content: bytes, folder: Path) -> str:
    """Read a params.yaml as stages do; return refused or read."""
    path = folder / "params.yaml"
    path.write_bytes(content)
    try:
        load(PreprocessParams, path=path)
    except InputError:
        return "refused"
    return "read"


def run_inputs(kind: str, count: int, pages: int = 10) -> Counter[str]:
    """Run inputs of one kind, always the same ones, and count how they end.

    Args:
        kind: vectors, table, folders or params.
        count: Of inputs.
        pages: A page is drawn of one packed data set in this many.

    Raises:
        Exception: Whatever an input leads to that is no refusal, with the smallest such input.
    """
    ends: Counter[str] = Counter()
    drawers = {"vectors": draw_vectors, "table": draw_picture_table, "folders": draw_folders}

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run_one(data: st.DataObject) -> None:
        folder = Path(tempfile.mkdtemp(prefix="geomix-"))
        try:
            if kind == "params":
                ends[run_params(data.draw(draw_params()), folder)] += 1
                return
            (folder / "own").mkdir()
            params = data.draw(drawers[kind](folder / "own"))
            chosen = data.draw(draw_settings())
            page = (ends["packed"] + ends["drawn"] + ends["trained"]) % pages == 0
            ends[run_data(kind, params, chosen, folder, page)] += 1
        finally:
            shutil.rmtree(folder)

    run_one()
    return ends


def main() -> None:
    """Run the inputs and print how they ended."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for number, kind in enumerate(KINDS):
        share = count // len(KINDS) + (number < count % len(KINDS))
        ends = run_inputs(kind, share)
        print(
            f"{kind}: {share} inputs, {', '.join(f'{n} {end}' for end, n in sorted(ends.items()))}"
        )


if __name__ == "__main__":
    main()
