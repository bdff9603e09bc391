"""Fetching: from the mirror or the network, all of it verified before any of it appears."""

import gzip
import hashlib
import io
import random
import shutil
import stat
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets.archives import open_archive
from geomix.datasets.sources import File, Source
from geomix.download import http
from geomix.download.fetch import digest_content
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import read_json

if TYPE_CHECKING:
    from tests.download.conftest import Site

NOISE = random.Random(0)
IMAGES = {f"images/{name}.png": NOISE.randbytes(40_000) for name in "abc"}
TABLE = b"2\nimage_name item_id\nimg/a.jpg id_1\nimg/b.jpg id_2\n"


def pack(members: dict[str, bytes] = IMAGES) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pack_link() -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        info = zipfile.ZipInfo("images/d.png")
        info.external_attr = stat.S_IFLNK << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def pack_tar(name: str, kind: bytes) -> bytes:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "images/a.png"
        archive.addfile(info)
    return buffer.getvalue()


def pack_locked() -> bytes:
    content = bytearray(pack())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


ORIGINAL = pack()
BROKEN: dict[str, tuple[bytes, str]] = {
    "page": (b"<html>Log in</html>", "found an HTML page"),
    "truncated": (ORIGINAL[:60_000], "found a damaged or incomplete"),
    "corrupt": (ORIGINAL[:60_000] + b"?" + ORIGINAL[60_001:], "found a damaged or incomplete"),
    "climbs": (pack(IMAGES | {"../x": b""}), "found a member '../x'"),
    "absolute": (pack(IMAGES | {"/x": b""}), "found a member '/x'"),
    "link": (pack_link(), "found a link"),
    "tar climbs": (pack_tar("../x", tarfile.REGTYPE), "found a member '../x'"),
    "tar symbolic link": (pack_tar("images/d.png", tarfile.SYMTYPE), "found a link"),
    "tar hard link": (pack_tar("images/d.png", tarfile.LNKTYPE), "found a link"),
    "locked": (pack_locked(), "found a member locked with a password"),
    "bomb": (gzip.compress(tarfile.TarInfo("x").tobuf() + bytes(1 << 22)), "found a bomb"),
}


@pytest.fixture
def file(site: "Site") -> File:
    """Return the one file of a data set `tiny` that the server has."""
    site.files["a.zip"] = ORIGINAL
    return File(
        "a.zip",
        urls=(f"{site.url}/first/a.zip", f"{site.url}/a.zip"),
        other_names=("sub/b.zip",),
        md5=hashlib.md5(ORIGINAL, usedforsecurity=False).hexdigest(),
        counts={"*images/*.png": 3},
    )


