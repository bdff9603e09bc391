"""The user's own vectors: a .npy with a table of labels, or one .parquet."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, list_vectors
from geomix.datasets.sources import USER, Source, describe_files, explain_relative
from geomix.datasets.table import (
    check_filled,
    check_unique,
    one_line,
    open_parquet,
    read_user_table,
    refuse_damage,
    settle_lineages,
    settle_splits,
)
from geomix.errors import InputError

VECTOR = "vector"  # column of lists in a .parquet; or else v0, v1, ...
REQUIRED = ("id", "label")
KINDS = ("float16", "float32", "float64")
EXPECTED = " or ".join(KINDS)
BLOCK = 2**22  # numbers checked or copied at a time


def write_embeddings(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Store the user's own vectors, with the precision they came in, and their labels.

    Args:
        folder: The target folder, for vectors.npy and table.csv.
        params: `embeddings.path` is a .npy of N vectors, float16, float32 or float64 of shape
            (N, D), or a .parquet with a column `vector` of lists of the same number of floats, or
            columns v0, v1, ... of floats, beside label and the other columns of a table.
            `embeddings.table` of a .npy is the CSV or .parquet in the same folder with a row for
            each vector (see `read_labels`); a .parquet has none.

    Raises:
        InputError: If a file is missing or of another form, a number is not finite in float32, the
            table does not have N rows, or one of its values is wrong.
    """
    path, table = Path(params.embeddings.path or "null"), params.embeddings.table
    if not path.is_file() or path.suffix not in (".npy", ".parquet"):
        found = f"no file {path} ending in .npy or .parquet"
        expected = f"one of vectors{explain_relative(path)}"
        raise InputError(f"embeddings.path: found {found}, expected {expected}")
    if (path.suffix == ".npy") != bool(table):
        expected = (
            "a table of labels beside a .npy"
            if path.suffix == ".npy"
            else "null beside a .parquet, which has labels"
        )
        raise InputError(f"embeddings.table: found {table or 'nothing'}, expected {expected}")
    if table:
        vectors = open_array(path)
        shape, dtype = vectors.shape, vectors.dtype
        blocks = cut_blocks(vectors)
    else:
        file = open_parquet(path, "embeddings.path")
        shape, dtype = measure_columns(path, file)
        blocks = read_columns(path, file, shape[1])
    rows = read_labels(path.parent / table if table else path, shape[0])
    files = folder / "vectors.npy", folder / "table.csv"
    with files[0].open("wb") as target:
        kind = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(target, header)
        write_blocks(path, blocks, target, dtype)
    rows.to_csv(files[1], index=False)
    return {
        "vectors": shape[0],
        "dimensions": shape[1],
        "classes": rows["label"].nunique(),
        "files": describe_files(*files),
    }


SOURCE = Source(licence=USER, write=write_embeddings)


def read(raw: Path) -> Listing:
    """List the user's own vectors, see `list_vectors`."""
    return list_vectors(raw, REQUIRED)


def open_array(path: Path) -> np.memmap:
    """Open a .npy of vectors as a memory map, never unpickled.

    Raises:
        InputError: If it is not a .npy, or not an array of floats with two axes.
    """
    try:
        vectors: np.memmap = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        found = f"no array ({one_line(error)})"
        raise InputError(f"{path}: found {found}, expected a .npy of numbers") from None
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.name not in KINDS:
        found = f"{vectors.dtype.name} of shape {vectors.shape}"
        raise InputError(f"{path}: found {found}, expected {EXPECTED} of shape (N, D)")
    return vectors


