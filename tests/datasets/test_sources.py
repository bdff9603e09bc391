"""The table of data sets is complete, consistent, and counts what the literature counts."""

import re
from fnmatch import fnmatchcase

import pytest

from geomix.datasets.sources import SOURCES, File

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


def test_all_data_sets_are_there() -> None:
    assert list(SOURCES) == ["omniglot", "grocerystore", "cub200", "cars196", "sop", "inshop"]


@pytest.mark.parametrize(("dataset", "file"), FILES, ids=[file.name for _, file in FILES])
def test_a_file_can_be_got_and_checked(dataset: str, file: File) -> None:
    assert SOURCES[dataset].licence
    assert SOURCES[dataset].by_hand
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
