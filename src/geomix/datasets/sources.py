"""Where the raw files of a data set come from, and how to tell that they are complete."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geomix.config.stages import DownloadParams
from geomix.files import hash_file

RESEARCH = "non-commercial research only, not to be redistributed"
USER = "the user's own"

Write = Callable[[Path, DownloadParams], dict[str, Any]]


@dataclass(frozen=True)
class File:
    """One file to fetch.

    Attributes:
        name: Its name in data/raw/<dataset>.
        urls: Where to download it, in order of preference; none if only people may.
        other_names: Names under which a mirror folder may hold it instead.
        sha256: Published checksum of the original file; likewise md5.
        counts: The number of members that match each pattern (* matches slashes too), for copies
            without a published checksum.
        more: Whether more members than that may match.
        content: A folder of the archive and the digest of its PNG files (`fetch.digest_content`).
        member_md5: The checksum of the members that match each pattern.
        rows: If not 0, the file is a table rather than an archive: a line with this number, a
            header, and this number of rows.
    """

    name: str
    urls: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    more: bool = False
    content: tuple[str, str] | None = None
    member_md5: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class Source:
    """The raw files of a data set: files to fetch, or a function that writes them.

    Attributes:
        licence: For the manifest.
        files: To fetch from a mirror or the network.
        by_hand: Where a person gets these files.
        write: Writes the raw files into a folder instead, and returns what the manifest says of
            them.
        origin: What it writes them from, for the manifest.
    """

    licence: str
    files: tuple[File, ...] = ()
    by_hand: str = ""
    write: Write | None = None
    origin: str = ""


def describe_files(*paths: Path) -> dict[str, dict[str, Any]]:
    """Return the checksum and the length in bytes of each file, by its name."""
    return {path.name: {"sha256": hash_file(path), "bytes": path.stat().st_size} for path in paths}


def explain_relative(path: Path) -> str:
    """Return what to add to a message about a path that is not there, if it is relative."""
    if path.is_absolute():
        return ""
    start = "a relative path starts in the checkout that runs"
    return f"; {start}, which dvc exp run --temp and --queue put elsewhere: make it absolute"
