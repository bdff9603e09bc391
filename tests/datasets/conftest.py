"""What tests of data sets use: archives and raw folders written on the spot."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets import load_dataset
from geomix.download.obtain import obtain

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


Obtain = Callable[[str, Path], Path]


@pytest.fixture(scope="session")
def obtain_raw() -> Obtain:
    """Return the function that writes the raw folder of a data set that needs no network."""
    params = DownloadParams(
        download=Download(mirror=None),
        folder=Folder(path=None, table=None),
        embeddings=Embeddings(path=None, table=None),
    )

    def write(name: str, folder: Path) -> Path:
        obtain(name, load_dataset(name).SOURCE, params, folder)
        return folder

    return write
