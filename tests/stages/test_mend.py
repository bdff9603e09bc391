"""Stage mend: locks that a kill or a merge left broken, and processes that ended."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geomix.config.read import read_yaml
from stages.mend import find_dvc, forget_ended, lives
from tests.conftest import ROOT

LOCK = "schema: '2.0'\nstages:\n  check:\n    cmd: python -m stages.check\n"
OURS, THEIRS = LOCK.replace("check", "ours"), LOCK.replace("check", "theirs")
MERGED = f"<<<<<<< HEAD\n{OURS}=======\n{THEIRS}>>>>>>> other\n"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def git(folder: Path, *command: str) -> None:
    subprocess.run(["git", *AUTHOR, *command], cwd=folder, check=True, capture_output=True)


def mend(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "stages.mend"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with the code, params.yaml and one committed lock."""
    for name in ("stages", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "flows" / "tune" / "glyphs").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(LOCK)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "dvc.lock")
    git(tmp_path, "commit", "-q", "-m", "lock")
    return tmp_path


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("", "empty"),
        ("\n", "empty"),
        (LOCK[:-30], "half-written"),
        ("schema: '2.0'\nstages:\n  check:\n    deps: [", "half-written"),
        ("\0" * 512, "half-written"),
        (MERGED, "merged"),
        (f"{LOCK}<<<<<<< HEAD\n  other:\n    cmd: a\n", "merged"),
    ],
)
def test_a_broken_lock_is_replaced_or_removed(checkout: Path, broken: str, word: str) -> None:
    other = checkout / "flows" / "tune" / "glyphs" / "dvc.lock"
    for lock in (checkout / "dvc.lock", other):
        lock.write_text(broken)
    first, second = mend(checkout)
    assert first.startswith(f"mended dvc.lock: it was {word}")
    assert "took the committed one" in first
    assert second.startswith(f"mended flows/tune/glyphs/dvc.lock: it was {word}")
    assert "removed it" in second
    assert (checkout / "dvc.lock").read_text() == LOCK
    assert not other.exists()  # was never committed
    assert mend(checkout) == []


