"""The user's own tables: one reader for CSV and .parquet, one rule for each mistake in them.

Every value becomes clean text (see `clean`). A refusal names the file, the line of a CSV or the row
of a .parquet, the column and the value. Columns are taken for what their names say; those that no
reader names are levels of the hierarchy, coarse to fine, and one whose name begins with an
underscore is left out.
"""

import csv
import difflib
import io
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from geomix.data.packed import ROLES, SPLITS
from geomix.datasets.listing import LEVELS, LINEAGE, OFFICIAL, join_names, name_levels
from geomix.errors import InputError

SEPARATORS = (",", ";", "\t")
KNOWN = ("path", "id", "label", *OFFICIAL, LINEAGE, LEVELS)  # columns that mean something
LOOSE = (*OFFICIAL, LINEAGE)  # of these, what may be left out and so is missed by a slip
CLOSE = 0.8  # similarity of two names, of which one may be a slip of the other
# What the tables of samples and of results call their own columns.
TAKEN = ("aspect", "sd", "float32", "float16", "int8", "lifted_float16", "lifted_int8")
LONGEST = 60  # characters of a value in a message
# The mark of byte order, spaces without width, and marks that turn the direction of a text.
UNSEEN = [0xFEFF, 0x200B, 0x2060, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
CLEANED = dict.fromkeys(UNSEEN) | dict.fromkeys(CONTROLS, " ")
EVERY_OTHER = "every other column is a level of the hierarchy, and a name with _ before it is none"


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        file: Its path.
        rows: All text; the index is the line of a row in a CSV, whose header is line 1, or its
            number in a .parquet, whose first row is 1.
    """

    file: Path
    rows: pd.DataFrame

    def place(self, row: int, column: str) -> str:
        """Say where a value is, by the position of its row."""
        unit = "row" if self.file.suffix == ".parquet" else "line"
        return f"{unit} {self.rows.index[row]}, column {column}"

    def refuse(self, row: int, column: str, expected: str, value: str | None = None) -> InputError:
        """Return the refusal of a value, that of the table unless another is given."""
        found = self.rows[column].iloc[row] if value is None else value
        return InputError(
            f"{self.file}: found {show(found)} in {self.place(row, column)}, expected {expected}"
        )


def clean(text: str) -> str:
    """Return a name as it is stored and compared: in NFC, on one line, no spaces around it.

    Any run of spaces, line breaks and control characters becomes one space. Marks that nobody sees
    go: of byte order, of a turned direction, and spaces without width.
    """
    return unicodedata.normalize("NFC", " ".join(text.translate(CLEANED).split()))


def show(value: str) -> str:
    """Return a value as a message shows it: quoted, on one line, cut where it is long."""
    return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}...")


def read_user_table(
    file: Path, key: str, required: Sequence[str], vectors: Sequence[str] = ()
) -> Table:
    """Read a table of the user.

    Args:
        file: A .parquet, or else a CSV: UTF-8, or UTF-16 with its mark; separated by commas,
            semicolons or tabs, whichever the header is.
        key: Its key in params.yaml, for the message.
        required: Columns; label is not where there is a lineage.
        vectors: Columns that are no text and are not read.

    Returns:
        The table; missing values of any kind are "". Values of path are as they are written.

    Raises:
        InputError: If the file is missing or no table, has columns that are nameless, there twice,
            missing, or a slip of one that has a meaning, or a row has fields beyond the header.
    """
    if not file.is_file():
        expected = f"a CSV or .parquet with columns {' and '.join(required)}"
        raise InputError(f"{key}: found no file {file}, expected {expected}")
    if file.suffix == ".parquet":
        names, columns, lines = _read_parquet(file, key, vectors)
    else:
        names, columns, lines = _read_csv(file)
    kept = [place for place, name in enumerate(names) if not name.startswith("_")]
    _check_names(file, [names[place] for place in kept], required)
    texts = {
        name: columns[place] if name == "path" else [clean(text) for text in columns[place]]
        for place, name in ((place, clean(names[place])) for place in kept)
    }
    return Table(file, pd.DataFrame(texts, pd.Index(lines), dtype=str))


def _check_names(file: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Check that columns have names, each once, and none that is nearly one with a meaning."""
    cleaned = [clean(name) for name in names]
    twice = sorted({name for name in cleaned if cleaned.count(name) > 1})
    if twice:
        raise InputError(f"{file}: found column {show(twice[0])} twice, expected each once")
    for name in names:
        meant = _read_meaning(name)
        if meant and name not in KNOWN:
            raise _refuse_slip(file, name, meant)
    needed = [name for name in required if name != "label" or LINEAGE not in names]
    missing = [name for name in needed if name not in names]
    if missing:
        slip = _find_slip(missing[0], cleaned)
        hint = f" (is it {show(slip)}?)" if slip else ""
        found = join_names(cleaned, 20)
        raise InputError(f"{file}: found columns {found}; expected {', '.join(missing)} too{hint}")
    for meant in LOOSE:
        slip = "" if meant in names else _find_slip(meant, cleaned)
        if slip:
            raise _refuse_slip(file, slip, meant)
    taken = [name for name in cleaned if name in TAKEN or name.endswith("_sd")]
    if taken:
        raise InputError(f"{file}: found column {taken[0]}, expected another name for a level")


def _read_meaning(name: str) -> str:
    """Return the column with a meaning that a name is but for case, signs and a plural; or ""."""
    folded = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())
    meanings = (one for one in (folded, folded.removesuffix("s")) if one in KNOWN)
    return next(meanings, "")


