"""A data set before it is packed: the table of its samples, and the samples as they are stored.

Below the listing itself: what readers of archives share, what makers of trees and vectors share,
and what the tables of people are called. Those tables are read in table.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from geomix.data.packed import SCORED
from geomix.datasets.archives import Archive, open_archive, visible
from geomix.errors import InputError

OFFICIAL = ("split", "role")  # columns of a table that are neither named by its reader nor a level
LINEAGE = "lineage"  # the column of paths, which is no level either
LEVELS = "levels"  # the column of paths of levels, in the tables of people
CLASS_SD = 0.3  # a usual s.d. of R@1 between classes
LEAST_VAL = (
    30  # classes: a mean over them is then known to 5 points, which settings often differ by
)
MOST_SHARE = 0.5  # of the samples that are searched, in one class


@dataclass(frozen=True)
class Listing:
    """What a data set has, and how it wants to be packed.

    Attributes:
        samples: A row for each sample, all text: id (unique), label, the levels; lineage,
            the path of the sample's node as in a/b/c, where samples lie in a tree whose inner nodes
            have samples too; split ("train", "val", "test", or "" for not used) where the data set
            has an official one; role ("query" or "gallery", or "" for both, which is for a whole
            split) where it has roles.
        levels: Names of the columns of the hierarchy, coarse to fine.
        images: Yields each row once, in the order of storage: its number, and the bytes of its
            file, its decoded pixels, uint8, shape (H, W, C), or its vector, shape (D,).
        channels: 3, or 1 for grey images; D of vectors.
        form: How samples are packed by default: as squares of pixels (decoded), as the files
            themselves (encoded), or always as vectors.
        side: Pixels of those squares by default.
        assign: Where splits and roles depend on which classes were held out: takes the table with
            its column split filled in, and returns the same rows in the same order with the final
            split and role.
        unit: What splits are made of by default: a class, a leaf of the lineages, or a branch, a
            group of the coarsest level of the hierarchy.
        coordinates: Names of columns of numbers: where samples are in a flat space, if they have no
            hierarchy and are compared by distance.
        ignored: What lies beside the samples and is none of them, by kind, with its number.
    """

    samples: pd.DataFrame
    levels: tuple[str, ...]
    images: Callable[[], Iterator[tuple[int, bytes | np.ndarray]]]
    channels: int = 3
    form: Literal["decoded", "encoded", "vectors"] = "decoded"
    side: int = 64
    assign: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    unit: Literal["class", "leaf", "branch"] = "class"
    coordinates: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)


def join_names(names: Iterable[str], most: int = 5) -> str:
    """Join the first names of many into a text that counts the others."""
    listed = list(names)
    others = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + others


def raw_file(raw: Path, name: str) -> Path:
    """Return the path of a raw file.

    Raises:
        InputError: If it is not there.
    """
    path = raw / name
    if not path.is_file():
        raise InputError(f"{path}: not found; expected it from an earlier stage (dvc repro)")
    return path


def find_top(path: Path, names: Iterable[str], inner: str) -> str:
    """Find where in an archive a data set begins; it may lie below any folders.

    Args:
        path: The archive, for the message.
        names: Its members.
        inner: A file or folder of the data set, as its authors name it.

    Returns:
        The prefix of such a name, "" or a folder with a slash at its end; the least deep if there
        are several.

    Raises:
        InputError: If no member is `inner` or lies in it.
    """
    places = ((name, f"/{name}/".find(f"/{inner}/")) for name in visible(names))
    tops = {name[:place] for name, place in places if place >= 0}
    if not tops:
        raise InputError(f"{path}: found no {inner}, expected it in the archive")
    return min(tops, key=lambda top: (top.count("/"), top))


def check_members(path: Path, names: Iterable[str], wanted: Sequence[str]) -> None:
    """Check that an archive has all the members wanted, and that none is wanted twice.

    Raises:
        InputError: Naming up to five of those that are missing or named twice.
    """
    stored = set(names)
    missing = [name for name in wanted if name not in stored]
    if missing:
        expected = f"the {len(wanted)} files that the data set lists"
        raise InputError(f"{path}: found no {join_names(missing)}; expected {expected}")
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        found = join_names(twice)
        raise InputError(f"{path}: found {found} listed twice, expected each file once")


def read_texts(path: Path, archive: Archive, members: Sequence[str]) -> list[str]:
    """Read text files of an archive in one pass, and return them in the order asked for.

    Raises:
        InputError: If one is missing or not UTF-8.
    """
    contents = dict(archive.walk(members))
    try:
        return [contents[member].decode("utf-8-sig") for member in members]
    except UnicodeDecodeError as error:
        found = f"a list that is not UTF-8 ({error.reason})"
        expected = f"{join_names(members)} as text"
        raise InputError(f"{path}: found {found}, expected {expected}") from None


def read_rows(
    place: Path | str, text: str, fields: int, separator: str | None = None
) -> list[list[str]]:
    """Cut each line of a text into its fields, and skip empty lines.

    Args:
        place: The file, for the message.
        text: Its content.
        fields: The number of fields in each line.
        separator: Between fields; None for any run of white space.

    Raises:
        InputError: Naming the first line with another number of fields.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        row = [field.strip() for field in line.split(separator)]
        if not line.strip():
            continue
        if len(row) != fields:
            found = f"line {number}: {line.strip()[:80]!r}"
            raise InputError(f"{place}: found {found}, expected {fields} fields")
        rows.append(row)
    return rows


