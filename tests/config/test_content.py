"""Content behind paths: what changes with it, and what stays where it is not here."""

import os
from pathlib import Path
from typing import Any

import pytest

from geomix.config.content import list_checkpoints, write_content
from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.files import hash_file, read_json


def write(
    out: Path, raw: Any = None, folder: Path | None = None, vectors: Path | None = None
) -> dict[str, Any]:
    """Write what is behind paths and read it."""
    params = DownloadParams(
        download=Download(mirror=None),
        folder=Folder(path=str(folder) if folder else None, table=None),
        embeddings=Embeddings(path=str(vectors) if vectors else None, table="table.csv"),
    )
    out.mkdir(exist_ok=True)
    write_content(out, raw, params, out)
    return {path.stem: read_json(path) for path in out.iterdir()}


def test_checkpoints_are_found_wherever_params_name_them() -> None:
    raw = {
        "backbone": {"name": "a", "checkpoint": "one.pth"},
        "features": {"backbone": {"checkpoint": None}},
        "study": {"x": {"over": {"backbone": {"checkpoint": ["two.pth", None]}}, "pinned": {}}},
        "tune": {"own": {"glyphs": {"backbone": {"checkpoint": "three.pth"}}}},
    }
    assert list(list_checkpoints(raw)) == ["one.pth", "two.pth", "three.pth"]


def test_a_checkpoint_is_known_by_its_bytes(tmp_path: Path) -> None:
    path, raw = tmp_path / "mine.pth", {"backbone": {"checkpoint": str(tmp_path / "mine.pth")}}
    assert write(tmp_path / "out", raw)["checkpoints"] == {str(path): None}
    path.write_bytes(b"first")
    first = write(tmp_path / "out", raw)["checkpoints"]
    assert first == {str(path): hash_file(path)}
    os.utime(path, (0, 0))
    assert write(tmp_path / "out", raw)["checkpoints"] == first
    path.write_bytes(b"other")
    other = write(tmp_path / "out", raw)["checkpoints"]
    assert other == {str(path): hash_file(path)} != first
    path.unlink()
    assert write(tmp_path / "out", raw)["checkpoints"] == other  # as on the machine of a colleague
    assert write(tmp_path / "out")["checkpoints"] == {}


@pytest.mark.parametrize("change", ["add", "rewrite", "rename", "remove", "behind a link"])
def test_a_folder_is_known_by_its_files(tmp_path: Path, change: str) -> None:
    folder, linked = tmp_path / "own", tmp_path / "linked"
    for place in (folder / "a", folder / "b/deep", linked):
        place.mkdir(parents=True)
        (place / "1.png").write_bytes(b"one")
    (folder / "c").symlink_to(linked)
    (folder / "c" / "circle").symlink_to(folder)
    before = write(tmp_path / "out", folder=folder)["folder"]
    assert before.keys() == {str(folder)}
    assert write(tmp_path / "out", folder=folder)["folder"] == before
    if change == "add":
        (folder / "a/2.png").touch()
    elif change == "rewrite":
        status = (folder / "a/1.png").stat()
        (folder / "a/1.png").write_bytes(b"two")
        os.utime(folder / "a/1.png", ns=(status.st_atime_ns, status.st_mtime_ns))  # as cp -p does
    elif change == "rename":
        (folder / "b/deep/1.png").rename(folder / "b/deep/2.png")
    elif change == "remove":
        (folder / "b/deep/1.png").unlink()
    else:
        (linked / "1.png").write_bytes(b"three")
    assert write(tmp_path / "out", folder=folder)["folder"] != before


@pytest.mark.parametrize("name", ["vectors.npy", "table.csv"])
def test_vectors_are_known_by_both_files(tmp_path: Path, name: str) -> None:
    for file in ("vectors.npy", "table.csv"):
        (tmp_path / file).write_bytes(b"one")
    before = write(tmp_path / "out", vectors=tmp_path / "vectors.npy")["embeddings"]
    assert before.keys() == {str(tmp_path / "vectors.npy"), str(tmp_path / "table.csv")}
    (tmp_path / name).write_bytes(b"longer")
    after = write(tmp_path / "out", vectors=tmp_path / "vectors.npy")["embeddings"]
    assert {path for path in before if before[path] != after[path]} == {str(tmp_path / name)}
