"""Download one file over HTTP: streamed to disk, and resumed where an earlier try broke off."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import requests
import urllib3

from geomix.errors import InputError
from geomix.files import read_json, write_json
from geomix.progress import BYTES, open_bar

CHUNK = 1 << 16  # bytes
TIMEOUT = (20, 60)  # seconds: to connect, and without a byte
TRIES = 3  # in a row without progress
PAUSE = 1.0  # seconds before the second try, then doubled
SPARE = 1 << 26  # bytes to leave free on the disk
BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses that may pass


class BrokenOffError(Exception):
    """A try failed in a way that another try may mend."""


def state_path(part: Path) -> Path:
    """Return the file beside a partial download that has its url, validator and total length."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a partial download and its state."""
    part.unlink(missing_ok=True)
    state_path(part).unlink(missing_ok=True)


def check_space(folder: Path, count: int) -> None:
    """Refuse a file that the disk cannot hold.

    Args:
        folder: A folder on the disk.
        count: Bytes still to be written.

    Raises:
        InputError: If less than 64 MiB would remain free.
    """
    free = shutil.disk_usage(folder).free
    if free < count + SPARE:
        raise InputError(
            f"{folder}: found {free:,} bytes free on the disk, expected {count + SPARE:,}"
        )


def download(url: str, part: Path) -> None:
    """Download a file, and resume a part that an earlier call left if the server can.

    A try without progress is repeated twice. On an error the part stays for a later call.

    Args:
        url: The source; redirects are followed.
        part: The target. Its state is kept beside it as `<name>.json` until the caller moves or
            discards the file.

    Raises:
        InputError: In one line with the url, if the server refuses or cannot be reached, sends a
            page instead of the file, keeps breaking off, or the disk is too full.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    failures, most = 0, size_of(part)
    while True:
        try:
            receive(url, part)
            return
        except (BrokenOffError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failures, most = (1, size_of(part)) if size_of(part) > most else (failures + 1, most)
            if failures >= TRIES:
                raise InputError(f"{url}: found {reason_of(error)}, expected the file") from None
            time.sleep(PAUSE * 2 ** (failures - 1))


def receive(url: str, part: Path) -> None:
    """Make one try: append what is missing, or start anew where the server cannot resume."""
    state = read_state(part, url)
    have = size_of(part) if state else 0
    if state and have == state["total"]:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "geomix"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if state["validator"]:
            headers["If-Range"] = state["validator"]
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if (
            have
            and reply.status_code == 416
            and reply.headers.get("Content-Range") == f"bytes */{have}"
        ):
            return
        if have and (
            reply.status_code == 416
            or (reply.status_code == 206 and not continues(reply.headers, have, state))
        ):
            discard(part)
            raise BrokenOffError("another file than the one begun")
        if reply.status_code not in (200, 206) or (reply.status_code == 206 and not have):
            found = f"status {reply.status_code} {reply.reason or ''}".strip()
            if reply.status_code in BUSY:
                raise BrokenOffError(found)
            raise InputError(f"{url}: found {found}, expected the file")
        if reply.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise InputError(f"{url}: found an HTML page, expected the file")
        have = have if reply.status_code == 206 else 0
        length = reply.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        check_space(part.parent, (total or have) - have)
        if not have:
            discard(part)
            write_state(part, url, reply.headers, total)
        with (
            part.open("ab") as file,
            open_bar(total=total, initial=have, desc=part.name, **BYTES) as bar,
        ):
            save_body(reply.raw, file, bar)
    if total is not None and size_of(part) != total:
        raise BrokenOffError(f"{size_of(part):,} of {total:,} bytes")


def save_body(raw: Any, file: IO[bytes], bar: Any) -> None:
    """Write a body as it arrives: what servers call the encoding of a .tgz is the file itself."""
    while chunk := raw.read1(CHUNK, decode_content=False):
        file.write(chunk)
        bar.update(len(chunk))


def continues(headers: Mapping[str, str], have: int, state: Mapping[str, Any]) -> bool:
    """Say whether a reply resumes the file: at the right byte, with the same length and version."""
    unit, _, place = headers.get("Content-Range", "").partition(" ")
    start, _, rest = place.partition("-")
    total = rest.partition("/")[2]
    validator = validator_of(headers)
    return (
        unit == "bytes"
        and start == str(have)
        and (state["total"] is None or total in ("*", str(state["total"])))
        and (not validator or not state["validator"] or validator == state["validator"])
    )


def validator_of(headers: Mapping[str, str]) -> str:
    """Return what identifies a version of a file: a strong ETag, or the date of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def size_of(path: Path) -> int:
    """Return the length of a file in bytes, 0 if it is not there."""
    return path.stat().st_size if path.is_file() else 0


def read_state(part: Path, url: str) -> dict[str, Any]:
    """Read the state of a part; nothing if it is unknown or of another url."""
    if not (part.is_file() and state_path(part).is_file()):
        return {}
    try:
        state = read_json(state_path(part))
    except InputError:
        return {}
    return dict(state) if state.get("url") == url else {}


def write_state(part: Path, url: str, headers: Mapping[str, str], total: int | None) -> None:
    """Write the state of a part."""
    write_json(state_path(part), {"url": url, "validator": validator_of(headers), "total": total})


def reason_of(error: Exception) -> str:
    """Return the innermost cause of a failed connection in a few words."""
    cause: BaseException = error
    while (
        inner := getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
    ) and isinstance(inner, BaseException):
        cause = inner
    text = f"{error}" if cause is error else f"{type(cause).__name__}: {cause}"
    return " ".join(text.split())[:200]