def _find_slip(meant: str, names: Sequence[str]) -> str:
    """Return the name without a meaning that is most like one with a meaning; "" if none is."""
    others = [name for name in names if name not in KNOWN]
    return next(iter(difflib.get_close_matches(meant, others, 1, CLOSE)), "")


def _refuse_slip(file: Path, name: str, meant: str) -> InputError:
    expected = f"{show(meant)}, or a name for a level that is less like it"
    return InputError(f"{file}: found column {show(name)}, expected {expected}")


Columns = tuple[list[str], list[list[str]], list[int]]  # names, values by column, lines of rows


def _read_csv(file: Path) -> Columns:
    """Read a CSV as it is written; blank rows at its end are none."""
    text = _decode(file)
    header, *records = _read_records(file, text, _find_separator(text)) or [(1, [])]
    while records and not any(map(str.strip, records[-1][1])):
        records.pop()
    names = header[1]
    if not any(map(str.strip, names)):
        raise InputError(f"{file}: found no table (no header), expected CSV in UTF-8")
    if not records:
        raise InputError(f"{file}: found no rows, expected one below the header for each sample")
    width = len(names)
    for line, record in records:
        beyond = [place for place in range(width, len(record)) if record[place].strip()]
        if beyond:
            found = f"{show(record[beyond[0]])} in line {line}, column {beyond[0] + 1}"
            expected = f"{width} fields as in the header (a value with a separator in quotes)"
            raise InputError(f"{file}: found {found}, expected {expected}")
    _tell_short(records, names)
    padded = [[*record, *[""] * width][:width] for _, record in records]
    columns = [list(column) for column in zip(*padded, strict=True)]
    named = _drop_nameless(file, names, columns)
    return [names[place] for place in named], [columns[place] for place in named], _lines(records)


def _tell_short(records: Sequence[tuple[int, list[str]]], names: Sequence[str]) -> None:
    """Say in one line how many rows have fewer fields than the header has names."""
    width = 1 + max(place for place, name in enumerate(names) if name.strip())
    short = [line for line, record in records if len(record) < width]
    if short:
        rows = "1 row has" if len(short) == 1 else f"{len(short):,} rows have"
        where = f"the first in line {short[0]}"
        what = "which count as blank"
        print(f"table: {rows} fewer fields than the header ({where}), {what}", file=sys.stderr)


