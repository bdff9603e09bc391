"""Content behind paths of params.yaml, which DVC does not see: what stages depend on in its place.

Each repro writes it anew, so that a file that was replaced under the same path makes stale what was
made of it. Where a path leads nowhere on this machine, what is known of it stays: the results of
others, fetched from a remote, need no copy of their files.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from geomix.config.stages import DownloadParams
from geomix.files import hash_file, read_json, write_json

CHECKPOINTS = "checkpoints.json"


def write_content(folder: Path, raw: Any, params: DownloadParams, former: Path) -> None:
    """Write what is behind each path: checkpoints.json, folder.json and embeddings.json.

    Args:
        folder: The target folder.
        raw: The content of params.yaml, which may name checkpoints anywhere.
        params: The paths of the user's data.
        former: The folder of an earlier call, if there was one.
    """
    known = read_former(former / CHECKPOINTS)
    hashes = {name: hash_path(Path(name), known.get(name)) for name in list_checkpoints(raw)}
    write_json(folder / CHECKPOINTS, dict(sorted(hashes.items())))
    vectors, table = params.embeddings.path, params.embeddings.table
    own = {
        "folder": [params.folder.path],
        "embeddings": [vectors, str(Path(vectors or "").parent / table) if table else None],
    }
    for name, paths in own.items():
        known = read_former(former / f"{name}.json")
        marks = {path: mark_path(Path(path), known.get(path)) for path in paths if path}
        write_json(folder / f"{name}.json", marks)


def read_former(path: Path) -> Mapping[str, str | None]:
    """Read what an earlier call wrote, nothing where there was none."""
    return dict(read_json(path)) if path.is_file() else {}


def list_checkpoints(node: Any) -> Iterator[str]:
    """Yield the paths under all keys named checkpoint, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "checkpoint":
                yield from [value] if isinstance(value, str) else filter(None, value or [])
            else:
                yield from list_checkpoints(value)
    elif isinstance(node, list):
        for value in node:
            yield from list_checkpoints(value)


def hash_path(path: Path, known: str | None) -> str | None:
    """Return the SHA-256 of a file, or what is known of one that is not here."""
    return hash_file(path) if path.is_file() else known


def mark_path(path: Path, known: str | None) -> str | None:
    """Return what changes when a file, or a file in a folder, does; or what is known of it.

    It is a hash of names, sizes and times of change, in place of all bytes: what is copied from
    there is hashed as a whole by DVC, so equal files under new times make nothing else stale.
    """
    if not path.exists():
        return known
    digest = hashlib.sha256()
    for file in sorted(list_files(path)):
        status = Path(file).stat()
        line = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def list_files(path: Path) -> Iterable[str]:
    """Yield a file, or all files in a folder; links are followed, but not in circles."""
    if path.is_file():
        yield str(path)
        return
    seen = set()
    for root, folders, files in os.walk(path, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (f"{root}/{name}" for name in files if Path(root, name).is_file())
