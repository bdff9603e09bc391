"""Listings: images come from their archives in one pass, each to its row; damage is named."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from geomix.datasets.archives import open_archive
from geomix.datasets.listing import (
    ancestors,
    archive_images,
    check_counts,
    check_members,
    count_parts,
    find_top,
    grow_tree,
    images_in,
    join_names,
    list_warnings,
    raw_file,
    read_rows,
    read_texts,
)
from geomix.errors import InputError

PATH = Path("a.zip")


def test_images_come_in_the_order_of_storage_each_with_its_row(
    tmp_path: Path, write_zip: Callable[..., Path]
) -> None:
    first = write_zip(tmp_path / "first.zip", {"c": b"3", "notes.txt": b"", "a": b"1"})
    second = write_zip(tmp_path / "second.zip", {"a": b"4", "b": b"2"})
    images = archive_images([(first, "a"), (second, "b"), (first, "c"), (second, "a")])
    assert list(images()) == [(2, b"3"), (0, b"1"), (3, b"4"), (1, b"2")]
    assert list(images()) == list(images())


def test_a_member_that_the_archive_lacks_is_named(
    tmp_path: Path, write_zip: Callable[..., Path]
) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"1"})
    with pytest.raises(InputError, match=r"a\.zip: found no member 'b', expected it"):
        list(archive_images([(path, "a"), (path, "b")])())
    with pytest.raises(InputError, match=r"a\.zip: found no b; expected the 1 files"):
        images_in(path, ["a"], ["b"])


def test_at_most_five_names_are_listed() -> None:
    assert join_names("abcde") == "a, b, c, d, e"
    assert join_names("abcdefg") == "a, b, c, d, e and 2 more"


def test_a_raw_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    assert raw_file(tmp_path, "a.zip") == tmp_path / "a.zip"
    with pytest.raises(InputError, match=r"b\.zip: not found; expected it from an earlier stage"):
        raw_file(tmp_path, "b.zip")


@pytest.mark.parametrize(
    ("names", "inner", "top"),
    [
        (["train.txt", "train.txt.old"], "train.txt", ""),
        (["set/train.txt", "set/extra/train.txt"], "train.txt", "set/"),
        (["extra/old/train.txt", "set/train.txt"], "train.txt", "set/"),
        (["__MACOSX/train.txt", "set-master/data/train.txt"], "train.txt", "set-master/data/"),
        (["set/img/WOMEN/a.jpg", "set/img.txt"], "img", "set/"),
    ],
)
def test_a_data_set_may_lie_under_any_folder(names: list[str], inner: str, top: str) -> None:
    assert find_top(PATH, names, inner) == top


def test_an_archive_of_something_else_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"a\.zip: found no train\.txt, expected it in the archive"
    ):
        find_top(PATH, ["retrain.txt", "train.txt.old"], "train.txt")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["a", "x", "y"], "a.zip: found no x, y; expected the 3 files that the data set lists"),
        (["a", "b", "a"], "a.zip: found a listed twice, expected each file once"),
    ],
)
def test_each_file_of_a_list_is_there_once(wanted: Sequence[str], message: str) -> None:
    check_members(PATH, ["a", "b", "c"], ["c", "a"])
    with pytest.raises(InputError, match=message):
        check_members(PATH, ["a", "b", "c"], wanted)


def test_texts_come_in_the_order_asked_for(tmp_path: Path, write_zip: Callable[..., Path]) -> None:
    path = write_zip(
        tmp_path / "a.zip", {"a": "é".encode(), "b": b"\xef\xbb\xbfmarked", "c": b"\xff"}
    )
    with open_archive(path) as archive:
        assert read_texts(path, archive, ["b", "a"]) == ["marked", "é"]
        with pytest.raises(InputError, match=r"a\.zip: found a list that is not UTF-8"):
            read_texts(path, archive, ["c"])


def test_lines_are_cut_into_fields() -> None:
    assert read_rows("list", "1   a\r\n\n 2 b \n", 2) == [["1", "a"], ["2", "b"]]
    assert read_rows("list", "a b.jpg, 1, 2", 3, ",") == [["a b.jpg", "1", "2"]]
    with pytest.raises(InputError, match="list: found line 2: '2 b c', expected 2 fields"):
        read_rows("list", "1 a\n2 b c", 2)


def test_counts_that_differ_are_named() -> None:
    check_counts(PATH, {"images": 3, "classes": 2}, {"images": 3})
    with pytest.raises(
        InputError, match=r"^a\.zip: found 3 images, 1 kinds; expected 4 images, 2 kinds$"
    ):
        check_counts(
            PATH, {"images": 3, "classes": 2, "kinds": 1}, {"images": 4, "classes": 2, "kinds": 2}
        )


def test_parts_are_counted_by_split() -> None:
    samples = pd.DataFrame(
        {"label": list("aabcd"), "split": ["train", "train", "test", "test", ""]}
    )
    assert count_parts(samples) == {
        "train images": 2,
        "test images": 2,
        "train classes": 1,
        "test classes": 2,
    }


def test_a_tree_is_named_parents_first() -> None:
    assert grow_tree("r", "ab", 1) == ["r", "r/a", "r/b"]
    nodes = grow_tree("r", "abc", 3)
    assert len(nodes) == len(set(nodes)) == 1 + 3 + 9 + 27
    place = {node: row for row, node in enumerate(nodes)}
    assert all(place[above] < row for node, row in place.items() for above in ancestors(node))
    assert grow_tree("r", "ab", 0) == ["r"]


def test_ancestors_begin_at_the_root() -> None:
    assert ancestors("a/b/c") == ["a", "a/b"]
    assert ancestors("a") == []


def table_of(train: int, val: int, test: int, each: int = 2) -> pd.DataFrame:
    """Return a table of classes with some samples each."""
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    rows = [(f"c{n}", split) for n, split in enumerate(splits) for _ in range(each)]
    return pd.DataFrame(rows, columns=["label", "split"])


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        (60, 30, None),
        (60, 29, "29 classes, .* about 6 points. 2 folds .* would do; more seeds would not"),
        (40, 10, "10 classes, .* about 9 points. 3 folds .* would do"),
        (10, 5, "5 classes, .* about 13 points. Even 3 folds .* have 15 of the 30"),
        (4, 2, "2 classes, .* about 21 points. Even 3 folds .* have 6 of the 30"),
    ],
)
def test_a_val_of_few_classes_is_told_with_the_folds_that_would_do(
    train: int, val: int, words: str | None
) -> None:
    warnings = list_warnings(table_of(train, val, 40))
    if words is None:
        assert not warnings
        return
    [warning] = warnings
    assert re.search(words, warning)


def test_of_a_tree_leaves_are_counted() -> None:
    samples = table_of(100, 40, 40)
    inner = ["a", *(f"a/{n}" for n in range(4))]
    lineages = [f"a/{n % 4}/{label}" for n, label in enumerate(samples["label"])]
    val = samples["split"] == "val"
    assert not list_warnings(samples.assign(lineage=lineages))
    few = samples.assign(lineage=lineages)
    few.loc[val, "lineage"] = [inner[n % 5] for n in range(val.sum())]
    [warning] = list_warnings(few)
    assert warning.startswith("Val has 4 leaves")


@pytest.mark.parametrize(("more", "warned"), [(0, False), (76, False), (77, True), (200, True)])
def test_a_class_that_is_most_of_a_gallery_is_told_with_a_way_out(more: int, warned: bool) -> None:
    samples = table_of(60, 30, 40)  # 80 samples in test
    large = pd.DataFrame({"label": ["c129"] * more, "split": ["test"] * more})
    warnings = list_warnings(pd.concat([samples, large]))
    assert len(warnings) == warned
    if warned:
        share = 100 * (more + 2) / (more + 80)
        assert (
            f"Class c129 has {share:.0f} % of the samples that are searched in test" in warnings[0]
        )
        assert "classes.largest_class: 2 would end that" in warnings[0]


def test_queries_alone_are_not_searched() -> None:
    samples = table_of(60, 30, 40).assign(role="")
    samples.loc[samples["split"] == "test", "role"] = ["query", "gallery"] * 40
    large = pd.DataFrame({"label": ["c129"] * 200, "split": "test", "role": "query"})
    assert not list_warnings(pd.concat([samples, large]))
    assert list_warnings(pd.concat([samples, large.assign(role="gallery")]))
