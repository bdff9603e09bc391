"""Store the user's own vectors: a .npy with a table of labels, or one .parquet -> vectors.npy, table.csv, manifest.json."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from geomix.download.folder import read_csv, settle_splits, some
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json

VECTOR = "vector"  # column of lists in a .parquet; or else v0, v1, ...
COLUMNS = ("id", "label")
KINDS = ("float16", "float32", "float64")
BLOCK = 2**22  # numbers checked or copied at a time


def save_embeddings(path: Path, table: str | None, out: Path) -> None:
    """Store the user's own vectors, with the precision they came in, and their labels.

    Args:
        path: A .npy of N vectors, float16, float32 or float64 of shape (N, D); or a .parquet with a
            column `vector` of lists of as many floats, or columns v0, v1, ... of floats, beside
            label and the other columns of a table.
        table: Of a .npy: the CSV or .parquet, in the same folder, with a row for each vector:
            label, optionally id, levels (coarse to fine), split and role (as in
            `folder.read_table`). None for a .parquet.
        out: Where vectors.npy, table.csv and manifest.json shall be.

    Raises:
        InputError: If a file is missing or of another form, a number is not finite in float32, the
            table has other than N rows, or a value of it is no good; nothing is written then.
    """
    if not path.is_file() or path.suffix not in (".npy", ".parquet"):
        raise InputError(
            f"embeddings.path: found no file {path} ending in .npy or .parquet, expected one of vectors"
        )
    if (path.suffix == ".npy") != bool(table):
        expected = (
            "a table of labels beside a .npy"
            if path.suffix == ".npy"
            else "null beside a .parquet, which has labels"
        )
        raise InputError(f"embeddings.table: found {table or 'nothing'}, expected {expected}")
    with new_folder(out) as folder:
        if table:
            vectors = open_array(path)
            shape, dtype = vectors.shape, vectors.dtype
            blocks = cut_blocks(vectors)
            rows = read_labels(path.parent / table, shape[0])
        else:
            file = _open_parquet(path, "embeddings.path")
            shape, dtype = measure_columns(path, file)
            blocks = read_columns(path, file, shape[1])
            rows = read_labels(path, shape[0])
        write_blocks(
            path, blocks, np.lib.format.open_memmap(folder / "vectors.npy", "w+", dtype, shape)
        )
        rows.to_csv(folder / "table.csv", index=False)
        files = [folder / "vectors.npy", folder / "table.csv"]
        manifest = {
            "dataset": "embeddings",
            "licence": "the user's own",
            "vectors": shape[0],
            "dimensions": shape[1],
            "classes": rows["label"].nunique(),
            "files": {
                file.name: {"sha256": hash_file(file), "bytes": file.stat().st_size}
                for file in files
            },
        }
        write_json(folder / "manifest.json", manifest)


def open_array(path: Path) -> np.memmap:
    """Open a .npy of vectors as a memory map, never unpickled.

    Raises:
        InputError: If it is no .npy, or no array of floats with two axes.
    """
    try:
        vectors: np.memmap = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{path}: found no array ({' '.join(str(error).split())}), expected a .npy of numbers"
        ) from None
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.name not in KINDS:
        found = f"{vectors.dtype.name} of shape {vectors.shape}"
        raise InputError(f"{path}: found {found}, expected {' or '.join(KINDS)} of shape (N, D)")
    return vectors


def cut_blocks(vectors: np.memmap) -> Iterator[np.ndarray]:
    """Cut vectors (N, D) into blocks (n, D) that are read when they are needed."""
    step = max(1, BLOCK // vectors.shape[1])
    for start in range(0, len(vectors), step):
        yield vectors[start : start + step]


def measure_columns(path: Path, file: parquet.ParquetFile) -> tuple[tuple[int, int], np.dtype]:
    """Give the shape and the type of the vectors in a .parquet, from its schema and its first row.

    Raises:
        InputError: If it has no rows, neither a column `vector` nor columns v0, v1, ..., values
            that are no floats, or damage.
    """
    names = vector_columns(file.schema_arrow)
    count = file.metadata.num_rows
    if not names or not count:
        found = f"{count} rows and columns {', '.join(file.schema_arrow.names)}"
        raise InputError(
            f"{path}: found {found}; expected a column {VECTOR} of lists, or columns v0, v1, ... of floats"
        )
    kinds = [file.schema_arrow.field(name).type for name in names]
    if names == [VECTOR]:
        nested = (
            pa.types.is_list(kinds[0])
            or pa.types.is_large_list(kinds[0])
            or pa.types.is_fixed_size_list(kinds[0])
        )
        kinds = [kinds[0].value_type if nested else kinds[0]]
        with _refuse_damage(path):
            first = next(file.iter_batches(1, columns=names)).column(0)
        width = compute.list_value_length(first)[0].as_py() or 0 if nested else 0
    else:
        width = len(names)
    wrong = [kind for kind in kinds if not pa.types.is_floating(kind)]
    if wrong or not width:
        found = f"{wrong[0] if wrong else kinds[0]} in {names[0] if names == [VECTOR] else 'v0, v1, ...'}"
        raise InputError(
            f"{path}: found {found}, expected {' or '.join(KINDS)}, in lists of one length in {VECTOR}"
        )
    return (count, width), np.result_type(*(kind.to_pandas_dtype() for kind in kinds))


def vector_columns(schema: pa.Schema) -> list[str]:
    """Name the columns of a .parquet that hold the vectors: `vector`, or v0, v1, ... as far as they go; or none."""
    if VECTOR in schema.names:
        return [VECTOR]
    numbered = [f"v{number}" for number in range(len(schema.names))]
    return [
        name
        for place, name in enumerate(numbered)
        if set(numbered[: place + 1]) <= set(schema.names)
    ]


def read_columns(path: Path, file: parquet.ParquetFile, width: int) -> Iterator[np.ndarray]:
    """Read the vectors of a .parquet in blocks.

    Args:
        path: The file's, for the message.
        file: The open file.
        width: D, of each vector.

    Yields:
        Arrays of shape (n, D), missing numbers as NaN.

    Raises:
        InputError: If a vector is missing or of another length, or the file is damaged.
    """
    names = vector_columns(file.schema_arrow)
    done = 0
    batches = file.iter_batches(max(1, BLOCK // width), columns=names)
    while True:
        with _refuse_damage(path):
            batch = next(batches, None)
        if batch is None:
            return
        if names == [VECTOR]:
            lists = batch.column(0)
            lengths = compute.fill_null(compute.list_value_length(lists), 0).to_numpy(
                zero_copy_only=False
            )
            wrong = np.flatnonzero(lengths != width)
            if len(wrong):
                found = f"{lengths[wrong[0]]} numbers in row {done + wrong[0]}"
                raise InputError(
                    f"{path}: found {found} (the first is 0) of {VECTOR}, expected {width} as in the first"
                )
            block = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        else:
            block = np.stack(
                [batch.column(name).to_numpy(zero_copy_only=False) for name in names], 1
            )
        yield block
        done += len(block)


def write_blocks(path: Path, blocks: Iterator[np.ndarray], target: np.memmap) -> None:
    """Copy blocks of vectors one after the other, each checked.

    Args:
        path: The file they are from, for the message.
        blocks: Arrays of shape (n, D).
        target: Shape (N, D).

    Raises:
        InputError: Naming the first number that is not finite in float32.
    """
    start = 0
    for block in blocks:
        with np.errstate(over="ignore"):
            wrong = np.argwhere(~np.isfinite(block.astype(np.float32)))
        if len(wrong):
            row, column = wrong[0]
            found = f"{block[row, column]} in row {start + row}, column {column}"
            raise InputError(
                f"{path}: found {found} (the first are 0), expected numbers that are finite in float32"
            )
        target[start : start + len(block)] = block
        start += len(block)
    target.flush()


def read_labels(path: Path, count: int) -> pd.DataFrame:
    """Read the table of vectors: label, optionally id, split and role; every other column is a
    level, coarse to fine.

    Args:
        path: A CSV, or a .parquet whose columns of vectors are left out.
        count: N, of the vectors.

    Returns:
        The table, all of it text, with an id for each row: its number, the first being 0, where the
        table has none.

    Raises:
        InputError: If the file or a column is missing, the rows are not N, or a value is no good.
    """
    rows = (
        _read_parquet(path)
        if path.suffix == ".parquet"
        else read_csv(path, "embeddings.table", COLUMNS[1:])
    )
    if len(rows) != count:
        raise InputError(f"{path}: found {len(rows)} rows, expected {count}, one for each vector")
    if "aspect" in rows:
        raise InputError(f"{path}: found column aspect, expected another name for a level")
    if "id" not in rows:
        rows.insert(0, "id", [str(row) for row in range(count)])
    _check_names(path, rows)
    return settle_splits(path, rows, COLUMNS)


def _check_names(path: Path, rows: pd.DataFrame) -> None:
    """Check that each row has a label, and an id of its own."""
    blank = [str(row) for row in np.flatnonzero(rows["id"].eq("") | rows["label"].eq("")) + 1]
    if blank:
        raise InputError(f"{path}: found no id or no label in row {some(blank)}, expected both")
    twice = rows.loc[rows["id"].duplicated(), "id"].drop_duplicates()
    if len(twice):
        raise InputError(f"{path}: found id {some(twice)} twice, expected each vector's own")


def _open_parquet(path: Path, key: str) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise InputError(f"{key}: found no file {path}, expected a .parquet") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path}: found no table ({' '.join(str(error).split())}), expected a .parquet"
        ) from None


@contextmanager
def _refuse_damage(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of pages that it cannot decode, or whose checksum is another, into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: found damaged data ({' '.join(str(error).split())}), expected a whole .parquet"
        ) from None


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read the columns of a .parquet that are no vectors, as text; missing values as empty, an index of pandas not at all."""
    file = _open_parquet(path, "embeddings.table")
    vectors = vector_columns(file.schema_arrow)
    names = [
        name
        for name in file.schema_arrow.names
        if name not in vectors and not name.startswith("__index_level_")
    ]
    if "label" not in names:
        raise InputError(
            f"{path}: found columns {some(file.schema_arrow.names, 20)}; expected label too"
        )
    with _refuse_damage(path):
        table = file.read(names)
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        try:
            columns[name] = compute.fill_null(column.cast(pa.string()), "").to_pylist()
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: found damaged text in column {name}, expected UTF-8"
            ) from None
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            raise InputError(
                f"{path}: found {column.type} in column {name}, expected text or numbers"
            ) from None
    return pd.DataFrame(columns, dtype=str)