def cut_blocks(vectors: np.memmap) -> Iterator[np.ndarray]:
    """Cut vectors (N, D) into blocks (n, D) that are read when they are needed."""
    step = max(1, BLOCK // vectors.shape[1])
    for start in range(0, len(vectors), step):
        yield vectors[start : start + step]


def measure_columns(path: Path, file: parquet.ParquetFile) -> tuple[tuple[int, int], np.dtype]:
    """Return the shape and the type of the vectors in a .parquet, from schema and first row.

    Raises:
        InputError: If it has no rows, neither a column `vector` nor columns v0, v1, ..., one of
            them twice, values that are not floats, no number in the first row, or damage.
    """
    schema, rows = file.schema_arrow, file.metadata.num_rows
    names = vector_columns(schema)
    if not names or not rows:
        found = f"{rows} rows and columns {', '.join(schema.names)}"
        expected = f"a column {VECTOR} of lists, or columns v0, v1, ... of floats"
        raise InputError(f"{path}: found {found}; expected {expected}")
    twice = [name for name in names if len(schema.get_all_field_indices(name)) > 1]
    if twice:
        raise InputError(f"{path}: found column {twice[0]} twice, expected each once")
    kinds = [schema.field(name).type for name in names]
    lists = names == [VECTOR] and _is_list(kinds[0])
    kinds = [kinds[0].value_type] if lists else kinds
    wrong = [kind for kind in kinds if not pa.types.is_floating(kind)]
    if wrong or (names == [VECTOR] and not lists):
        columns = VECTOR if names == [VECTOR] else "v0, v1, ..."
        found = f"{(wrong or kinds)[0]} in {columns}"
        expected = f"{EXPECTED}, in lists of one length in {VECTOR}"
        raise InputError(f"{path}: found {found}, expected {expected}")
    width = _measure_first(path, file) if lists else len(names)
    return (rows, width), np.result_type(*(kind.to_pandas_dtype() for kind in kinds))


def _is_list(kind: pa.DataType) -> bool:
    """Say whether a column holds lists."""
    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _measure_first(path: Path, file: parquet.ParquetFile) -> int:
    """Return the length of the first of the vectors that are lists.

    Raises:
        InputError: If it is missing or empty, or the file is damaged.
    """
    with refuse_damage(path):
        first = next(file.iter_batches(1, columns=[VECTOR])).column(0)
    length = int(compute.list_value_length(first)[0].as_py() or 0)
    if not length:
        found = f"no numbers in row 0 (the first) of {VECTOR}"
        raise InputError(f"{path}: found {found}, expected a vector in each row")
    return length


def vector_columns(schema: pa.Schema) -> list[str]:
    """Name the columns of a .parquet that hold the vectors: `vector`, or v0, v1, ..., or none."""
    names = set(schema.names)
    if VECTOR in names:
        return [VECTOR]
    return list(takewhile(names.__contains__, (f"v{number}" for number in count())))


def read_columns(path: Path, file: parquet.ParquetFile, width: int) -> Iterator[np.ndarray]:
    """Read the vectors of a .parquet in blocks.

    Args:
        path: Of the file, for the message.
        file: The open file.
        width: D, the length of each vector.

    Yields:
        Arrays of shape (n, D), missing numbers as NaN.

    Raises:
        InputError: If a vector is missing or of another length, or the file is damaged.
    """
    names = vector_columns(file.schema_arrow)
    done = 0
    batches = file.iter_batches(max(1, BLOCK // width), columns=names)
    while True:
        with refuse_damage(path):
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
                expected = f"{width} as in the first"
                raise InputError(
                    f"{path}: found {found} (the first is 0) of {VECTOR}, expected {expected}"
                )
            block = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        else:
            block = np.stack(
                [batch.column(name).to_numpy(zero_copy_only=False) for name in names], 1
            )
        yield block
        done += len(block)


def write_blocks(
    path: Path, blocks: Iterator[np.ndarray], target: BinaryIO, dtype: np.dtype
) -> None:
    """Check blocks of vectors and copy them, one after the other.

    Args:
        path: Their file, for the message.
        blocks: Arrays of shape (n, D).
        target: Of the copy, behind its header.
        dtype: Of its numbers.

    Raises:
        InputError: Naming the first number that is not finite in float32.
    """
    start = 0
    for block in blocks:
        with np.errstate(over="ignore"):
            wrong = np.argwhere(~np.isfinite(block.astype(np.float32)))
        if len(wrong):
            row, column = wrong[0]
            found = f"{block[row, column]} in row {start + row}, column {column} (the first are 0)"
            raise InputError(f"{path}: found {found}, expected numbers that are finite in float32")
        target.write(block.astype(dtype, "C", copy=False).tobytes())
        start += len(block)


def read_labels(path: Path, count: int) -> pd.DataFrame:
    """Read the table of vectors: label, optionally id, split, role, lineage; others are levels.

    Args:
        path: A CSV, or a .parquet whose columns of vectors are left out; split and role as in
            `settle_splits`, levels coarse to fine and lineage as in `settle_lineages`.
        count: N, the number of vectors.

    Returns:
        The table, all text. Where it has no ids, the number of a row is its id; the first is 0.

    Raises:
        InputError: If the file or a column is missing, the rows are not N, or a value is wrong.
    """
    key, vectors = "embeddings.table", list[str]()
    if path.suffix == ".parquet" and path.is_file():
        vectors = vector_columns(open_parquet(path, key).schema_arrow)
    table = read_user_table(path, key, REQUIRED[1:], vectors)
    if len(table.rows) != count:
        found = f"{len(table.rows)} rows"
        raise InputError(f"{path}: found {found}, expected {count}, one for each vector")
    if "id" not in table.rows:
        ids = [str(row) for row in range(count)]
        column = pd.Series(ids, table.rows.index, dtype=str, name="id")
        table = replace(table, rows=pd.concat([column, table.rows], axis=1))
    table = settle_lineages(table, REQUIRED)
    check_filled(table, "id")
    check_unique(table, "id")
    return settle_splits(table).rows