def count_parts(samples: pd.DataFrame) -> dict[str, int]:
    """Count the images and classes of an official split in train and test."""
    parts = {split: samples.loc[samples["split"] == split, "label"] for split in ("train", "test")}
    images = {f"{split} images": len(labels) for split, labels in parts.items()}
    return images | {f"{split} classes": labels.nunique() for split, labels in parts.items()}


def check_counts(place: Path | str, found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Check that a data set is complete.

    Args:
        place: The file, for the message.
        found: Counts by name.
        expected: The counts required; others may have any value.

    Raises:
        InputError: With those that differ.
    """
    wrong = [name for name in expected if found[name] != expected[name]]
    if wrong:
        counts = (
            ", ".join(f"{number[name]} {name}" for name in wrong) for number in (found, expected)
        )
        raise InputError("{}: found {}; expected {}".format(place, *counts))


def archive_images(places: Sequence[tuple[Path, str]]) -> Callable[[], Iterator[tuple[int, bytes]]]:
    """Return the reader of images that lie in archives: one after the other, each in one pass.

    Args:
        places: For each row of the table the archive and the member.

    Returns:
        What `Listing.images` is; it raises InputError if an archive lacks a member.
    """
    rows: dict[Path, dict[str, int]] = {}
    for row, (path, member) in enumerate(places):
        rows.setdefault(path, {})[member] = row

    def images() -> Iterator[tuple[int, bytes]]:
        """Read one archive after the other, each in one pass."""
        for path, members in rows.items():
            with open_archive(path) as archive:
                for name, content in archive.walk(members):
                    yield members[name], content

    return images


def images_in(
    path: Path, names: Iterable[str], members: Sequence[str]
) -> Callable[[], Iterator[tuple[int, bytes]]]:
    """Return the reader of images that lie in one archive, after a check that they all do.

    Args:
        path: The archive.
        names: Its members.
        members: For each row of the table the member.

    Returns:
        As `archive_images`.

    Raises:
        InputError: As `check_members`.
    """
    check_members(path, names, members)
    return archive_images([(path, member) for member in members])


def grow_tree(root: str, children: Sequence[str], depth: int) -> list[str]:
    """Name all nodes of a tree in which every inner node has the same children.

    Args:
        root: Its name.
        children: Names of the children of a node.
        depth: Edges from the root to a leaf.

    Returns:
        The path of each node as in root/a/b, the root first, each parent before its children.
    """
    nodes = layer = [root]
    for _ in range(depth):
        layer = [f"{node}/{child}" for node in layer for child in children]
        nodes = nodes + layer
    return nodes


def ancestors(path: str) -> list[str]:
    """Return the paths of a node's ancestors, the root first."""
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(1, len(names))]


