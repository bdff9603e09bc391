"""Mend what a kill or a merge left: DVC's locks, half-written outputs. `make` begins with it."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.mend"
    )

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geomix.config.base import Section
from geomix.config.read import load
from stages import Arguments, run

AT_WORK = Path(".dvc/tmp/rwlock")  # which processes read and write which paths, as JSON
GUARD = Path(".dvc/tmp/rwlock.lock")  # held while that file is changed
TRIES, PAUSE = 20, 0.1  # to get hold of it, with seconds between
SLACK = 5  # seconds, by which the clocks of files and of processes may differ
PART = re.compile(r"\..+\.(\d+)\.part")  # a file or folder that a process of this number fills
# Where stages write. Below data/*/* there are pictures, many, and none of these.
WRITTEN = (
    "data/.*.part",
    "data/*/.*.part",
    "runs/**/.*.part",
    "results/**/.*.part",
    "reports/**/.*.part",
)
MARKS = (b"<<<<<<< ", b"=======", b">>>>>>> ")  # of a merge that is not finished

Holder = dict[str, Any]  # pid and cmd


def main() -> None:
    """Put the committed lock in place of a broken one, or none, and forget processes that ended.

    DVC writes its locks in place, and refuses to start with half of one. What was run is in the
    run-cache. Outputs that those processes left half-written are removed.
    """
    load(Section)
    Arguments().parse_args()
    for lock in (Path("dvc.lock"), *sorted(Path("flows").rglob("dvc.lock"))):
        if lock.is_file() and (damage := find_damage(lock)):
            print(f"mended {lock}: it was {damage}; {restore(lock)}")
    for line in [*forget_ended(), *remove_parts()]:
        print(line)


def find_damage(lock: Path) -> str:
    """Say what is wrong with a lock, or nothing if DVC can read it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import ParseError, load_yaml
    from voluptuous import MultipleInvalid

    content = lock.read_bytes()
    if not content.strip():
        return "empty"
    if any(line.startswith(MARKS) for line in content.splitlines()):
        return "merged, with conflicts"
    try:
        COMPILED_LOCKFILE_SCHEMA(load_yaml(str(lock)))
    except (ParseError, MultipleInvalid):
        return "half-written"
    return ""


def restore(lock: Path) -> str:
    """Put the committed lock in place of another, or remove it if none is whole; say which."""
    command = ["git", "show", f"HEAD:./{lock}"]
    committed = subprocess.run(command, capture_output=True, check=False)
    if committed.returncode == 0:
        lock.write_bytes(committed.stdout)
        if not find_damage(lock):
            drop_lost(lock)
            return "took the committed one, and what ran since comes from the run-cache"
    lock.unlink()
    return "removed it, and what was run comes from the run-cache"


def drop_lost(lock: Path) -> None:
    """Take those stages out of a lock that have an output neither in its place nor in the cache.

    DVC would run such a stage again, as it looks into the run-cache for stages alone that no lock
    has. A committed lock has them where it is of a machine with other last digits.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    command = ["dvc", "cache", "dir"]
    cache = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    content = load_yaml(str(lock))

    def lost(out: dict[str, Any]) -> bool:
        """Say whether an output is in neither place."""
        digest = str(out.get("md5", ""))
        stored = Path(cache, "files", "md5", digest[:2], digest[2:])
        return not (lock.parent / out["path"]).exists() and not stored.exists()

    stages = content.get("stages", {})
    kept = {name: one for name, one in stages.items() if not any(map(lost, one.get("outs", [])))}
    if len(kept) < len(stages):
        dump_yaml(str(lock), content | {"stages": kept})


def forget_ended() -> Iterator[str]:
    """Take processes that ended out of DVC's list of those at work, and name them.

    The list of a process that was killed while it wrote is broken: it is removed, unless DVC runs
    here.
    """
    if not AT_WORK.is_file():
        return
    with hold_guard() as held:
        if not held:  # by DVC, which is at work
            return
        listed = read_holders()
        if listed is None:
            if others := find_dvc():
                yield f"left {AT_WORK}, which is broken, as process {others[0]} of DVC runs here"
                return
            AT_WORK.unlink()
            yield f"removed {AT_WORK}, which was half-written"
            return
        written = AT_WORK.stat().st_mtime
        ended = {one["pid"]: one["cmd"] for one in listed if not lives(one, written)}
        if ended:
            content = json.loads(AT_WORK.read_text(encoding="utf-8"))
            AT_WORK.write_text(json.dumps(drop(content, ended)), encoding="utf-8")
        for pid, cmd in ended.items():
            yield f"freed what process {pid} had locked in {AT_WORK}: it ended ({cmd})"


@contextmanager
def hold_guard() -> Iterator[bool]:
    """Hold the lock under which DVC changes its list; say whether it could be had."""
    import zc.lockfile

    lock = None
    for _ in range(TRIES):
        try:
            lock = zc.lockfile.LockFile(str(GUARD))
            break
        except zc.lockfile.LockError:
            time.sleep(PAUSE)
    try:
        yield lock is not None
    finally:
        if lock:
            lock.close()


def read_holders() -> list[Holder] | None:
    """Read all entries of the list; None if it is broken."""
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        content = SCHEMA(json.loads(AT_WORK.read_text(encoding="utf-8")))
    except (ValueError, Invalid):
        return None
    readers = [one for infos in content["read"].values() for one in infos]
    return [*content["write"].values(), *readers]


def drop(content: dict[str, Any], ended: dict[int, str]) -> dict[str, Any]:
    """Return the list without the processes that ended."""
    write, read = content.get("write", {}), content.get("read", {})
    kept = {path: [one for one in infos if one["pid"] not in ended] for path, infos in read.items()}
    return {
        "write": {path: one for path, one in write.items() if one["pid"] not in ended},
        "read": {path: infos for path, infos in kept.items() if infos},
    }


def remove_parts() -> Iterator[str]:
    """Remove what processes that ended had half-written, and name it.

    A number that has been given to a process which began later counts as ended.
    """
    for pattern in WRITTEN:
        for part in sorted(Path().glob(pattern)):
            found = PART.fullmatch(part.name)
            if not found or not part.exists():  # it lay in another, which is removed
                continue
            if began_before(int(found[1]), part.stat().st_mtime):
                continue
            shutil.rmtree(part) if part.is_dir() else part.unlink()
            yield f"removed {part}, which was half-written when its process ended"


def began_before(pid: int, written: float) -> bool:
    """Say whether a process of this number runs that began before this time."""
    import psutil

    try:
        process = psutil.Process(pid)
        began: float = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and began <= written + SLACK
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def lives(holder: Holder, written: float) -> bool:
    """Say whether a process still runs that was in a list written at this time.

    A process of its number that began later, or with other arguments, is another one.
    """
    import psutil

    if not began_before(holder["pid"], written):
        return False
    arguments = holder["cmd"].partition(" ")[2]  # the program may stand behind an interpreter
    try:
        return " ".join(psutil.Process(holder["pid"]).cmdline()).endswith(arguments)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def find_dvc() -> list[int]:
    """List the processes of DVC that run in this folder."""
    import psutil

    here, found = str(Path.cwd()), []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        named = any(Path(word).name == "dvc" for word in words[:3])
        if named and process.info["cwd"] == here:
            found.append(process.pid)
    return found


if __name__ == "__main__":
    run(main)