def fetch(out: Path, mirror: Path | None, *files: File) -> None:
    """Obtain the files of a data set `tiny`."""
    params = DownloadParams(
        download=Download(mirror=str(mirror) if mirror else None),
        folder=Folder(path=None, table=None),
        embeddings=Embeddings(path=None, table=None),
    )
    source = Source(files=files, licence="MIT", by_hand="https://example.org")
    obtain("tiny", source, params, out)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output that is there already."""
    out = tmp_path / "raw" / "tiny"
    out.mkdir(parents=True)
    (out / "old").write_text("old")
    return out


def assert_refused(
    message: str, out: Path, mirror: Path | None, *files: File, kept: tuple[str, ...] = ()
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        fetch(out, mirror, *files)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in out.parent.iterdir()) == sorted([out.name, *kept])
    assert [path.read_text() for path in out.iterdir()] == ["old"]


def test_a_download_takes_the_first_url_that_has_the_file(
    file: File, site: "Site", out: Path
) -> None:
    fetch(out, None, file)
    assert sorted(path.name for path in out.iterdir()) == ["a.zip", "manifest.json"]
    assert (out / "a.zip").read_bytes() == ORIGINAL
    assert read_json(out / "manifest.json") == {
        "dataset": "tiny",
        "licence": "MIT",
        "files": {
            "a.zip": {
                "sha256": hashlib.sha256(ORIGINAL).hexdigest(),
                "bytes": len(ORIGINAL),
                "source": f"{site.url}/a.zip",
            }
        },
    }
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("place", ["tiny/a.zip", "a.zip", "tiny/sub/b.zip", "sub/b.zip"])
def test_a_mirror_comes_before_the_network(
    place: str, file: File, site: "Site", out: Path, tmp_path: Path
) -> None:
    packed_anew = pack(dict(reversed(IMAGES.items())))
    path = tmp_path / "mirror" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(packed_anew)
    path.chmod(0o444)
    fetch(out, tmp_path / "mirror", file)
    assert (out / path.name).read_bytes() == packed_anew
    manifest = read_json(out / "manifest.json")
    assert manifest["files"][path.name]["source"] == "mirror"
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    assert not site.asked


def test_what_a_mirror_lacks_is_downloaded(file: File, out: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    fetch(out, tmp_path / "mirror", file)
    assert (out / "a.zip").read_bytes() == ORIGINAL


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_of_the_mirror_is_refused(
    case: str, file: File, site: "Site", out: Path, tmp_path: Path
) -> None:
    content, message = BROKEN[case]
    (tmp_path / "a.zip").write_bytes(content)
    assert_refused(f"^{tmp_path}/a.zip: {message}", out, tmp_path, file)
    assert not site.asked


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_download_is_refused_and_removed(
    case: str, file: File, site: "Site", out: Path
) -> None:
    content, message = BROKEN[case]
    site.files["a.zip"] = content
    nowhere = "^tiny/a.zip: found it nowhere .*/first/a.zip: found status 404"
    assert_refused(f"{nowhere}.*{site.url}/a.zip: {message}", out, None, file)


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_a_download_of_another_checksum_is_refused(name: str, file: File, out: Path) -> None:
    expected = hashlib.new(name, b"another").hexdigest()
    found = hashlib.new(name, ORIGINAL).hexdigest()
    other = replace(file, **{"md5": "", name: expected})  # type: ignore[arg-type]
    assert_refused(f"a.zip: found {name} {found}, expected {expected}", out, None, other)


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_what_has_the_published_checksum_is_the_original_whatever_is_in_it(
    name: str, file: File, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(ORIGINAL)
    checksum = hashlib.new(name, ORIGINAL).hexdigest()
    other = replace(file, counts={"*": 99}, **{"md5": "", name: checksum})  # type: ignore[arg-type]
    fetch(out, tmp_path, other)
    assert (out / "a.zip").read_bytes() == ORIGINAL


def test_a_download_that_breaks_off_waits_for_the_next_run(
    file: File, site: "Site", out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.breaks = [50_000]
    with monkeypatch.context() as patch:
        patch.setattr(http, "TRIES", 1)
        assert_refused("a.zip: found .*IncompleteRead", out, None, file, kept=(".tiny.partial",))
    shutil.rmtree(out)  # as DVC does before a stage
    site.asked.clear()
    fetch(out, None, file)
    assert (out / "a.zip").read_bytes() == ORIGINAL
    assert site.asked == [None, "bytes=50000-"]
    assert list(out.parent.iterdir()) == [out]


def test_a_file_nowhere_is_named_with_every_place_and_the_way_by_hand(
    file: File, site: "Site", out: Path, tmp_path: Path
) -> None:
    site.files.clear()
    assert_refused(
        f"^tiny/a.zip: found it nowhere \\({tmp_path}/tiny/a.zip: not there; "
        f"{site.url}/first/a.zip: found status 404 .*; {site.url}/a.zip: found status 404 .*\\); "
        f"expected it from there, or put by hand into {tmp_path}/tiny/a.zip with "
        f"download.mirror: {tmp_path} \\(from https://example.org\\)$",
        out,
        tmp_path,
        file,
    )


def test_a_file_for_people_only_says_so(out: Path) -> None:
    reasons = "download.mirror: not set; no url, it is for people to download"
    file = File("a.zip", counts={"*": 1})
    assert_refused(f"{reasons}.*put by hand into FOLDER/tiny/a.zip", out, None, file)


def test_a_file_that_fails_keeps_the_whole_of_the_others_for_later(
    file: File, site: "Site", out: Path
) -> None:
    files = file, replace(file, name="z.zip", urls=(f"{site.url}/z.zip",))
    assert_refused("tiny/z.zip: found it nowhere", out, None, *files, kept=(".tiny.partial",))
    site.files["z.zip"] = ORIGINAL
    site.asked.clear()
    fetch(out, None, *files)
    assert len(site.asked) == 2  # first/a.zip, which is not there, and z.zip
    assert list(read_json(out / "manifest.json")["files"]) == ["a.zip", "z.zip"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {"*images/*.png": 4}}, r"found 3 members \*images/\*.png, expected 4"),
        ({"counts": {"*images/*.png": 2}}, r"found 3 members \*images/\*.png, expected 2"),
        ({"counts": {"*.txt": 1}}, r"found 0 members \*.txt, expected 1"),
        (
            {"member_md5": {"*/a.png": "0" * 32}},
            r"found md5 [0-9a-f]{32} of images/a.png, expected 0{32}",
        ),
        (
            {"content": ("images/", "0" * 64)},
            r"found images of digest [0-9a-f]{16}..., expected 0{16}",
        ),
    ],
)
def test_other_content_is_refused(
    change: dict[str, object],
    message: str,
    file: File,
    out: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "a.zip").write_bytes(pack())
    other = replace(file, md5="", **change)  # type: ignore[arg-type]
    assert_refused(f"a.zip: {message}", out, tmp_path, other)


def test_files_of_macos_do_not_count(file: File, out: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(
        pack(IMAGES | {"images/._a.png": b"", "__MACOSX/images/a.png": b""})
    )
    fetch(out, tmp_path, file)
    assert (out / "a.zip").is_file()


def test_more_than_the_table_lists_is_allowed_where_said(
    file: File, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(pack())
    fetch(out, tmp_path, replace(file, counts={"*images/*.png": 2}, more=True))
    assert (out / "a.zip").is_file()


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    digests = set()
    inside = {f"top/{name}": content for name, content in IMAGES.items()} | {"top/readme.txt": b""}
    for content in (pack(), pack(dict(reversed(IMAGES.items()))), pack(inside)):
        (tmp_path / "x").write_bytes(content)
        with open_archive(tmp_path / "x") as archive:
            digests.add(digest_content(archive, "images/"))
    lines = sorted(
        f"{name[7:]}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in IMAGES.items()
    )
    assert digests == {hashlib.sha256("".join(lines).encode()).hexdigest()}


def test_a_table_must_have_the_rows_it_says(out: Path, tmp_path: Path) -> None:
    file = File("list.txt", rows=2)
    message = "list.txt: found .* lines, the first .*; expected 2, a header and 2 rows"
    for content in (
        b"<html>",
        b"",
        TABLE.replace(b"img/b.jpg id_2\n", b""),
        TABLE.replace(b"2\n", b"3\n", 1),
    ):
        (tmp_path / "list.txt").write_bytes(content)
        assert_refused(message, out, tmp_path, file)
    (tmp_path / "list.txt").write_bytes(TABLE)
    fetch(out, tmp_path, file)
    assert (out / "list.txt").read_bytes() == TABLE


def test_a_mirror_that_is_not_there_is_a_mistake(file: File, out: Path, tmp_path: Path) -> None:
    message = "download.mirror: found no folder .*/nowhere, expected one"
    assert_refused(message, out, tmp_path / "nowhere", file)


def test_a_copy_that_differs_from_what_was_verified_is_refused(
    file: File, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(ORIGINAL)
    monkeypatch.setattr("geomix.download.fetch.verify", lambda file, path, exact: "0" * 64)
    assert_refused("a.zip: found sha256 .* as a moment before", out, tmp_path, file)
