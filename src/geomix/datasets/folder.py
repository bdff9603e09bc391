"""The user's own images: class folders, or a table of paths and labels."""

import os
import re
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.archives import open_archive
from geomix.datasets.listing import (
    Listing,
    images_in,
    join_names,
    name_levels,
    raw_file,
    read_stored,
    require_columns,
)
from geomix.datasets.sources import USER, Source, describe_files, explain_relative
from geomix.datasets.table import (
    CONTROLS,
    Table,
    check_filled,
    check_unique,
    clean,
    count_others,
    read_user_table,
    settle_lineages,
    settle_splits,
    show,
    tell_lineages,
)
from geomix.errors import InputError
from geomix.files import read_json
from geomix.progress import open_bar

SUFFIXES = (
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)
TABLES = (".csv", ".parquet")
REQUIRED = ("path", "label")
RESERVED = ("id",)  # column that packing writes
OFFICIAL_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
# What network storage, archives and systems put beside files of people; names in lower case.
SYSTEM = {
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
    "recycler",
    "system volume information",
    "thumbs.db",
}
HIDDEN, BROKEN, LOOP = "hidden", "broken link", "link that leads back"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time a zip can hold: same files, same bytes


@dataclass
class Found:
    """What lies in a folder.

    Attributes:
        images: Their paths from the folder on, sorted.
        others: The number of other files and of links that lead nowhere, by kind: a suffix,
            hidden (system folders too, which are not looked into), broken link, or loop.
        others_in: The same by the first folder of their path.
        links: The paths of links that lead nowhere or back.
    """

    images: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    others_in: dict[str, Counter[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)

    def count(self, place: str, kind: str) -> None:
        """Count what is no image."""
        self.others[kind] += 1
        self.others_in.setdefault(place.partition("/")[0], Counter())[kind] += 1
        if kind in (BROKEN, LOOP):
            self.links.append(place)


def search_folder(path: Path) -> Found:
    """Find all images in a folder, at any depth; links are followed, but not in circles.

    Raises:
        InputError: If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        """Refuse a folder that cannot be read."""
        found = f"a folder that cannot be read ({error.strerror})"
        raise InputError(f"{error.filename}: found {found}, expected one that can")

    found = Found()
    above = {str(path): {_identify(path)}}  # by folder: it and those that it lies in
    for root, folders, files in os.walk(path, onerror=refuse, followlinks=True):
        inside = root[len(str(path)) + 1 :]
        entered = []
        for name in sorted(folders):
            place, here = f"{inside}/{name}".lstrip("/"), f"{root}/{name}"
            if _is_hidden(name):
                found.count(place, HIDDEN)
            elif _identify(Path(here)) in above[root]:
                found.count(place, LOOP)
            else:
                above[here] = above[root] | {_identify(Path(here))}
                entered.append(name)
        folders[:] = entered
        for name in files:
            _sort_file(found, f"{inside}/{name}".lstrip("/"), Path(root) / name)
    found.images.sort(key=lambda place: place.split("/"))
    found.links.sort()
    return found


def _sort_file(found: Found, place: str, file: Path) -> None:
    """Keep an image, and count any other file."""
    if _is_hidden(file.name):
        found.count(place, HIDDEN)
    elif not file.is_file():
        found.count(place, BROKEN)
    elif file.suffix.lower() in SUFFIXES:
        found.images.append(place)
    else:
        found.count(place, file.suffix.lower() or "no suffix")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower().strip("\r") in {*SYSTEM, "icon"}


def _identify(path: Path) -> tuple[int, int]:
    """Return what tells a folder from all others, whatever links lead to it."""
    status = path.stat()
    return status.st_dev, status.st_ino


def list_kinds(others: Mapping[str, int]) -> str:
    """List kinds of files with their numbers, the most frequent first: 12 .heic, 3 hidden."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return join_names(f"{count:,} {kind}" for kind, count in ordered)


def list_classes(path: Path) -> tuple[pd.DataFrame, Found]:
    """List the images of class folders, labelled by the first folder; images may lie deeper.

    Where they lie at different depths, the folders that they are in are their lineages, and a line
    says so. Names of
    folders that differ only in the form of their Unicode are one class.

    Args:
        path: The folder of the class folders.

    Returns:
        The table (path, label, perhaps lineage), sorted by path, and all that was found.

    Raises:
        InputError: If there are no images, images outside class folders, a class folder without any
            among its files, folders named as splits, fewer than two classes, or names that are not
            UTF-8.
    """
    found = search_folder(path)
    _check_folders(path, found)
    folders = [place.split("/")[:-1] for place in found.images]
    labels = [clean(names[0]) for names in folders]
    if len(set(labels)) < 2:
        raise InputError(
            f"folder.path: found one class folder, {path / folders[0][0]}, expected at least two; "
            f"{_explain_one(path, folders)}"
        )
    table = pd.DataFrame({"path": found.images, "label": labels})
    if others := count_others(map(len, folders)):
        tell_lineages("folder", others, "image", "at another depth", "folders")
        table["lineage"] = ["/".join(map(clean, names)) for names in folders]
    return table, found


def _check_folders(path: Path, found: Found) -> None:
    """Check that images lie in class folders, and that no class folder loses all its files."""
    broken = [ascii(name) for name in found.images if not _is_text(name)]
    if broken:
        raise InputError(f"{path}: found name {join_names(broken)}, expected names in UTF-8")
    nameless = [show(name) for name in found.images if not all(map(clean, name.split("/")[:-1]))]
    if nameless:
        raise InputError(f"{path}: found {join_names(nameless)}, expected folders with names")
    tables = f"or folder.table for a table that lists the images{_name_tables(path)}"
    stray = [show(name)[1:-1] for name in found.images if "/" not in name]
    if stray:
        expected = f"each image in the folder of its class, {tables}"
        raise InputError(
            f"{path}: found {join_names(stray)} outside class folders, expected {expected}"
        )
    classes = list(dict.fromkeys(name.partition("/")[0] for name in found.images))
    if classes and all(name.lower() in OFFICIAL_FOLDERS for name in classes):
        expected = f"class folders, {tables} with a split"
        raise InputError(f"{path}: found folders {join_names(classes)}, expected {expected}")
    if not classes:
        among = f" ({list_kinds(found.others)})" if found.others else ""
        expected = f"class folders of {', '.join(SUFFIXES)}"
        raise InputError(f"{path}: found no images{among}, expected {expected}")
    for name, others in found.others_in.items():
        lost = {kind: count for kind, count in others.items() if kind != HIDDEN}
        if lost and name not in classes and (path / name).is_dir():
            expected = f"{', '.join(SUFFIXES)}, or the folder elsewhere"
            raise InputError(
                f"{path / name}: found no image among its files ({list_kinds(lost)}), "
                f"expected {expected}"
            )


def _is_text(name: str) -> bool:
    """Return whether a name can be written in UTF-8."""
    return name.encode("utf-8", "ignore").decode() == name


def _name_tables(path: Path) -> str:
    """Name the tables that lie in a folder, as part of a sentence."""
    tables = sorted(file.name for file in path.iterdir() if file.suffix.lower() in TABLES)
    return f", such as {join_names(tables)}" if tables else ""


def _explain_one(path: Path, folders: list[list[str]]) -> str:
    """Say what may be meant where there is one class folder."""
    inner = {names[1] for names in folders if len(names) > 1}
    if len(inner) > 1:
        return f"if classes are the folders in it, folder.path: {path / folders[0][0]}"
    return f"if a table lists the images, folder.table names it{_name_tables(path)}"


def read_table(path: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Read the user's table: path and label, optionally split, role and lineage; others are levels.

    Args:
        path: The folder that the paths in the table start from.
        name: The path of the CSV or .parquet in it; split and role as in `settle_splits`, levels
            coarse to fine and lineage as in `settle_lineages`.

    Returns:
        The table, and the file of each row, from the folder on.

    Raises:
        InputError: If the file or a column is missing, or naming the first wrong value.
    """
    table = read_user_table(path / name, "folder.table", REQUIRED)
    taken = [column for column in RESERVED if column in table.rows]
    if taken:
        found = f"column {', '.join(taken)}"
        raise InputError(f"{table.file}: found {found}, expected another name for a level")
    table = settle_lineages(table, REQUIRED)
    check_filled(table, "path")
    files = _find_files(table, path)
    table = replace(table, rows=table.rows.assign(path=files))
    check_unique(table, "path")
    return settle_splits(table).rows, files


def _find_files(table: Table, path: Path) -> list[str]:
    """Return the file in a folder that each row of a table names, from the folder on.

    Separators of Windows, spaces around names and other forms of the same Unicode are no mistakes.

    Raises:
        InputError: Naming the first path that leads out of the folder, or to no file.
    """
    files = [_plain_path(name, path) for name in table.rows["path"]]
    for row, name in enumerate(files):
        if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
            raise table.refuse(row, "path", f"a path inside {path}")
    missing = [row for row, name in enumerate(files) if not (path / name).is_file()]
    if missing:
        there = search_folder(path).images
        forms = {_fold(name): name for name in there}
        cases = {_fold(name).casefold(): name for name in there}
        for row in missing:
            files[row] = forms.get(_fold(files[row]), "")
        lost = [row for row in missing if not files[row]]
        if lost:
            name = table.rows["path"].iloc[lost[0]]
            near = cases.get(_fold(_plain_path(name, path)).casefold(), "")
            hint = f" (is it {show(near)}?)" if near else ""
            more = f", as for {len(lost) - 1} more of its paths" if len(lost) > 1 else ""
            raise table.refuse(lost[0], "path", f"a file in {path}{hint}{more}")
    return files


def _plain_path(name: str, path: Path) -> str:
    """Return a path from the folder on, with slashes; as it is written where such a file exists."""
    if (path / name).is_file() and not name.startswith("/"):
        return str(PurePosixPath(name))
    slashed = str(PurePosixPath(re.sub(r"\\", "/", name.strip())))
    return slashed.removeprefix(f"{path.as_posix()}/")


def _fold(name: str) -> str:
    """Return a path with clean names, by which two forms of the same one are compared."""
    return "/".join(clean(part) for part in name.split("/"))


def write_zip(target: Path, path: Path, files: Mapping[str, str]) -> None:
    """Store files in a zip as they are, without their times: the same files give the same bytes.

    Args:
        target: The zip file.
        path: The folder that the files start from.
        files: By the name in the zip, in the order of storage, the file.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, file in open_bar(files.items(), desc="folder", unit="img"):
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.file_size = (path / file).stat().st_size
            with (path / file).open("rb") as source, archive.open(entry, "w") as stored:
                shutil.copyfileobj(source, stored)


def name_stored(path: Path, files: Iterable[str]) -> list[str]:
    """Name files as they are stored: a space stands for each control character, as a line break.

    Raises:
        InputError: If two files would have one name.
    """
    names: dict[str, str] = {}
    for file in files:
        name = file.translate(dict.fromkeys(CONTROLS, " "))
        if name in names:
            found = f"{names[name]!r} and {file!r}"
            raise InputError(f"{path}: found {found}, expected names that are not alike")
        names[name] = file
    return list(names)


def write_folder(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Store the user's own images as one zip, images.zip, with one table, table.csv.

    Says in one line what was read and what was not.

    Args:
        folder: The target folder.
        params: `folder.path` is the user's folder: class folders, or the images that the table
            `folder.table` in it lists (see `read_table`).

    Raises:
        InputError: If the user's folder is missing, or as `list_classes` and `read_table`.
    """
    path, table = Path(params.folder.path or "null"), params.folder.table
    if not path.is_dir():
        expected = f"the folder of your images{explain_relative(path)}"
        raise InputError(f"folder.path: found no folder {path}, expected {expected}")
    if table:
        rows, files = read_table(path, table)
        found = Found()
    else:
        rows, found = list_classes(path)
        files = found.images
    rows["path"] = name_stored(path, files)
    write_zip(folder / "images.zip", path, dict(zip(rows["path"], files, strict=True)))
    rows.to_csv(folder / "table.csv", index=False)
    classes = rows["label"].nunique()
    print("".join(_summarise(len(rows), classes, found)), file=sys.stderr)
    return {
        "images": len(rows),
        "classes": classes,
        "ignored": dict(sorted(found.others.items())),
        **({"links": found.links} if found.links else {}),
        "files": describe_files(folder / "images.zip", folder / "table.csv"),
    }


def _summarise(images: int, classes: int, found: Found) -> Iterator[str]:
    yield f"folder: {images:,} images of {classes:,} classes read"
    if found.others:
        yield f"; not read: {list_kinds(found.others)}"
    if found.links:
        yield f" ({join_names(show(name)[1:-1] for name in found.links)})"


SOURCE = Source(licence=USER, write=write_folder)


def read(raw: Path) -> Listing:
    """List the user's own images; columns but path, label, split, role, lineage are levels.

    Args:
        raw: The folder of images.zip, table.csv and manifest.json.

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
    ignored = read_json(raw / "manifest.json")["ignored"]
    samples = samples.rename(columns={"path": "id"})
    return Listing(samples, levels, images, form="encoded", ignored=ignored)