def test_a_lock_in_the_middle_of_a_merge_becomes_the_one_of_this_branch(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    git(checkout, "checkout", "-q", "-b", "other")
    lock.write_text(THEIRS)
    git(checkout, "commit", "-q", "-a", "-m", "theirs")
    git(checkout, "checkout", "-q", "main")
    lock.write_text(OURS)
    git(checkout, "commit", "-q", "-a", "-m", "ours")
    merge = ["git", *AUTHOR, "merge", "-q", "other"]
    assert subprocess.run(merge, cwd=checkout, capture_output=True, check=False).returncode
    assert "<<<<<<<" in lock.read_text()
    [line] = mend(checkout)
    assert "merged" in line
    assert lock.read_text() == OURS


def test_a_lock_that_was_committed_broken_is_removed(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    lock.write_text(MERGED)
    git(checkout, "commit", "-q", "-a", "-m", "broken")
    [line] = mend(checkout)
    assert "removed it" in line
    assert not lock.exists()


def test_of_the_committed_lock_stages_stay_whose_outputs_are_here(checkout: Path) -> None:
    digests = {name: f"{number:032x}.dir" for number, name in enumerate("abc")}
    text = "schema: '2.0'\nstages:\n" + "".join(
        f"  {name}:\n    cmd: {name}\n    outs:\n    - path: ../../../{name}\n      md5: {digest}\n"
        for name, digest in digests.items()
    )
    lock = checkout / "flows" / "tune" / "glyphs" / "dvc.lock"
    lock.write_text(text)
    git(checkout, "add", "flows")
    git(checkout, "commit", "-q", "-m", "a flow")
    subprocess.run(["dvc", "init", "-q"], cwd=checkout, check=True)
    (checkout / "a").mkdir()
    stored = checkout / ".dvc/cache/files/md5" / digests["b"][:2] / digests["b"][2:]
    stored.parent.mkdir(parents=True)
    stored.touch()
    lock.write_text("")
    [line] = mend(checkout)
    assert "took the committed one" in line
    assert read_yaml(lock)["stages"].keys() == {"a", "b"}


def test_a_checkout_without_git_loses_only_what_is_broken(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    (checkout / "dvc.lock").write_text("")
    (checkout / "flows" / "tune" / "glyphs" / "dvc.lock").write_text(LOCK)
    [line] = mend(checkout)
    assert line.startswith("mended dvc.lock: it was empty; removed it")
    assert (checkout / "flows" / "tune" / "glyphs" / "dvc.lock").read_text() == LOCK


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of DVC's list of processes, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that is called dvc and waits in the current folder."""
    program = tmp_path / "bin" / "dvc"
    program.parent.mkdir()
    program.write_text("import sys\nprint(flush=True)\nsys.stdin.read()\n")
    command = [sys.executable, str(program), "repro", "-q"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def entry(pid: int, cmd: str = "dvc repro -q") -> dict[str, object]:
    return {"pid": pid, "cmd": cmd}


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_ended_is_named_and_one_that_lives_stays(
    at_work: Path, worker: subprocess.Popen[bytes]
) -> None:
    ended, alive = entry(ended_process()), entry(worker.pid)
    content = {"write": {"/a": ended, "/b": alive}, "read": {"/c": [ended, alive], "/d": [ended]}}
    at_work.write_text(json.dumps(content))
    [line] = forget_ended()
    assert f"process {ended['pid']} " in line
    assert "dvc repro -q" in line
    assert json.loads(at_work.read_text()) == {"write": {"/b": alive}, "read": {"/c": [alive]}}
    assert not list(forget_ended())


@pytest.mark.parametrize("broken", ["", '{"write": {"/a": {"pid": 1', "[]", '{"write": {"a": 1}}'])
def test_a_list_that_is_half_written_is_removed_unless_dvc_runs_here(
    at_work: Path, worker: subprocess.Popen[bytes], broken: str
) -> None:
    at_work.write_text(broken)
    assert find_dvc() == [worker.pid]
    [line] = forget_ended()
    assert f"process {worker.pid} of DVC runs here" in line
    assert at_work.read_text() == broken
    worker.kill()
    worker.wait()
    [line] = forget_ended()
    assert line.startswith("removed .dvc/tmp/rwlock")
    assert not at_work.exists()


def test_a_list_that_dvc_is_changing_is_left_alone(
    at_work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zc.lockfile

    monkeypatch.setattr("stages.mend.PAUSE", 0)
    at_work.write_text("")
    held = zc.lockfile.LockFile(f"{at_work}.lock")
    assert not list(forget_ended())
    assert at_work.exists()
    held.close()
    assert len(list(forget_ended())) == 1


def test_a_number_that_another_process_has_now_is_of_one_that_ended() -> None:
    now = time.time()
    here = " ".join(["pytest", *sys.orig_argv[1:]])
    assert lives({"pid": os.getpid(), "cmd": here}, now)
    assert not lives({"pid": os.getpid(), "cmd": "dvc repro -s of@another"}, now)
    assert not lives({"pid": os.getpid(), "cmd": here}, 1e9)  # written before it began
    assert not lives({"pid": ended_process(), "cmd": here}, now)


def test_what_a_process_that_ended_had_half_written_goes(checkout: Path) -> None:
    ended, here = ended_process(), os.getpid()
    torn = [
        checkout / "data" / f".content.{ended}.part",
        checkout / "data" / "packed" / f".glyphs.{ended}.part",
        checkout / "runs" / "glyphs" / "compare" / f".euclidean-0.{ended}.part",
        checkout / "results" / "glyphs" / f".analysis.{ended}.part",
        checkout / "reports" / f".control.md.{ended}.part",
    ]
    inner = torn[2] / f".0.{ended}.part"
    inner.mkdir(parents=True)
    kept = [
        checkout / "results" / "glyphs" / f".tau.{here}.part",
        checkout / "runs" / "glyphs" / "mine.part",
        checkout / "results" / "glyphs" / "analysis",
    ]
    for path in [*torn, *kept]:
        path.mkdir(parents=True, exist_ok=True)
        (path / "metrics.csv").write_text("half")
    assert len(mend(checkout)) == len(torn)
    assert not [path for path in torn if path.exists()]
    assert [(path / "metrics.csv").read_text() for path in kept] == ["half"] * 3
    assert not mend(checkout)
    os.utime(kept[0], (1e9, 1e9))  # before the process of this number began
    assert len(mend(checkout)) == 1


def test_dvc_goes_on_where_it_was_killed(checkout: Path) -> None:
    (checkout / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: echo 1 > a\n    deps: [params.yaml]\n    outs: [a]\n"
    )
    dvc = [sys.executable, "-m", "dvc"]
    for command in ([*dvc, "init", "-q"], [*dvc, "repro", "-q"]):
        subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    (checkout / "dvc.lock").write_text("")
    (checkout / ".dvc/tmp/rwlock").write_text("")
    broken = subprocess.run([*dvc, "repro"], cwd=checkout, capture_output=True, check=False)
    assert broken.returncode
    assert len(mend(checkout)) == 2
    (checkout / "dvc.lock").unlink()  # what is committed here is of another flow
    again = subprocess.run(
        [*dvc, "repro"], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert "is cached - skipping run" in again.stdout