def _lines(records: Sequence[tuple[int, list[str]]]) -> list[int]:
    return [line for line, _ in records]


def _drop_nameless(file: Path, names: Sequence[str], columns: Sequence[list[str]]) -> list[int]:
    """Return which columns to keep: those without a name and values are none.

    Raises:
        InputError: If one without a name has values, as the index has that pandas writes.
    """
    kept = []
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        nameless = not clean(name) or re.fullmatch(r"Unnamed: \d+", name)
        if nameless and any(map(str.strip, column)):
            found = f"a column without a name, column {place + 1}, with {show(column[0])} first"
            cause = "an index, which to_csv(index=False) leaves out?"
            raise InputError(f"{file}: found {found} ({cause}), expected a name for each column")
        if not nameless:
            kept.append(place)
    return kept


def _decode(file: Path) -> str:
    """Return the text of a CSV without the mark of its byte order."""
    content = file.read_bytes()
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = f"byte 0x{content[error.start]:02x} in line {line}"
        raise InputError(f"{file}: found no table ({found}), expected CSV in UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{file}: found no table (byte 0 in line {line}), expected CSV in UTF-8")
    return text


def _find_separator(text: str) -> str:
    """Return the separator by which the header has most names with a meaning."""

    def count(separator: str) -> int:
        """Count the names with a meaning where this separates them."""
        header = next(csv.reader(text.splitlines()[:1], delimiter=separator), [])
        return sum(clean(name).casefold() in KNOWN for name in header)

    return max(SEPARATORS, key=count)


