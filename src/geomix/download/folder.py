"""Store the user's own images: class folders, or a table of paths and labels -> images.zip, table.csv, manifest.json."""

import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm import tqdm

from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
COLUMNS = ("path", "label")
SPLITS = ("train", "val", "test")
ROLES = ("query", "gallery")
RESERVED = ("id", "aspect")  # columns that packing writes
OFFICIAL_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
LONG_AGO = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the first time a zip can hold: the same files give the same bytes


def some(names: Iterable[str], most: int = 5) -> str:
    """Give the first names of many as text, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:most]) + (
        f" and {len(listed) - most} more" if len(listed) > most else ""
    )


def list_classes(path: Path) -> tuple[pd.DataFrame, int]:
    """List the images of class folders: the label is the name of the first folder, images may lie
    deeper.

    Args:
        path: The folder of the class folders.

    Returns:
        The table (path, label), sorted by name, and the number of files that are no images by their
        suffix or are hidden.

    Raises:
        InputError: If there are no images, images outside class folders, folders named as splits,
            or names that are not UTF-8.
    """
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    stray = [entry.name for entry in inside if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if stray:
        raise InputError(
            f"{path}: found {some(stray)} outside class folders, expected each image in the folder of its class"
        )
    classes = [entry for entry in inside if entry.is_dir()]
    if classes and all(entry.name.lower() in OFFICIAL_FOLDERS for entry in classes):
        names = some(entry.name for entry in classes)
        raise InputError(
            f"{path}: found folders {names}, expected class folders (folder.table lists images with a split)"
        )
    rows, ignored = [], sum(entry.is_file() for entry in inside)
    for folder in classes:
        for file in sorted(entry for entry in folder.rglob("*") if not entry.is_dir()):
            place = file.relative_to(path)
            if file.suffix.lower() in SUFFIXES and not any(
                part.startswith(".") for part in place.parts
            ):
                rows.append({"path": place.as_posix(), "label": folder.name})
            else:
                ignored += 1
    if not rows:
        raise InputError(
            f"{path}: found no images, expected class folders of {', '.join(SUFFIXES)}"
        )
    broken = [
        ascii(row["path"])
        for row in rows
        if row["path"].encode("utf-8", "ignore").decode() != row["path"]
    ]
    if broken:
        raise InputError(f"{path}: found name {some(broken)}, expected names in UTF-8")
    return pd.DataFrame(rows), ignored


def read_table(path: Path, table: str) -> pd.DataFrame:
    """Read the user's table: path and label, optionally split and role; every other column is a
    level, coarse to fine.

    Args:
        path: The folder that the paths in the table start from.
        table: The CSV file's path in it. Split is train, val, test or empty; role is query or
            gallery, or empty for a whole split. Without a column role, split may be query or
            gallery too: images of test in that role.

    Returns:
        The table, paths without detours; a column split or role that is empty all through is left
        out.

    Raises:
        InputError: If the file or a column is missing, or with up to five of the values that are no
            good.
    """
    file = path / table
    rows = read_csv(file, "folder.table", COLUMNS)
    taken = [column for column in RESERVED if column in rows.columns]
    if taken:
        raise InputError(
            f"{file}: found column {', '.join(taken)}, expected another name for a level"
        )
    rows["path"] = [str(PurePosixPath(name)) if name else "" for name in rows["path"]]
    _check_paths(file, path, rows)
    return settle_splits(file, rows, COLUMNS)


def read_csv(file: Path, key: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file of the user, every value as text.

    Args:
        file: Where it is.
        key: That names it in params.yaml, for the message.
        columns: That it must have.

    Raises:
        InputError: If the file or a column is missing, or it is no CSV.
    """
    try:
        rows = pd.read_csv(
            file, dtype=str, keep_default_na=False, encoding="utf-8", skipinitialspace=True
        )
    except OSError:
        raise InputError(
            f"{key}: found no file {file}, expected a CSV with columns {' and '.join(columns)}"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: found no table ({' '.join(str(error).split())}), expected CSV in UTF-8"
        ) from None
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise InputError(
            f"{file}: found columns {', '.join(rows.columns)}; expected {', '.join(missing)} too"
        )
    return rows.fillna("")


