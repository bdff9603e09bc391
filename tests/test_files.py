"""Files and folders are whole or not there."""

from pathlib import Path

import pytest

from geomix.errors import InputError
from geomix.files import hash_file, new_folder, read_json, replace_file, write_json


def test_a_folder_appears_complete_and_replaces_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    for content in ("old", "new"):
        with new_folder(out) as folder:
            (folder / content).write_text(content)
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()

    def fail() -> None:
        with new_folder(out) as folder:
            (folder / "new").touch()
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pages" / "page.md"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_json_keeps_its_order_and_letters(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": "é"})
    assert path.read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    assert list(read_json(path)) == ["b", "a"]


def test_missing_and_damaged_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x.json: not found; expected it from an earlier stage"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="x.json: not JSON"):
        read_json(tmp_path / "x.json")


def test_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_file(tmp_path / "empty").startswith(
        "e3b0c44298fc1c14"
    )  # of the empty string, FIPS 180-4
