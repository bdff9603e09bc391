"""Archives: read in stored order, one file in memory at a time; all that is harmful is refused."""

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets.archives import check_archive, open_archive, visible
from geomix.errors import InputError

NOISE = random.Random(0)
FILES = {f"set/{name}": NOISE.randbytes(3000) for name in ("b.png", "a.png", "c/é.png")}
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


def write_zip(path: Path, members: dict[str, bytes] = FILES) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(path: Path, members: dict[str, bytes] = FILES, *, gzipped: bool = True) -> None:
    with tarfile.open(path, "w:gz") if gzipped else tarfile.open(path, "w:") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_plain_tar(path: Path, members: dict[str, bytes] = FILES) -> None:
    write_tar(path, members, gzipped=False)


def zip_special(kind: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("set/x.png")
            info.external_attr = (kind | 0o777) << 16
            archive.writestr(info, "/etc/passwd")

    return write


def tar_special(kind: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo("set/x.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)

    return write


def lock(path: Path) -> None:
    write_zip(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= (
        1  # the flag "encrypted" of the first entry of the directory
    )
    path.write_bytes(content)


def flip(write: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        write(path)
        content = bytearray(path.read_bytes())
        content[int(len(content) * share)] ^= 0xFF
        path.write_bytes(content)

    return damage


def cut(write: Callable[[Path], None], end: Callable[[int], int]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: end(len(content))])

    return damage


def twice(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("set/a.png"))


def with_name(write: Callable[[Path, dict[str, bytes]], None], name: str) -> Callable[[Path], None]:
    return lambda path: write(path, {"set/a.png": b"a", name: b"b"})


HARMFUL = {
    "empty": (lambda path: path.touch(), "found an empty file, expected a zip, tar or tar.gz"),
    "page": (lambda path: path.write_bytes(PAGE), "found an HTML page"),
    "gzipped page": (
        lambda path: path.write_bytes(gzip.compress(PAGE)),
        "found a damaged or incomplete archive",
    ),
    "image": (
        lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"),
        r"found a file that begins with b'\\xff\\xd8",
    ),
    "zip cut in half": (cut(write_zip, lambda end: end // 2), "damaged or incomplete"),
    "zip less a byte": (cut(write_zip, lambda end: end - 1), "damaged or incomplete"),
    "tar.gz cut in half": (cut(write_tar, lambda end: end // 2), "damaged or incomplete"),
    "tar.gz less a byte": (cut(write_tar, lambda end: end - 1), "damaged or incomplete"),
    "tar cut in a file": (cut(write_plain_tar, lambda end: 6000), "damaged or incomplete"),
    "tar cut in a header": (cut(write_plain_tar, lambda end: 3584 + 100), "damaged or incomplete"),
    "tar cut between files": (
        cut(write_plain_tar, lambda end: 3584),
        "no end of the archive after 3,584 bytes",
    ),
    "zip with another byte": (flip(write_zip, 0.3), "damaged or incomplete"),
    "tar.gz with another byte": (flip(write_tar, 0.5), "damaged or incomplete"),
    "tar with another header": (flip(write_plain_tar, 3600 / 20480), "damaged or incomplete"),
    "zip that climbs": (
        with_name(write_zip, "set/../../x"),
        r"found a member 'set/../../x', expected names that stay",
    ),
    "zip that climbs as on Windows": (
        with_name(write_zip, r"..\x"),
        "names that stay in the folder",
    ),
    "zip from the root": (with_name(write_zip, "/tmp/x"), "found a member '/tmp/x'"),
    "zip from a drive": (with_name(write_zip, "C:/x"), "found a member 'C:/x'"),
    "tar.gz that climbs": (with_name(write_tar, "../x"), "found a member '../x'"),
    "tar.gz from the root": (with_name(write_tar, "/tmp/x"), "found a member '/tmp/x'"),
    "zip with a line break": (with_name(write_zip, "../x\ny"), r"found a member '../x\\ny'"),
    "zip with a link": (
        zip_special(stat.S_IFLNK),
        "found a link, 'set/x.png', expected plain files",
    ),
    "zip with a device": (zip_special(stat.S_IFCHR), "found a device"),
    "tar.gz with a symbolic link": (
        tar_special(tarfile.SYMTYPE),
        "found a link, 'set/x.png', expected plain files",
    ),
    "tar.gz with a hard link": (tar_special(tarfile.LNKTYPE), "found a link"),
    "tar.gz with a device": (tar_special(tarfile.CHRTYPE), "found a device"),
    "tar.gz with a pipe": (tar_special(tarfile.FIFOTYPE), "found a device"),
    "tar.gz with a name twice": (twice, "found the member 'set/a.png' twice"),
    "zip with a password": (lock, "found a member locked with a password, 'set/b.png'"),
    "zip bomb": (
        lambda path: write_zip(path, {"x": bytes(1 << 22)}),
        "found a bomb of .* that unpack to 4,194,304",
    ),
    "tar.gz bomb": (lambda path: write_tar(path, {"x": bytes(1 << 22)}), "found a bomb"),
    "gzip bomb": (
        lambda path: path.write_bytes(gzip.compress(tar_head() + bytes(1 << 22))),
        "found a bomb that unpacks",
    ),
}


def tar_head() -> bytes:
    return tarfile.TarInfo("a").tobuf()


@pytest.mark.parametrize("write", [write_zip, write_tar, write_plain_tar])
def test_files_are_read_in_stored_order(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "x")
    check_archive(tmp_path / "x")
    with open_archive(tmp_path / "x") as archive:
        assert archive.names() == list(FILES)
        found = list(archive.walk(["set/c/é.png", "set/b.png"]))
        assert found == [(name, FILES[name]) for name in ("set/b.png", "set/c/é.png")]
        assert archive.read("set/a.png") == FILES["set/a.png"]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_missing_file_is_named(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "x")
    with (
        open_archive(tmp_path / "x") as archive,
        pytest.raises(
            InputError, match=r"x: found no member 'set/z.png', expected it \(1 of 2 missing\)"
        ),
    ):
        list(archive.walk(["set/a.png", "set/z.png"]))


def test_names_are_plain_and_folders_are_no_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", "w:gz") as archive:
        folder = tarfile.TarInfo("./set")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("./set/a.png"))
    with open_archive(tmp_path / "x") as opened:
        assert opened.names() == ["set/a.png"]
        assert opened.read("set/a.png") == b""


@pytest.mark.parametrize("case", HARMFUL)
def test_a_broken_or_harmful_archive_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    write, message = HARMFUL[case]
    write(tmp_path / "x.zip")
    with pytest.raises(InputError, match=rf"x\.zip: .*{message}") as caught:
        check_archive(tmp_path / "x.zip")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_limits_can_be_set(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "x")
    check_archive(tmp_path / "x", most_bytes=1 << 14, most_files=3)
    with pytest.raises(InputError, match="bomb of over 2 members, expected no more"):
        check_archive(tmp_path / "x", most_files=2)
    with pytest.raises(InputError, match="found a bomb"):
        check_archive(tmp_path / "x", most_bytes=8999)


def test_a_large_file_that_shrinks_a_little_is_no_bomb(tmp_path: Path) -> None:
    write_zip(
        tmp_path / "x", {"table.txt": b"".join(b"%d line\n" % number for number in range(200_000))}
    )
    check_archive(tmp_path / "x")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x.zip: not found; expected an archive"):
        check_archive(tmp_path / "x.zip")


def test_what_macos_adds_is_not_visible() -> None:
    kept = ["a/b.png", "a/b._c", "__MACOSX.txt", "a.__MACOSX/b"]
    hidden = ["._a", "a/._b.png", "._a/b.png", "__MACOSX/a", "a/__MACOSX/b", "a/__MACOSX"]
    assert visible([*hidden, *kept]) == kept