def _read_records(file: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Read the records of a CSV with the line that each begins in; empty lines are none."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    records, line = [], 1
    try:
        for record in reader:
            if record:
                records.append((line, record))
            line = reader.line_num + 1
    except csv.Error as error:
        found = f"line {line}: {error}"
        raise InputError(f"{file}: found no table ({found}), expected CSV in UTF-8") from None
    return records


def open_parquet(path: Path, key: str) -> parquet.ParquetFile:
    """Open a .parquet.

    Raises:
        InputError: If it is missing or no .parquet.
    """
    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise InputError(f"{key}: found no file {path}, expected a .parquet") from None
    except (pa.ArrowInvalid, OSError) as error:
        found = f"no table ({one_line(error)})"
        raise InputError(f"{path}: found {found}, expected a .parquet") from None


@contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of pages that it cannot decode or verify into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        found = f"damaged data ({one_line(error)})"
        raise InputError(f"{path}: found {found}, expected a whole .parquet") from None


def one_line(error: Exception) -> str:
    """Return a message without line breaks."""
    return " ".join(str(error).split())


def _read_parquet(path: Path, key: str, vectors: Sequence[str]) -> Columns:
    """Read the columns of a .parquet that are not vectors, nor an index that pandas stored."""
    file = open_parquet(path, key)
    names = [
        name
        for name in file.schema_arrow.names
        if name not in vectors and not name.startswith("__index_level_")
    ]
    with refuse_damage(path):
        table = file.read(names)
    if not table.num_rows:
        raise InputError(f"{path}: found no rows, expected one for each sample")
    columns = [
        _as_text(path, name, column) for name, column in zip(names, table.columns, strict=True)
    ]
    kept = _drop_nameless(path, names, columns)
    lines = list(range(1, table.num_rows + 1))
    return [names[place] for place in kept], [columns[place] for place in kept], lines


def _as_text(path: Path, name: str, column: pa.ChunkedArray) -> list[str]:
    """Write a column as text: missing values and NaN as "", whole floats as integers."""
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        texts: list[str] = compute.fill_null(column.cast(pa.string()), "").to_pylist()
    except UnicodeDecodeError:
        found = f"damaged text in column {name}"
        raise InputError(f"{path}: found {found}, expected UTF-8") from None
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        found = f"{kind} in column {name}"
        raise InputError(f"{path}: found {found}, expected text or numbers") from None
    if pa.types.is_floating(column.type):
        texts = ["" if text == "nan" else text.removesuffix(".0") for text in texts]
    return texts


def check_filled(table: Table, key: str) -> None:
    """Check that each row has a label and a key.

    Raises:
        InputError: Naming the first that is blank, and the number of the others.
    """
    for column, what in ((key, f"the {key} of a sample"), ("label", "a class")):
        blank = np.flatnonzero(table.rows[column].str.strip().eq(""))
        if len(blank):
            more = f" (and {len(blank) - 1} more rows without one)" if len(blank) > 1 else ""
            raise table.refuse(int(blank[0]), column, f"{what}{more}")


def check_unique(table: Table, key: str) -> None:
    """Check that no key is there twice.

    Raises:
        InputError: Naming the first that is, and its two places.
    """
    keys = table.rows[key]
    again = np.flatnonzero(keys.duplicated())
    if len(again):
        first = int(np.flatnonzero(keys == keys.iloc[again[0]])[0])
        expected = f"it once, as it is in {table.place(first, key)}"
        raise table.refuse(int(again[0]), key, expected)


def settle_lineages(table: Table, required: Sequence[str]) -> Table:
    """Check the levels or lineages of a table, and write lineages where depths differ.

    A sample may be known only to some depth: then its levels are blank from there on, and so is
    its label. Or its path, as in a/b/c, is in a column lineage, in place of levels. Or the path of
    its levels, as in a/b, is in a column levels. A sample without a label is labelled by its path.

    Args:
        table: The table.
        required: Its columns that are neither split, role, lineage nor a level.

    Returns:
        The table. With a column lineage, which then all rows have, it has no levels.

    Raises:
        InputError: Naming the first name below a blank, or in a path that is blank or cannot be
            told from a path; or a class with several values of a level.
    """
    levels = name_levels(table.rows, required)
    for column in (LINEAGE, LEVELS):
        if column in table.rows and set(levels) - {column}:
            others = join_names(name for name in levels if name != column)
            found = f"columns {column} and {others}"
            raise InputError(
                f"{table.file}: found {found}, expected {column} alone or without it: {EVERY_OTHER}"
            )
    if LINEAGE in table.rows:
        rows = range(len(table.rows))
        paths = ["/".join(_read_path(table, row, LINEAGE)) for row in rows]
        return _with_lineages(table, levels, paths)
    if LEVELS in table.rows:
        return _expand_levels(table, required)
    _check_levels(table, levels)
    if not levels or table.rows["label"].ne("").all():
        return table
    names = [*levels, "label"]
    _check_slashes(table, names)
    tell_lineages("table", int(table.rows["label"].eq("").sum()), "row", "without a label")
    joined = ["/".join(filter(None, row)) for row in table.rows[names].to_numpy().tolist()]
    return _with_lineages(table, levels, joined)


def count_others(depths: Iterable[int]) -> int:
    """Count the samples whose depth is not that of most."""
    counts = Counter(depths)
    return counts.total() - max(counts.values())


def tell_lineages(kind: str, count: int, one: str, why: str, levels: str = "levels") -> None:
    """Say in one line that a data set of classes became one of lineages, and by how few samples."""
    what = one if count == 1 else f"{one}s"
    print(f"{kind}: {count:,} {what} {why}, so {levels} became lineages", file=sys.stderr)


def _with_lineages(table: Table, levels: Sequence[str], paths: Sequence[str]) -> Table:
    """Put lineages in the place of levels, and label by them what has no label."""
    rows = table.rows
    lineages = pd.Series(paths, rows.index, dtype=str)
    labels = rows["label"].where(rows["label"] != "", lineages) if "label" in rows else lineages
    kept = rows.drop(columns=list(levels))
    return replace(table, rows=kept.assign(label=labels, lineage=lineages))


def _expand_levels(table: Table, required: Sequence[str]) -> Table:
    """Read the paths in a column levels: as levels where all are equally long, else as lineages."""
    rows = range(len(table.rows))
    blank = table.rows[LEVELS].eq("").to_numpy()
    paths = [[] if blank[row] else _read_path(table, row, LEVELS) for row in rows]
    depths = {len(path) for path in paths}
    if len(depths) == 1:
        names = [f"level {number + 1}" for number in range(depths.pop())]
        columns = pd.DataFrame(paths, table.rows.index, names, dtype=str)
        split = replace(table, rows=table.rows.drop(columns=LEVELS).join(columns))
        return settle_lineages(split, required)
    _check_slashes(table, ["label"])
    tell_lineages("table", count_others(map(len, paths)), "row", "of another depth")
    labels = table.rows["label"].tolist()
    joined = [
        "/".join(filter(None, [*path, label])) for path, label in zip(paths, labels, strict=True)
    ]
    return _with_lineages(table, (LEVELS,), joined)


def _read_path(table: Table, row: int, column: str) -> list[str]:
    """Return the names in a path; a slash at its end is none, and no name may be blank."""
    names = [name.strip() for name in table.rows[column].iloc[row].rstrip("/ ").split("/")]
    if "" in names:
        raise table.refuse(row, column, "names with slashes between, as a/b/c")
    return names


def _check_levels(table: Table, levels: Sequence[str]) -> None:
    """Check that no name is below a blank, and that each class has one value of each level."""
    rows, columns = table.rows, [*levels, "label"]
    filled = np.array([rows[column].ne("") for column in columns]).T
    below = np.argwhere(filled[:, 1:] & ~filled[:, :-1])
    if len(below):
        row, blank = (int(place) for place in below[0])
        expected = f"nothing below the blank in column {columns[blank]}"
        raise table.refuse(row, columns[blank + 1], expected)
    for level in levels:
        first = rows["label"].map(rows.drop_duplicates("label").set_index("label")[level])
        other = np.flatnonzero(rows[level].ne(first) & rows["label"].ne(""))
        if len(other):
            row = int(other[0])
            label = rows["label"].iloc[row]
            before = int(np.flatnonzero(rows["label"] == label)[0])
            value = f"{show(rows[level].iloc[before])} of class {show(label)}"
            expected = f"{value} as in {table.place(before, level)}: {EVERY_OTHER}"
            raise table.refuse(row, level, expected)


def _check_slashes(table: Table, columns: Sequence[str]) -> None:
    """Check that names have no slash, which is what separates them in a path."""
    slashed = np.argwhere(np.array([table.rows[name].str.contains("/") for name in columns]).T)
    if len(slashed):
        row, column = (int(place) for place in slashed[0])
        expected = "no slash in names where depths differ, as they become paths"
        raise table.refuse(row, columns[column], expected)


def settle_splits(table: Table) -> Table:
    """Check the splits and roles of a table, and turn queries into roles of test.

    Args:
        table: Split is train, val, test or empty; role is query or gallery, or empty for a whole
            split. Without a column role, split may also be query or gallery: samples of test in
            that role.

    Returns:
        The table; a column split or role without any value is left out.

    Raises:
        InputError: Naming the first wrong value.
    """
    rows = table.rows
    splits = SPLITS if "role" in rows else (*SPLITS, *ROLES)
    for column, expected in zip(OFFICIAL, (splits, ROLES), strict=True):
        if column not in rows:
            continue
        unknown = np.flatnonzero(~rows[column].isin([*expected, ""]))
        if len(unknown):
            raise table.refuse(int(unknown[0]), column, f"{', '.join(expected)} or nothing")
    if "split" in rows and "role" not in rows:
        queried = rows["split"].isin(ROLES)
        role = rows["split"].where(queried, "")
        rows = rows.assign(split=rows["split"].mask(queried, "test"), role=role)
    empty = [column for column in OFFICIAL if column in rows and rows[column].eq("").all()]
    return replace(table, rows=rows.drop(columns=empty))
