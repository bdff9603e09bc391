"""A data set before it is packed: the table of its images, and the images one by one as they are stored."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from geomix.data.archives import Archive, open_archive
from geomix.errors import InputError


@dataclass(frozen=True)
class Listing:
    """What a data set has, and how it wants to be packed.

    Attributes:
        samples: A row for each image, all text: id (unique), label, the levels; split ("train",
            "val", "test", or "" for not used) where the data set has an official one; role ("query"
            or "gallery", or "" for both, which is for a whole split) where it has roles.
        levels: Names of the hierarchy's columns, coarse to fine.
        images: Gives each row once, in the order of storage: its number, and the file's bytes or
            decoded pixels, uint8, shape (H, W, C).
        channels: 3, or 1 for grey images.
        form: Packed by default as squares of pixels (decoded) or as the files themselves (encoded).
        side: Pixels of those squares by default.
        assign: Where splits and roles depend on which classes were held out: takes the table with
            its column split filled in, gives it with split and role as they shall be, the same rows
            in the same order.
    """

    samples: pd.DataFrame
    levels: tuple[str, ...]
    images: Callable[[], Iterator[tuple[int, bytes | np.ndarray]]]
    channels: int = 3
    form: Literal["decoded", "encoded"] = "decoded"
    side: int = 64
    assign: Callable[[pd.DataFrame], pd.DataFrame] | None = None


def some(names: Iterable[str], most: int = 5) -> str:
    """Give the first names of many as text, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:most]) + (
        f" and {len(listed) - most} more" if len(listed) > most else ""
    )


def raw_file(raw: Path, name: str) -> Path:
    """Give the path of a raw file.

    Raises:
        InputError: If it is not there.
    """
    path = raw / name
    if not path.is_file():
        raise InputError(f"{path}: not found; expected it from an earlier stage (dvc repro)")
    return path


def visible(names: Iterable[str]) -> list[str]:
    """Give the members that are the data set's own, without what macOS adds to archives (`._*`, `__MACOSX`)."""
    return [
        name
        for name in names
        if not any(part.startswith("._") or part == "__MACOSX" for part in name.split("/"))
    ]


def find_top(path: Path, names: Iterable[str], inner: str) -> str:
    """Find where in an archive a data set begins: above it there may be any folders.

    Args:
        path: The archive, for the message.
        names: Its members.
        inner: A file or folder of the data set, as its authors name it.

    Returns:
        What to put before such a name, "" or a folder with a slash at its end; the least deep if
        there are several.

    Raises:
        InputError: If no member is `inner` or lies in it.
    """
    places = ((name, f"/{name}/".find(f"/{inner}/")) for name in visible(names))
    tops = {name[:place] for name, place in places if place >= 0}
    if not tops:
        raise InputError(f"{path}: found no {inner}, expected it in the archive")
    return min(tops, key=lambda top: (top.count("/"), top))


def check_members(path: Path, names: Iterable[str], wanted: Sequence[str]) -> None:
    """Check that an archive has each of the members wanted, and that none is wanted twice.

    Raises:
        InputError: Naming up to five of those that are missing or named twice.
    """
    stored = set(names)
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise InputError(
            f"{path}: found no {some(missing)}; expected the {len(wanted)} files that the data set lists"
        )
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise InputError(f"{path}: found {some(twice)} listed twice, expected each file once")


def read_texts(path: Path, archive: Archive, members: Sequence[str]) -> list[str]:
    """Read text files of an archive in one pass, in the order asked for.

    Raises:
        InputError: If one is missing or not UTF-8.
    """
    contents = dict(archive.walk(members))
    try:
        return [contents[member].decode("utf-8-sig") for member in members]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: found a list that is not UTF-8 ({error.reason}), expected {some(members)} as text"
        ) from None


def read_rows(
    place: Path | str, text: str, fields: int, separator: str | None = None
) -> list[list[str]]:
    """Cut each line of a text into its fields; empty lines are skipped.

    Args:
        place: The file, for the message.
        text: Its content.
        fields: How many each line has.
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
            raise InputError(
                f"{place}: found line {number}: {line.strip()[:80]!r}, expected {fields} fields"
            )
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
        expected: What they must be; counts it does not name are free.

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
    """Give the reader of images that lie in archives: one archive after the other, each in one
    pass.

    Args:
        places: For each row of the table the archive and the member.

    Returns:
        What `Listing.images` shall be; it raises InputError if an archive lacks a member.
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
    """Give the reader of images that lie in one archive, once it is sure that they do.

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
