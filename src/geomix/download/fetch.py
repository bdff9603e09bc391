"""Fetch one data set: from a mirror folder or the network, all of it verified before any of it appears."""

import hashlib
import shutil
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from geomix.data.archives import Archive, check_archive, open_archive
from geomix.datasets.sources import SOURCES, File
from geomix.download.http import check_space, discard, download
from geomix.errors import InputError
from geomix.files import hash_file, new_folder, write_json

CHUNK = 1 << 20  # bytes


def fetch(dataset: str, out: Path, mirror: Path | None) -> None:
    """Fetch the files of a data set as they are, never unpacked, and write manifest.json beside
    them.

    Each file is taken from the mirror if it is there, otherwise from the first of its urls that
    gives it whole. A file of the mirror that is not whole is refused rather than replaced from the
    network.

    Args:
        dataset: A key of `SOURCES`.
        out: Where the folder shall be. Parts of broken-off downloads wait beside it, in
            `.<name>.partial`, for the next call.
        mirror: A folder that holds files as <dataset>/<file> or <file>, or nothing.

    Raises:
        InputError: In one line, if the mirror is no folder, or a file is nowhere or not what it
            should be. What was at `out` before stays.
    """
    if dataset not in SOURCES:
        raise InputError(f"dataset: found {dataset}, expected one of {', '.join(SOURCES)}")
    if mirror is not None and not mirror.is_dir():
        raise InputError(
            f"download.mirror: found no folder {mirror}, expected one, or null for the network alone"
        )
    source = SOURCES[dataset]
    partial = out.with_name(f".{out.name}.partial")
    downloaded = []
    with new_folder(out) as folder:
        files = {}
        for file in source.files:
            origin = find_in_mirror(dataset, file, mirror)
            if origin:
                path = folder / origin.name
                sha256 = verify(file, origin, exact=False)
                copy_file(origin, path, sha256)
                url = "mirror"
            else:
                path = partial / file.name
                url, sha256 = download_first(dataset, file, path, mirror)
                downloaded.append(path)
            files[path.name] = {"sha256": sha256, "bytes": path.stat().st_size, "source": url}
        for path in downloaded:
            path.replace(folder / path.name)
        write_json(
            folder / "manifest.json",
            {"dataset": dataset, "licence": source.licence, "files": files},
        )
    shutil.rmtree(partial, ignore_errors=True)


def places_in_mirror(dataset: str, file: File, mirror: Path) -> list[Path]:
    """Give where a mirror may hold a file, in order of preference."""
    return [
        folder / name
        for name in (file.name, *file.other_names)
        for folder in (mirror / dataset, mirror)
    ]


def find_in_mirror(dataset: str, file: File, mirror: Path | None) -> Path | None:
    """Give the place of a file in the mirror, if it is there."""
    places = places_in_mirror(dataset, file, mirror) if mirror else []
    return next((path for path in places if path.is_file()), None)


def download_first(dataset: str, file: File, path: Path, mirror: Path | None) -> tuple[str, str]:
    """Download a file from the first of its urls that gives it whole.

    Args:
        dataset: For the message.
        file: Which.
        path: Where to. What turns out not to be the file is removed; what broke off stays.
        mirror: For the message: where the file was not.

    Returns:
        The url and the SHA-256.

    Raises:
        InputError: Naming the file, every place and its reason, and how to get the file by hand.
    """
    reasons = [
        f"{mirror / dataset / file.name}: not there" if mirror else "download.mirror: not set"
    ]
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
        path.parent.rmdir()  # stays where it holds a part to go on with
    raise InputError(
        f"{dataset}/{file.name}: found it nowhere ({'; '.join(reasons)}); expected it from there, or put by hand into "
        f"{mirror or 'FOLDER'}/{dataset}/{file.name} with download.mirror: {mirror or 'FOLDER'} "
        f"(from {SOURCES[dataset].by_hand})"
    )


def copy_file(origin: Path, path: Path, sha256: str) -> None:
    """Copy a verified file, with a progress bar.

    Raises:
        InputError: If the disk is too full, or the copy is not of this SHA-256.
    """
    total = origin.stat().st_size
    check_space(path.parent, total)
    digest = hashlib.sha256()
    with (
        origin.open("rb") as source,
        path.open("wb") as target,
        tqdm(
            total=total, desc=path.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None
        ) as bar,
    ):
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != sha256:
        raise InputError(
            f"{origin}: found sha256 {digest.hexdigest()[:16]}..., expected {sha256[:16]}... as a moment before"
        )


def verify(file: File, path: Path, *, exact: bool) -> str:
    """Read a file from end to end and make sure that it is the one expected.

    Args:
        file: What it should be.
        path: Where it is.
        exact: Whether the published checksum must hold. A mirror's archive may have been packed
            anew: there the content decides.

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
        told = (
            f"found sha256 {found}, expected {file.sha256}"
            if file.sha256
            else f"found md5 {md5}, expected {file.md5}"
        )
        raise InputError(f"{path}: {told}")
    with open_archive(path) as archive:
        check_content(file, archive)
    return found


def check_content(file: File, archive: Archive) -> None:
    """Compare the members of an archive with what is known of them.

    Raises:
        InputError: On another number of members, or another content.
    """
    names = [name for name in archive.names() if not is_apple_double(name)]
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
    r"""Give the SHA-256 of the PNG files in a folder of an archive, whatever their order and
    packing.

    It is that of the sorted lines "name\0SHA-256 of the content\n", names relative to the folder.
    """
    names = [
        name
        for name in archive.names()
        if name.endswith(".png") and folder in name and not is_apple_double(name)
    ]
    lines = []
    for name, content in archive.walk(names):
        lines.append(
            f"{name.partition(folder)[2]}\0{hashlib.sha256(content).hexdigest()}\n".encode()
        )
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def check_rows(path: Path, expected: int) -> None:
    """Check a table whose first line is the number of its rows, its second the header.

    Raises:
        InputError: If the number or the rows are others.
    """
    lines = [
        line
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    first = lines[0].strip() if lines else ""
    if first != str(expected) or len(lines) - 2 != expected:
        raise InputError(
            f"{path}: found {len(lines):,} lines, the first {first[:40]!a}; expected {expected}, a header and as many rows"
        )


def is_apple_double(name: str) -> bool:
    """Say whether a member is what macOS adds beside a file."""
    return PurePosixPath(name).name.startswith("._") or name.startswith("__MACOSX/")


def md5_of_file(path: Path) -> str:
    """Give the MD5 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
