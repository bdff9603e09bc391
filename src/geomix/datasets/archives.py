"""Downloaded archives: checked from end to end, and read in stored order without unpacking."""

import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, NamedTuple, Self, cast

from geomix.errors import InputError

CHUNK = 1 << 20  # bytes read at a time
MOST_BYTES = 1 << 35  # unpacked, all members together: ten times the largest data set
MOST_FILES = 1_000_000
# Unpacked over packed bytes: photographs stay near 1, tables near 10, and deflate can reach 1,000.
MOST_RATIO = 100
RATIO_FROM = 1 << 20  # any ratio is harmless below this number of unpacked bytes
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
)
HTML = re.compile(rb"\s*<(!doctype|html|head|body|script|meta|\?xml|!--)", re.IGNORECASE)
Extract = Callable[[tarfile.TarInfo], IO[bytes]]  # not None for a file


class Entry(NamedTuple):
    """A member of an archive: stored name, kind (only "file" has content), bytes, and reader."""

    name: str
    kind: str
    length: int
    open: Callable[[], IO[bytes]]


class Archive(ABC):
    """An archive, read as it is stored from beginning to end; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Iterate in stored order; an entry can be opened until the next one is taken."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def names(self) -> list[str]:
        """Return the names of the regular files in stored order, without a leading "./".

        Raises:
            InputError: If the archive is damaged.
        """
        with refuse_damage(self.path):
            return [plain_name(entry.name) for entry in self.entries() if entry.kind == "file"]

    def walk(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Read some files in stored order, in one pass; memory holds one of them at a time.

        Args:
            names: As `names` returns them.

        Yields:
            The name and the content of each.

        Raises:
            InputError: If a name is missing or the archive is damaged.
        """
        left = set(names)
        with refuse_damage(self.path):
            for entry in self.entries():
                if not left:
                    return
                name = plain_name(entry.name)
                if entry.kind == "file" and name in left:
                    left.remove(name)
                    with entry.open() as file:
                        content = file.read()
                    yield name, content
        if left:
            missing = f"{len(left):,} of {len(names):,} missing"
            raise InputError(f"{self.path}: found no member {min(left)!r}, expected it ({missing})")

    def read(self, name: str) -> bytes:
        """Read one file.

        In a tar this reads everything before it: use `walk` for several files.

        Raises:
            InputError: If it is missing or the archive is damaged.
        """
        return next(content for _, content in self.walk([name]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ZipArchive(Archive):
    """A zip file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._zip = zipfile.ZipFile(path)

    def entries(self) -> Iterator[Entry]:
        """Iterate over the members in the order of their bytes in the file."""
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            read = partial(self._zip.open, info)
            yield Entry(info.filename, kind_in_zip(info), info.file_size, read)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


class TarArchive(Archive):
    """A tar file, plain or gzipped; each pass reads it again from the beginning."""

    def __init__(self, path: Path, *, gzipped: bool, most_bytes: int) -> None:
        super().__init__(path)
        self._gzipped = gzipped
        self._most = most_bytes

    def entries(self) -> Iterator[Entry]:
        """Iterate in stored order, then refuse a file that does not end as a tar ends."""
        with gzip.open(self.path) if self._gzipped else self.path.open("rb") as file:
            tape = Tape(cast("IO[bytes]", file), self.path, self._most)
            with tarfile.open(fileobj=cast("IO[bytes]", tape), mode="r|", bufsize=CHUNK) as tar:
                for info in tar:
                    read = partial(cast("Extract", tar.extractfile), info)
                    yield Entry(info.name, kind_in_tar(info), info.size, read)
            while tape.read(CHUNK):
                pass
            # tarfile mistakes any unreadable header for the end; the true end is a block of zeros
            # with nothing after it.
            if tape.filled > tar.offset or tape.length < tar.offset + tarfile.BLOCKSIZE:
                raise tarfile.ReadError(f"no end of the archive after {tar.offset:,} bytes")

    def close(self) -> None:
        """Do nothing: each pass closes its file."""


class Tape:
    """The unpacked bytes of a tar: their length, the end of the last one above 0, and a limit."""

    def __init__(self, file: IO[bytes], path: Path, most_bytes: int) -> None:
        self._file, self._path, self._most = file, path, most_bytes
        self.length = 0
        self.filled = 0

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes; none at the end."""
        chunk = self._file.read(count)
        filled = len(chunk.rstrip(b"\0"))
        self.filled = self.length + filled if filled else self.filled
        self.length += len(chunk)
        if self.length > self._most:
            found = f"a bomb that unpacks to over {self._most:,} bytes"
            raise InputError(f"{self._path}: found {found}, expected no more")
        return chunk


def kind_in_zip(info: zipfile.ZipInfo) -> str:
    """Return the kind of a member of a zip."""
    mode = stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(mode):
        return "link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device"
    if info.flag_bits & 1:
        return "member locked with a password"
    return "folder" if info.is_dir() else "file"


def kind_in_tar(info: tarfile.TarInfo) -> str:
    """Return the kind of a member of a tar."""
    if info.issym() or info.islnk():
        return "link"
    if info.isdir():
        return "folder"
    return "file" if info.isreg() and not info.issparse() else "device"


def plain_name(name: str) -> str:
    """Return a stored name without "./", doubled or trailing slashes."""
    return str(PurePosixPath(name))


def visible(names: Iterable[str]) -> list[str]:
    """Return the members of the data set itself, without those that macOS adds to archives.

    These are the members below `__MACOSX` and those with a part that begins with `._`.
    """
    return [
        name
        for name in names
        if not any(part.startswith("._") or part == "__MACOSX" for part in name.split("/"))
    ]


def leaves_folder(name: str) -> bool:
    """Return whether a name could lead out of the folder it is unpacked to, on any system."""
    return (
        bool(re.match(r"[/\\]|[A-Za-z]:", name))
        or ".." in re.split(r"[/\\]", name)
        or "\0" in name
        or not name
    )


@contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Turn the exceptions of the libraries on a damaged archive into one line."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: not found; expected an archive") from None
    except DAMAGE as error:
        reason = " ".join(f"{error or type(error).__name__}".split())
        found = f"a damaged or incomplete archive ({reason})"
        raise InputError(f"{path}: found {found}, expected a whole one") from None


def open_archive(path: Path, *, most_bytes: int = MOST_BYTES) -> Archive:
    """Open a zip, tar or tar.gz, recognised by its content.

    Args:
        path: The file.
        most_bytes: A tar that unpacks to more is refused while it is read.

    Raises:
        InputError: If it is something else, such as an HTML page saved under the name of an
            archive, or damaged.
    """
    with refuse_damage(path):
        with path.open("rb") as file:
            head = file.read(512)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return ZipArchive(path)
        if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
            return TarArchive(path, gzipped=head.startswith(b"\x1f\x8b"), most_bytes=most_bytes)
    if HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        found = "an HTML page (of a login, a licence or an error?)"
    else:
        found = f"a file that begins with {head[:8]!r}" if head else "an empty file"
    raise InputError(f"{path}: found {found}, expected a zip, tar or tar.gz")


def check_archive(
    path: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES
) -> None:
    """Read an archive from end to end and refuse it unless it is whole and harmless.

    Refused are other formats, truncated or corrupt files, names that lead out of the folder or come
    twice, links, devices, locked members, and bombs: too many members, too many bytes, or 100 times
    the bytes of the archive. Nothing is unpacked.

    Args:
        path: The file.
        most_bytes: Unpacked, all members together.
        most_files: Members, folders too.

    Raises:
        InputError: In one line, on the first of these.
    """
    with refuse_damage(path):
        packed = path.stat().st_size
    most = min(most_bytes, max(RATIO_FROM, MOST_RATIO * packed))
    seen: set[str] = set()
    total = 0
    # The headers of a tar count among its bytes, hence the larger limit.
    with open_archive(path, most_bytes=most + RATIO_FROM) as archive, refuse_damage(path):
        for entry in archive.entries():
            _check_entry(path, entry, seen)
            seen.add(plain_name(entry.name))
            total += entry.length
            if total > most:
                found = f"a bomb of {packed:,} bytes that unpack to {total:,}"
                raise InputError(f"{path}: found {found}, expected {most:,}")
            if len(seen) > most_files:
                found = f"a bomb of over {most_files:,} members"
                raise InputError(f"{path}: found {found}, expected no more")
            if entry.kind == "file":
                with entry.open() as file:
                    while file.read(CHUNK):
                        pass


def _check_entry(path: Path, entry: Entry, seen: set[str]) -> None:
    """Refuse a member for its name or its kind."""
    shown = ascii(entry.name if len(entry.name) <= 100 else f"{entry.name[:100]}...")
    if leaves_folder(entry.name):
        expected = "names that stay in the folder"
        raise InputError(f"{path}: found a member {shown}, expected {expected}")
    if entry.kind not in ("file", "folder"):
        found = f"a {entry.kind}, {shown}"
        raise InputError(f"{path}: found {found}, expected plain files and folders")
    if entry.kind == "file" and plain_name(entry.name) in seen:
        raise InputError(f"{path}: found the member {shown} twice, expected it once")
