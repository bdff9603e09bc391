"""Stages of the pipeline, started from the root as `python -m stages.<name>`.

They are thin shells around src/geomix.

Importing this package puts the src/ folder of its own checkout first on the path, so that a queued
experiment, which runs in a checkout of its own, runs its own code.
"""

import argparse
import errno
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from geomix.errors import InputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
STRAINED = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG}
# numpy's words for a disk that takes no more, safetensors' and torch's
FULL_WORDS = re.compile(r"\d+ requested and \d+ written|No space left|PytorchStreamWriter failed")
# torch's words on the CPU and on CUDA, which are a RuntimeError
MEMORY_WORDS = re.compile(r"can't allocate memory|out of memory|not enough memory|bad_alloc")
LIBRARY_WORDS = re.compile(r"\.so\b|shared object|undefined symbol|DLL load failed")


class Arguments(argparse.ArgumentParser):
    """Command-line arguments whose mistakes are bad input like any other: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"command line: {message}")


def run(main: Callable[[], None]) -> None:
    """Run a stage: bad input ends it with its message and exit code 1.

    So do a full disk, a folder that is closed, too little memory and a library that cannot be
    loaded. Stages move what they wrote to its place when it is complete, so nothing is there by
    half. A defect of ours keeps its traceback.
    """
    try:
        main()
    except Exception as error:
        if message := explain(error):
            sys.exit(f"error: {message}".replace("\n", "\nerror: "))
        raise


def explain(error: BaseException) -> str:
    """Say in a line what a person can mend, or nothing for a defect of ours."""
    for cause in list_causes(error):
        for judge in (explain_input, explain_library, explain_memory, explain_disk):
            if message := judge(cause):
                return message
    return ""


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from."""
    while error:
        yield error
        error = error.__cause__


def explain_input(error: BaseException) -> str:
    """Return the message of bad input."""
    return str(error) if isinstance(error, InputError) else ""


def explain_library(error: BaseException) -> str:
    """Explain a package that is not there, or whose shared library cannot be loaded."""
    expected = "expected the environment that make install makes (source .venv/bin/activate)"
    if isinstance(error, ModuleNotFoundError):
        name = error.name or ""
        ours = name.partition(".")[0] in ("geomix", "stages", "")
        return "" if ours else f"package {name.partition('.')[0]}: not found; {expected}"
    loading = isinstance(error, ImportError) or type(error) is OSError
    if loading and LIBRARY_WORDS.search(str(error)):
        return f"a library cannot be loaded ({one_line(error)}); {expected}"
    return ""


def explain_memory(error: BaseException) -> str:
    """Explain too little memory, of the machine or of a GPU."""
    name, text = type(error).__name__, one_line(error)[:200]
    if name == "BrokenProcessPool":
        return "memory: found a worker ended from outside, expected more memory for it"
    short = isinstance(error, MemoryError) or name == "OutOfMemoryError"
    short |= isinstance(error, OSError) and error.errno == errno.ENOMEM
    if short or (isinstance(error, RuntimeError) and MEMORY_WORDS.search(text)):
        found = f"too little{text and f' ({text})'}"
        return f"memory: found {found}, expected more, or a smaller batch, network or data set"
    return ""


def explain_disk(error: BaseException) -> str:
    """Explain a disk that takes no more, and a file or folder that cannot be used."""
    number, reason, place = None, one_line(error)[:200], "disk"
    if isinstance(error, OSError):
        number, reason = error.errno, error.strerror or reason
        place = str(error.filename or place)
    if number in FULL or FULL_WORDS.search(reason):
        return f"{place}: found no room ({reason}), expected more; what was there before stays"
    if number in CLOSED:
        return f"{place}: found no access ({reason}), expected to read and write there"
    if number in STRAINED:
        return f"{place}: found that it cannot be used ({reason}), expected that it can"
    return ""


def one_line(error: BaseException) -> str:
    """Return a message without line breaks."""
    return " ".join(str(error).split())


def explain_import(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Explain a package that is missing already where a stage imports it at its top."""
    message = explain_library(error)
    if not message:
        sys.__excepthook__(kind, error, trace)
        return
    print(f"error: {message}", file=sys.stderr)


sys.excepthook = explain_import
