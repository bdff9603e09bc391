"""Fetch files from a mirror folder or the network; all are verified before any of them appears."""

import hashlib
import shutil
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from geomix.datasets.archives import Archive, check_archive, open_archive, visible
from geomix.datasets.sources import File, Source
from geomix.download.http import check_space, discard, download
from geomix.errors import InputError
from geomix.files import hash_file
from geomix.progress import BYTES, open_bar

CHUNK = 1 << 20  # bytes


def fetch(
    dataset: str, source: Source, folder: Path, partial: Path, mirror: Path | None
) -> dict[str, dict[str, Any]]:
    """Fetch the files of a data set as they are, without unpacking them.

    Each file is taken from the mirror if it is there, otherwise from the first of its urls that
    provides it whole. A damaged file of the mirror is refused, not replaced from the network.

    Args:
        dataset: Its name.
        source: The files.
        folder: The target folder.
        partial: The folder in which parts of interrupted downloads wait for the next call.
        mirror: A folder that holds files as <dataset>/<file> or <file>, or nothing.

    Returns:
        The SHA-256, the length in bytes and the place of each file, by its name.

    Raises:
        InputError: In one line, if a file is nowhere or not what it should be.
    """
    files, downloaded = {}, []
    for file in source.files:
        origin = find_in_mirror(dataset, file, mirror)
        if origin:
            path, place = folder / origin.name, "mirror"
            sha256 = verify(file, origin, exact=False)
            copy_file(origin, path, sha256)
        else:
            path = partial / file.name
            place, sha256 = download_first(f"{dataset}/{file.name}", file, path, mirror, source)
            downloaded.append(path)
        files[path.name] = {"sha256": sha256, "bytes": path.stat().st_size, "source": place}
    for path in downloaded:
        path.replace(folder / path.name)
    shutil.rmtree(partial, ignore_errors=True)
    return files


def find_in_mirror(dataset: str, file: File, mirror: Path | None) -> Path | None:
    """Return the first path at which a mirror holds a file, if it does."""
    names = (file.name, *file.other_names)
    folders = (mirror / dataset, mirror) if mirror else ()
    places = (folder / name for name in names for folder in folders)
    return next((path for path in places if path.is_file()), None)


def download_first(
    name: str, file: File, path: Path, mirror: Path | None, source: Source
) -> tuple[str, str]:
    """Download a file from the first of its urls that provides it whole.

    Args:
        name: <dataset>/<file>, for the message.
        file: What to download.
        path: The target. Anything else than the file is removed; a part of it stays.
        mirror: The folder that lacks the file, for the message.
        source: Where a person gets the file, for the message.

    Returns:
        The url and the SHA-256.

    Raises:
        InputError: Naming the file, every place and its reason, and how a person gets the file.
    """
    reasons = [f"{mirror / name}: not there" if mirror else "download.mirror: not set"]
    for url in file.urls:
        try:
            download(url, path)
        except InputError as error:
            reasons.append(str(error))
            continue
        try:
            return url, verify(file, path, exact=True)
        except InputError as error:
            discard(path)
            reasons.append(f"{url}: {str(error).removeprefix(f'{path}: ')}")
    if not file.urls:
        reasons.append("no url, it is for people to download")
    with suppress(OSError):
        path.parent.rmdir()  # stays where it holds a part to resume
    by_hand = mirror or "FOLDER"
    raise InputError(
        f"{name}: found it nowhere ({'; '.join(reasons)}); expected it from there, or put by hand "
        f"into {by_hand}/{name} with download.mirror: {by_hand} (from {source.by_hand})"
    )


def copy_file(origin: Path, path: Path, sha256: str) -> None:
    """Copy a verified file with a progress bar.

    Raises:
        InputError: If the disk is too full, or the copy has another SHA-256.
    """
    total = origin.stat().st_size
    check_space(path.parent, total)
    digest = hashlib.sha256()
    with (
        origin.open("rb") as original,
        path.open("wb") as target,
        open_bar(total=total, desc=path.name, **BYTES) as bar,
    ):
        while chunk := original.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != sha256:
        found, expected = (f"{value[:16]}..." for value in (digest.hexdigest(), sha256))
        raise InputError(f"{origin}: found sha256 {found}, expected {expected} as a moment before")


def verify(file: File, path: Path, *, exact: bool) -> str:
    """Read a file from end to end and check that it is the one expected.

    Args:
        file: What it should be.
        path: Its path.
        exact: Whether the published checksum must hold. A mirror's archive may have been packed
            anew: its content decides.

    Returns:
        Its SHA-256.

    Raises:
        InputError: If it is damaged, harmful or another file.
    """
    if file.rows:
        check_rows(path, file.rows)
        return hash_file(path)
    found = hash_file(path)
    if found == file.sha256:
        return found  # the original itself, odd members and all
    check_archive(path)
    md5 = md5_of_file(path) if file.md5 else ""
    if file.md5 and md5 == file.md5:
        return found
    if exact and (file.sha256 or file.md5):
        kind, actual, expected = (
            ("sha256", found, file.sha256) if file.sha256 else ("md5", md5, file.md5)
        )
        raise InputError(f"{path}: found {kind} {actual}, expected {expected}")
    with open_archive(path) as archive:
        check_content(file, archive)
    return found


def check_content(file: File, archive: Archive) -> None:
    """Check the number and the content of the members of an archive.

    Raises:
        InputError: If another number or another content is found.
    """
    names = visible(archive.names())
    for pattern, expected in file.counts.items():
        count = sum(fnmatchcase(name, pattern) for name in names)
        if count < expected or (count > expected and not file.more):
            raise InputError(
                f"{archive.path}: found {count:,} members {pattern}, expected {expected:,}"
            )
    for pattern, checksum in file.member_md5.items():
        for name in (name for name in names if fnmatchcase(name, pattern)):
            found = hashlib.md5(archive.read(name), usedforsecurity=False).hexdigest()
            if found != checksum:
                raise InputError(
                    f"{archive.path}: found md5 {found} of {name}, expected {checksum}"
                )
    if file.content:
        folder, digest = file.content
        found = digest_content(archive, folder)
        if found != digest:
            raise InputError(
                f"{archive.path}: found images of digest {found[:16]}..., expected {digest[:16]}..."
            )


def digest_content(archive: Archive, folder: str) -> str:
    r"""Return the SHA-256 of the PNG files in a folder of an archive, in any order and packing.

    It is that of the sorted lines "name\0SHA-256 of the content\n", names relative to the folder.
    """
    names = [name for name in visible(archive.names()) if name.endswith(".png") and folder in name]
    lines = []
    for name, content in archive.walk(names):
        lines.append(
            f"{name.partition(folder)[2]}\0{hashlib.sha256(content).hexdigest()}\n".encode()
        )
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def check_rows(path: Path, expected: int) -> None:
    """Check a table whose first line is the number of its rows and whose second is the header.

    Raises:
        InputError: If the table has another number of rows, or another first line.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0].strip() if lines else ""
    if first != str(expected) or len(lines) - 2 != expected:
        raise InputError(
            f"{path}: found {len(lines):,} lines, the first {first[:40]!a}; "
            f"expected {expected}, a header and {expected} rows"
        )


def md5_of_file(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
