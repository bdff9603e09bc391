"""Downloading over HTTP: a broken transfer is resumed, and what is not the file is refused."""

import gzip
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from geomix.download import http
from geomix.download.http import continues, download
from geomix.errors import InputError

if TYPE_CHECKING:
    from tests.download.conftest import Site

CONTENT = random.Random(0).randbytes(300_000)
DAY = "Wed, 21 Oct 2015 07:28:00 GMT"
OTHER = random.Random(1).randbytes(300_000)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "partial" / "x.zip"


def break_off(site: "Site", part: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a killed download leaves: a part and its state."""
    site.files["x.zip"] = CONTENT
    site.breaks = [after]
    with monkeypatch.context() as patch:
        patch.setattr(http, "TRIES", 1)
        with pytest.raises(InputError, match="expected the file"):
            download(f"{site.url}/x.zip", part)
    assert part.stat().st_size == after
    site.asked.clear()


def test_a_file_arrives_whole_and_is_not_asked_for_again(site: "Site", part: Path) -> None:
    site.files["x.zip"] = CONTENT
    for _ in range(2):
        download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT
    assert site.asked == [None]


def test_a_killed_download_resumes(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(site, part, 120_000, monkeypatch)
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT
    assert site.asked == ["bytes=120000-"]


@pytest.mark.parametrize(
    ("headers", "only_if"),
    [
        ({}, None),
        ({"ETag": '"one"'}, '"one"'),
        ({"ETag": 'W/"one"'}, None),
        ({"ETag": 'W/"one"', "Last-Modified": DAY}, DAY),
    ],
)
def test_a_download_goes_on_by_itself_as_long_as_it_gets_on(
    headers: dict[str, str], only_if: str | None, site: "Site", part: Path
) -> None:
    site.files["x.zip"], site.headers = CONTENT, headers
    site.breaks = [50_000] * 5
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT
    assert site.asked == [None, *(f"bytes={count}-" for count in range(50_000, 300_000, 50_000))]
    assert site.only_if == [None, *[only_if] * 5]


def test_a_server_without_ranges_restarts(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(site, part, 120_000, monkeypatch)
    site.ranges = False
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT


def test_a_file_that_changed_on_the_server_restarts(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(site, part, 120_000, monkeypatch)
    site.files["x.zip"], site.headers = OTHER, {"ETag": '"two"'}
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == OTHER


@pytest.mark.parametrize("other", [OTHER[:200_000], OTHER[:100_000]])
def test_a_file_of_another_length_restarts_without_a_version_too(
    other: bytes, site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.headers = {}
    break_off(site, part, 120_000, monkeypatch)
    site.files["x.zip"] = other
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == other


@pytest.mark.parametrize(
    ("place", "tag", "expected"),
    [
        ("bytes 5-9/10", '"one"', True),
        ("bytes 5-9/*", '"one"', True),
        ("bytes 5-9/10", "", True),
        ("bytes 4-9/10", '"one"', False),
        ("bytes 5-10/11", '"one"', False),
        ("bytes 5-9/10", '"two"', False),
        ("", '"one"', False),
    ],
)
def test_only_the_rest_of_the_same_file_is_appended(place: str, tag: str, expected: bool) -> None:
    headers = {"Content-Range": place, "ETag": tag}
    assert continues(headers, 5, {"total": 10, "validator": '"one"'}) is expected


def test_another_url_restarts(site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(site, part, 120_000, monkeypatch)
    site.files["y.zip"] = OTHER
    download(f"{site.url}/y.zip", part)
    assert part.read_bytes() == OTHER
    assert site.asked == [None]


def test_a_part_of_unknown_length_that_is_whole_is_kept(site: "Site", part: Path) -> None:
    site.files["x.zip"], site.length = CONTENT, False
    for _ in range(2):
        download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-"]


def test_an_encoding_of_the_server_is_left_alone(site: "Site", part: Path) -> None:
    packed = gzip.compress(CONTENT)
    site.files["x.zip"], site.headers = packed, {"Content-Encoding": "gzip"}
    download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == packed


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (404, 1), (503, 3)])
def test_a_refusal_is_repeated_only_where_it_may_pass(
    status: int, tries: int, site: "Site", part: Path
) -> None:
    site.files["x.zip"], site.status = CONTENT, status
    with pytest.raises(
        InputError,
        match=rf"^http://127.0.0.1:\d+/x.zip: found status {status} .*, expected the file$",
    ):
        download(f"{site.url}/x.zip", part)
    assert len(site.asked) == tries


def test_a_server_that_brings_nothing_new_is_given_up(site: "Site", part: Path) -> None:
    site.files["x.zip"] = CONTENT
    site.breaks = [100_000, *[0] * 9]
    with pytest.raises(InputError, match="x.zip: found .*, expected the file"):
        download(f"{site.url}/x.zip", part)
    assert len(site.asked) == 3
    assert part.read_bytes() == CONTENT[:100_000]


def test_a_page_does_not_replace_a_part(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(site, part, 120_000, monkeypatch)
    site.ranges, site.headers = False, {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(InputError, match="x.zip: found an HTML page, expected the file"):
        download(f"{site.url}/x.zip", part)
    assert part.read_bytes() == CONTENT[:120_000]


def test_a_full_disk_is_seen_before_it_is_full(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["x.zip"] = CONTENT
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=http.SPARE + 299_999)
    )
    with pytest.raises(
        InputError, match=r"partial: found 67,408,863 bytes free on the disk, expected 67,408,864"
    ):
        download(f"{site.url}/x.zip", part)
    assert not part.exists()


def test_an_unreachable_server_is_named_in_one_line(
    site: "Site", part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TRIES", 1)
    with pytest.raises(
        InputError, match="^http://127.0.0.1:1/x.zip: found .*refused.*, expected the file$"
    ):
        download("http://127.0.0.1:1/x.zip", part)
