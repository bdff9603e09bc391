"""The sources of data sets are complete and consistent, and count what the literature counts."""

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import pytest

import geomix.datasets
from geomix.config.base import Dataset
from geomix.datasets import load_dataset
from geomix.datasets.sources import File, describe_files
from geomix.errors import InputError
from geomix.files import hash_file

SHARED = {"__init__", "archives", "letters", "listing", "sources", "table"}
SOURCES = {name: load_dataset(name).SOURCE for name in get_args(Dataset)}
FILES = [(dataset, file) for dataset, source in SOURCES.items() for file in source.files]

# A member of each original archive, and the images that the publications name.
MEMBERS = {
    "images_background.zip": ("images_background/Greek/character01/0394_01.png", 19280),
    "images_evaluation.zip": ("images_evaluation/Tibetan/character01/1555_01.png", 13180),
    "GroceryStoreDataset-master.zip": (
        "GroceryStoreDataset-master/dataset/train/Fruit/Kiwi/Kiwi_001.jpg",
        5421,
    ),
    "CUB_200_2011.tgz": (
        "CUB_200_2011/images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
        11788,
    ),
    "CARS196.zip": ("car_ims/000001.jpg", 16185),
    "Stanford_Online_Products.zip": (
        "Stanford_Online_Products/bicycle_final/111085122871_0.JPG",
        120053,
    ),
    "img.zip": ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", 52712),
}


def test_each_data_set_has_its_file_and_each_file_its_data_set() -> None:
    folder = Path(geomix.datasets.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - SHARED == set(SOURCES)


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(InputError, match="dataset: found mnist, expected one of glyphs, accents"):
        load_dataset("mnist")


@pytest.mark.parametrize("name", SOURCES)
def test_a_data_set_imports_no_other_and_nothing_of_the_network(name: str) -> None:
    program = (
        "import sys; from geomix.datasets import load_dataset; load_dataset(sys.argv[1]); "
        "print(*[name for name in sys.modules if name.startswith('geomix.')], "
        "*{'requests', 'scipy', 'torch', 'matplotlib'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", program, name]
    path = {"PYTHONPATH": str(Path(geomix.datasets.__file__).parents[2])}
    result = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    found = set(result.stdout.split())
    rooms = {module.split(".")[1] for module in found if module.startswith("geomix.")}
    assert rooms <= {"config", "data", "datasets", "errors", "files", "progress"}
    modules = {module.split(".")[2] for module in found if module.startswith("geomix.datasets.")}
    assert modules - SHARED == {name}
    drawn = {"glyphs": {"matplotlib"}, "accents": {"matplotlib"}}
    libraries = ({"cars196": {"scipy"}} | drawn).get(name, set())
    assert found & {"requests", "scipy", "torch", "matplotlib"} <= libraries


@pytest.mark.parametrize("name", SOURCES)
def test_raw_files_are_fetched_or_written(name: str) -> None:
    source = SOURCES[name]
    assert source.licence
    assert bool(source.files) == bool(source.by_hand) == (source.write is None)


@pytest.mark.parametrize(("dataset", "file"), FILES, ids=[file.name for _, file in FILES])
def test_a_file_can_be_had_and_checked(dataset: str, file: File) -> None:
    assert all(re.fullmatch(r"https?://\S+", url) for url in file.urls)
    assert file.rows or file.counts
    assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
    assert re.fullmatch(r"([0-9a-f]{32})?", file.md5)
    assert file.content is None or re.fullmatch(r"[0-9a-f]{64}", file.content[1])
    assert set(file.member_md5) <= set(file.counts)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_images_are_those_that_the_literature_counts(name: str) -> None:
    file = next(file for _, file in FILES if file.name == name)
    member, images = MEMBERS[name]
    counts = {pattern: count for pattern, count in file.counts.items() if count > 1}
    assert sum(counts.values()) == images
    assert sum(fnmatchcase(member, pattern) for pattern in counts) == 1


def test_in_shop_is_for_people_to_download_and_the_table_counts_its_images() -> None:
    assert not any(file.urls for file in SOURCES["inshop"].files)
    assert next(file.rows for file in SOURCES["inshop"].files if file.rows) == 52712


def test_files_are_described_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"content")
    assert describe_files(path) == {"a.csv": {"sha256": hash_file(path), "bytes": 7}}
