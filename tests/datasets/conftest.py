"""What tests of data sets use: archives written on the spot."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

WriteZip = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture
def write_zip() -> WriteZip:
    """Return the function that writes a zip of files, in the given order."""

    def write(path: Path, files: Mapping[str, bytes]) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return write
