"""What a stage says of a machine that fails it: one line, exit code 1, nothing by half."""

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.files import new_folder
from stages import run
from tests.conftest import ROOT

ALLOCATION = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("tau: found 1"), "error: tau: found 1"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"),
            "error: runs/a: found no",
        ),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "error: disk: found no room"),
        (OSError("4096 requested and 512 written"), "error: disk: found no room (4096 requested"),
        (RuntimeError("PytorchStreamWriter failed writing file"), "error: disk: found no room"),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs"),
            "error: runs: found no acc",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "runs"),
            "error: runs: found no acc",
        ),
        (
            OSError(errno.EMFILE, "Too many open files", "a"),
            "error: a: found that",
        ),
        (ImportError("libcudart.so.12: cannot open shared object file"), "error: a library"),
        (OSError("libgomp.so.1: cannot open shared object file: No such file"), "error: a library"),
        (
            ImportError("/x/faiss.so: undefined symbol: a"),
            "error: a library cannot be",
        ),
        (
            ModuleNotFoundError("No module named 'timm'", name="timm.models"),
            "error: package timm: ",
        ),
        (MemoryError(), "error: memory: found too little, expected more"),
        (RuntimeError(ALLOCATION), "error: memory: found too little ([enf"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried"),
            "error: memory: found too little (CUDA",
        ),
        (BrokenProcessPool("a child"), "error: memory: found a worker ended"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "error: memory: found too little"),
    ],
)
def test_what_a_machine_lacks_is_one_line(error: Exception, line: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(fail)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes differ"),
        FileNotFoundError(errno.ENOENT, "No such file", "a"),
        ImportError("cannot import name 'a' from 'geomix.files'"),
        ModuleNotFoundError("No module named 'geomix.b'", name="geomix.b"),
        KeyError("tau"),
    ],
)
def test_a_defect_of_ours_is_no_line(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        run(fail)


def test_what_a_library_raised_from_is_seen() -> None:
    def fail() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "a")
        except OSError as error:
            raise ValueError("could not save") from error

    with pytest.raises(SystemExit, match="error: a: found no room"):
        run(fail)


def test_words_of_this_torch_and_this_numpy_are_known() -> None:
    def take_torch() -> None:
        torch.empty(2**50, dtype=torch.uint8)

    def take_numpy() -> None:
        np.empty(2**50, np.uint8)

    for take in (take_torch, take_numpy):
        with pytest.raises(SystemExit, match="error: memory: found too little"):
            run(take)


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    for name in ("stages", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    main = tmp_path / "stages" / "__init__.py"
    text = main.read_text()
    arguments = ["--dataset", "tree", "--out", "raw"]
    command = [sys.executable, "-m", "stages.download", *arguments]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "raw").iterdir()}
    assert max(map(len, before.values())) < 200_000
    pack = ["--dataset", "tree", "--raw", "raw", "--out", "packed"]
    limit = LIMIT.replace("200_000", "20_000")
    main.write_text(text.replace("import argparse\n", f"{limit}import argparse\n", 1))
    for stage, given in (("download", arguments), ("preprocess", pack)):
        command = [sys.executable, "-m", f"stages.{stage}", *given]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 1, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "found no room" in result.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "raw").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "params.yaml",
        "raw",
        "src",
        "stages",
    ]


def test_a_folder_that_is_closed_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)

    def write() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("a")

    with pytest.raises(SystemExit, match="found no access"):
        run(write)
    tmp_path.chmod(0o755)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("ruamel", "error: package ruamel: not found"),
        ("torch", "error: a library cannot be loaded"),
    ],
)
def test_an_environment_that_is_not_ours_is_one_line(
    tmp_path: Path, package: str, line: str
) -> None:
    for name in ("stages", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    text = (
        "raise ModuleNotFoundError('No module named ruamel', name='ruamel')\n"
        if package == "ruamel"
        else "raise OSError('libtorch_cpu.so: cannot open shared object file')\n"
    )
    (broken / f"{package}.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "stages.baselines",
        "--seeds",
        "0",
        "--data",
        "d",
        "--out",
        "o",
    ]
    environment = os.environ | {"PYTHONPATH": str(broken)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(line)
