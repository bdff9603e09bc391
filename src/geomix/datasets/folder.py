"""The user's own images: class folders, or a table of paths and labels."""

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from tqdm import tqdm

from geomix.config.stages import DownloadParams
from geomix.data.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    check_keys,
    images_in,
    join_names,
    name_levels,
    raw_file,
    read_csv,
    read_stored,
    require_columns,
    settle_lineages,
    settle_splits,
)
from geomix.datasets.sources import USER, Source, describe_files
from geomix.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
REQUIRED = ("path", "label")
RESERVED = ("id", "aspect")  # columns that packing writes
OFFICIAL_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
ZIP_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the first time a zip can hold: the same files give the same bytes


def list_classes(path: Path) -> tuple[pd.DataFrame, int]:
    """List the images of class folders, labelled by the first folder; images may lie deeper.

    Where they lie at different depths, the folders that they are in are their lineages.

    Args:
        path: The folder of the class folders.

    Returns:
        The table (path, label, perhaps lineage), sorted by name, and the number of files that are
        hidden or whose suffix is not that of an image.

    Raises:
        InputError: If there are no images, images outside class folders, folders named as splits,
            or names that are not UTF-8.
    """
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    stray = [entry.name for entry in inside if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if stray:
        found = f"{join_names(stray)} outside class folders"
        raise InputError(f"{path}: found {found}, expected each image in the folder of its class")
    classes = [entry for entry in inside if entry.is_dir()]
    if classes and all(entry.name.lower() in OFFICIAL_FOLDERS for entry in classes):
        found = f"folders {join_names(entry.name for entry in classes)}"
        expected = "class folders (folder.table lists images with a split)"
        raise InputError(f"{path}: found {found}, expected {expected}")
    rows, ignored = [], sum(entry.is_file() for entry in inside)
    for folder in classes:
        for file in sorted(entry for entry in folder.rglob("*") if not entry.is_dir()):
            place = file.relative_to(path)
            hidden = any(part.startswith(".") for part in place.parts)
            if file.suffix.lower() in SUFFIXES and not hidden:
                rows.append({"path": place.as_posix(), "label": folder.name})
            else:
                ignored += 1
    if not rows:
        expected = f"class folders of {', '.join(SUFFIXES)}"
        raise InputError(f"{path}: found no images, expected {expected}")
    names = [row["path"] for row in rows]
    broken = [ascii(name) for name in names if name.encode("utf-8", "ignore").decode() != name]
    if broken:
        raise InputError(f"{path}: found name {join_names(broken)}, expected names in UTF-8")
    table = pd.DataFrame(rows)
    if len({name.count("/") for name in names}) > 1:
        table["lineage"] = [name.rpartition("/")[0] for name in names]
    return table, ignored


def read_table(path: Path, table: str) -> pd.DataFrame:
    """Read the user's table: path and label, optionally split, role and lineage; others are levels.

    Args:
        path: The folder that the paths in the table start from.
        table: The path of the CSV file in it; split and role as in `settle_splits`, levels coarse
            to fine and lineage as in `settle_lineages`.

    Returns:
        The table with normalised paths.

    Raises:
        InputError: If the file or a column is missing, or with up to five of the wrong values.
    """
    file = path / table
    rows = read_csv(file, "folder.table", REQUIRED)
    taken = [column for column in RESERVED if column in rows]
    if taken:
        found = f"column {', '.join(taken)}"
        raise InputError(f"{file}: found {found}, expected another name for a level")
    rows["path"] = [str(PurePosixPath(name)) if name else "" for name in rows["path"]]
    if not len(rows):
        raise InputError(f"{file}: found no rows, expected one for each image")
    rows = settle_lineages(file, rows, REQUIRED)
    check_keys(file, rows, "path")
    _check_paths(file, path, rows["path"])
    return settle_splits(file, rows)


def _check_paths(file: Path, path: Path, names: pd.Series) -> None:
    """Check that each row of the user's table names a file in the folder."""
    outside = [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        found = f"path {join_names(outside)}"
        raise InputError(f"{file}: found {found}, expected paths inside {path}")
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        expected = f"{len(names)} files in {path}"
        raise InputError(f"{file}: found no file {join_names(missing)}, expected {expected}")


def write_zip(target: Path, path: Path, names: Iterable[str]) -> None:
    """Store files in a zip as they are, without their times: the same files give the same bytes.

    Args:
        target: The zip file.
        path: The folder that the names start from.
        names: The files, in the order of storage.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in tqdm(names, desc="folder", unit="img", disable=None):
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.file_size = (path / name).stat().st_size
            with (path / name).open("rb") as source, archive.open(entry, "w") as stored:
                shutil.copyfileobj(source, stored)


def write_folder(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Store the user's own images as one zip, images.zip, with one table, table.csv.

    Args:
        folder: The target folder.
        params: `folder.path` is the user's folder: class folders, or the images that the CSV file
            `folder.table` in it lists (see `read_table`).

    Raises:
        InputError: If the user's folder is missing, or as `list_classes` and `read_table`.
    """
    path, table = Path(params.folder.path or "null"), params.folder.table
    if not path.is_dir():
        raise InputError(f"folder.path: found no folder {path}, expected the folder of your images")
    rows, ignored = (read_table(path, table), 0) if table else list_classes(path)
    write_zip(folder / "images.zip", path, rows["path"])
    rows.to_csv(folder / "table.csv", index=False)
    return {
        "images": len(rows),
        "classes": rows["label"].nunique(),
        "ignored": ignored,
        "files": describe_files(folder / "images.zip", folder / "table.csv"),
    }


SOURCE = Source(licence=USER, write=write_folder)


def read(raw: Path) -> Listing:
    """List the user's own images; columns but path, label, split, role, lineage are levels.

    Args:
        raw: The folder of images.zip and table.csv.

    Returns:
        Images; encoded by default. An id is the path in the user's folder.

    Raises:
        InputError: If a file or a column is missing, or the archive lacks an image of the table.
    """
    path = raw_file(raw, "images.zip")
    table, samples = read_stored(raw)
    require_columns(table, samples, REQUIRED)
    with open_archive(path) as archive:
        images = images_in(path, archive.names(), samples["path"].tolist())
    levels = name_levels(samples, REQUIRED)
    return Listing(samples.rename(columns={"path": "id"}), levels, images, form="encoded")
