"""Splits are disjoint in classes, of the shares asked for, and fixed by the seed."""

import pytest

from geomix.errors import InputError
from geomix.preprocess.split import split_classes

LABELS = [f"class {index % 40}" for index in range(120)]
SHARES = {"train": 0.5, "val": 0.2, "test": 0.2}


def classes_of(splits: list[str]) -> dict[str, set[str]]:
    return {
        split: {label for label, own in zip(LABELS, splits, strict=True) if own == split}
        for split in ("train", "val", "test", "")
    }


def test_no_class_is_in_two_splits_and_the_rest_is_in_none() -> None:
    found = classes_of(split_classes(LABELS, SHARES, seed=0))
    assert {split: len(classes) for split, classes in found.items()} == {"train": 20, "val": 8, "test": 8, "": 4}
    assert len(set.union(*found.values())) == 40


def test_a_class_stays_together_whatever_its_size_and_place() -> None:
    labels = ["b", "a", "c", "a", "d", "e", "f", "f", "f", "a", "g", "b"]
    splits = split_classes(labels, {"train": 0.4, "val": 0.3, "test": 0.3}, 0)
    assert len({(label, split) for label, split in zip(labels, splits, strict=True)}) == len(set(labels))


def test_the_seed_fixes_the_split_and_another_one_changes_it() -> None:
    assert split_classes(LABELS, SHARES, 1) == split_classes(LABELS, SHARES, 1)
    assert split_classes(LABELS, SHARES, 1) != split_classes(LABELS, SHARES, 2)


def test_shares_of_one_use_every_class() -> None:
    found = classes_of(split_classes(LABELS, {"train": 0.375, "val": 0.125, "test": 0.5}, 0))
    assert [len(found[split]) for split in ("train", "val", "test", "")] == [15, 5, 20, 0]


def test_a_split_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="split.val: found 1 of 40 classes, expected at least 2"):
        split_classes(LABELS, SHARES | {"val": 0.02}, 0)