def list_warnings(samples: pd.DataFrame) -> list[str]:
    """Say what makes the results of a data set say little, though it can be trained on.

    Val has too few classes to choose settings by, or most of what is searched is of one class.

    Args:
        samples: The table with label, split, and perhaps lineage and role. Samples with coordinates
            have no classes; they are not for this.

    Returns:
        A sentence for each, with a way out.
    """
    parts = {name: samples[samples["split"] == name] for name in ("train", *SCORED)}
    units = "leaves" if LINEAGE in samples else "classes"
    warnings = _warn_of_few(_count_units(parts["train"]), _count_units(parts["val"]), units)
    for name in SCORED:
        rows = parts[name]
        gallery = rows[rows["role"] != "query"] if "role" in rows else rows
        sizes = gallery["label"].value_counts()
        if len(sizes) > 1 and sizes.iloc[0] > MOST_SHARE * len(gallery):
            share = 100 * sizes.iloc[0] / len(gallery)
            warnings.append(
                f"Class {sizes.index[0]} has {share:.0f} % of the samples that are searched in "
                f"{name}, so R@1 is mostly its own; classes.largest_class: "
                f"{max(2, sizes.iloc[1])} would end that."
            )
    return warnings


def _count_units(rows: pd.DataFrame) -> int:
    """Count the classes of a split, or in a tree the leaves."""
    if LINEAGE not in rows:
        return int(rows["label"].nunique())
    paths = set(rows[LINEAGE])
    return len(paths - {node for path in paths for node in ancestors(path)})


def _warn_of_few(train: int, val: int, units: str) -> list[str]:
    """Warn of a val with few classes or leaves; say how many folds would do."""
    if not 0 < val < LEAST_VAL:
        return []
    points = 100 * CLASS_SD / val**0.5
    folds, most = -(-LEAST_VAL // val), (train + val) // val
    way = (
        f"{folds} folds (budget.folds) would do"
        if folds <= most
        else f"even {most} folds (budget.folds) have {most * val} of the {LEAST_VAL} that would do"
    )
    return [
        f"Val has {val} {units}, too few to choose settings by: with others R@1 would differ by "
        f"about {points:.0f} points. {way[0].upper()}{way[1:]}; more seeds would not."
    ]


def read_vectors(raw: Path, count: int) -> np.ndarray:
    """Open vectors.npy of a raw folder as a memory map, (N, D).

    Args:
        raw: The folder.
        count: N, the number of rows of its table.

    Raises:
        InputError: If it is missing or does not have N vectors.
    """
    vectors: np.ndarray = np.load(raw_file(raw, "vectors.npy"), mmap_mode="r", allow_pickle=False)
    if len(vectors) != count:
        found = f"{len(vectors)} vectors and {count} rows of table.csv"
        raise InputError(f"{raw}: found {found}, expected the same number")
    return vectors


def read_stored(raw: Path) -> tuple[Path, pd.DataFrame]:
    """Read the user's table as download stored it: its path, and its rows, all of them text."""
    file = raw_file(raw, "table.csv")
    return file, pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")


def list_vectors(raw: Path, required: Sequence[str]) -> Listing:
    """List vectors in the form in which the user's own are stored.

    Args:
        raw: The folder of vectors.npy, floats of shape (N, D), and table.csv.
        required: Columns of the table that are no levels; split, role and lineage are none either.

    Returns:
        Vectors, which are read from the file when they are needed.

    Raises:
        InputError: If a file is missing, or vectors and table have different lengths.
    """
    _, samples = read_stored(raw)
    vectors = read_vectors(raw, len(samples))
    levels = name_levels(samples, required)
    return Listing(samples, levels, lambda: enumerate(vectors), vectors.shape[1], form="vectors")


def require_columns(place: Path | str, columns: Iterable[str], required: Sequence[str]) -> None:
    """Check that a table has the columns required.

    Raises:
        InputError: With the columns found and those that are missing.
    """
    names = list(columns)
    missing = [column for column in required if column not in names]
    if missing:
        found = join_names(names, 20)
        raise InputError(f"{place}: found columns {found}; expected {', '.join(missing)} too")


def name_levels(rows: pd.DataFrame, required: Sequence[str]) -> tuple[str, ...]:
    """Name the levels of a table: all columns but those required, split, role and lineage."""
    others = (*required, *OFFICIAL, LINEAGE)
    return tuple(column for column in rows.columns if column not in others)