def settle_splits(file: Path, rows: pd.DataFrame, others: Sequence[str]) -> pd.DataFrame:
    """Check splits, roles and levels of the user's table, and write queries and galleries as roles
    of test.

    Args:
        file: The table's, for the message.
        rows: The table, with label, all of it text.
        others: Its columns that are neither split, role nor a level.

    Returns:
        The table; a column split or role that is empty all through is left out.

    Raises:
        InputError: With up to five of the values that are no good.
    """
    for column, known in {
        "split": SPLITS if "role" in rows else (*SPLITS, *ROLES),
        "role": ROLES,
    }.items():
        unknown = sorted(set(rows[column]) - {*known, ""}) if column in rows else []
        if unknown:
            raise InputError(
                f"{file}: found {column} {some(unknown)}; expected {', '.join(known)} or nothing"
            )
    for level in rows.columns.difference([*others, "split", "role"]):
        values = rows[["label", level]].drop_duplicates()["label"]
        several = values[values.duplicated()].drop_duplicates()
        if len(several):
            raise InputError(
                f"{file}: found class {some(several)} with several values of {level}, expected one of a level"
            )
    if "split" in rows and "role" not in rows:
        rows["role"] = rows["split"].where(rows["split"].isin(ROLES), "")
        rows["split"] = rows["split"].mask(rows["split"].isin(ROLES), "test")
    empty = [column for column in ("split", "role") if column in rows and not rows[column].any()]
    return rows.drop(columns=empty)


def _check_paths(file: Path, path: Path, rows: pd.DataFrame) -> None:
    """Check that each row of the user's table has a label and names a file of its own in the folder."""
    names = rows["path"]
    if not len(rows):
        raise InputError(f"{file}: found no rows, expected one for each image")
    blank = [str(row) for row in np.flatnonzero(names.eq("") | rows["label"].eq("")) + 1]
    if blank:
        raise InputError(f"{file}: found no path or no label in row {some(blank)}, expected both")
    outside = [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        raise InputError(f"{file}: found path {some(outside)}, expected paths inside {path}")
    twice = names[names.duplicated()].drop_duplicates()
    if len(twice):
        raise InputError(f"{file}: found path {some(twice)} twice, expected each image once")
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise InputError(
            f"{file}: found no file {some(missing)}, expected {len(rows)} files in {path}"
        )


def write_zip(target: Path, path: Path, names: Iterable[str]) -> None:
    """Store files in a zip, as they are and without their times, so that the same files give the
    same bytes.

    Args:
        target: The zip file.
        path: The folder that the names start from.
        names: Of the files, in the order of storage.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in tqdm(names, desc="folder", unit="img", disable=None):
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.file_size = (path / name).stat().st_size
            with (path / name).open("rb") as source, archive.open(entry, "w") as stored:
                shutil.copyfileobj(source, stored)


def save_folder(path: Path, table: str | None, out: Path) -> None:
    """Store the user's own images as one zip with one table.

    Args:
        path: The user's folder: class folders, or the images that the table lists.
        table: The CSV file's path in it (see `read_table`); None for class folders.
        out: Where images.zip, table.csv and manifest.json shall be.

    Raises:
        InputError: As `list_classes` and `read_table`; nothing is written then.
    """
    if not path.is_dir():
        raise InputError(f"folder.path: found no folder {path}, expected the folder of your images")
    rows, ignored = (read_table(path, table), 0) if table else list_classes(path)
    with new_folder(out) as folder:
        write_zip(folder / "images.zip", path, rows["path"])
        rows.to_csv(folder / "table.csv", index=False)
        files = [folder / "images.zip", folder / "table.csv"]
        manifest = {
            "dataset": "folder",
            "licence": "the user's own",
            "images": len(rows),
            "classes": rows["label"].nunique(),
            "ignored": ignored,
            "files": {
                file.name: {"sha256": hash_file(file), "bytes": file.stat().st_size}
                for file in files
            },
        }
        write_json(folder / "manifest.json", manifest)
