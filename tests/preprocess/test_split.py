"""Splits are disjoint in classes, of the shares asked for, and fixed by the seed."""

import re

import pandas as pd
import pytest

from geomix.config.sections import Split
from geomix.errors import InputError
from geomix.preprocess.split import check_queries, split_classes, split_listing

LABELS = [f"class {index % 40}" for index in range(120)]
SHARES = {"train": 0.5, "val": 0.2, "test": 0.2}
SPLIT = Split(seed=0, train=0.5, val=0.2, test=0.2)


def classes_of(splits: list[str]) -> dict[str, set[str]]:
    return {
        split: {label for label, own in zip(LABELS, splits, strict=True) if own == split}
        for split in ("train", "val", "test", "")
    }


def test_no_class_is_in_two_splits_and_the_rest_is_in_none() -> None:
    found = classes_of(split_classes(LABELS, SHARES, seed=0))
    assert {split: len(classes) for split, classes in found.items()} == {
        "train": 20,
        "val": 8,
        "test": 8,
        "": 4,
    }
    assert len(set.union(*found.values())) == 40


def test_a_class_stays_together_whatever_its_size_and_place() -> None:
    labels = ["b", "a", "c", "a", "d", "e", "f", "f", "f", "a", "g", "b"]
    splits = split_classes(labels, {"train": 0.4, "val": 0.3, "test": 0.3}, 0)
    assert len({(label, split) for label, split in zip(labels, splits, strict=True)}) == len(
        set(labels)
    )


def test_the_seed_fixes_the_split_and_another_one_changes_it() -> None:
    assert split_classes(LABELS, SHARES, 1) == split_classes(LABELS, SHARES, 1)
    assert split_classes(LABELS, SHARES, 1) != split_classes(LABELS, SHARES, 2)


def test_shares_of_one_use_every_class() -> None:
    found = classes_of(split_classes(LABELS, {"train": 0.375, "val": 0.125, "test": 0.5}, 0))
    assert [len(found[split]) for split in ("train", "val", "test", "")] == [15, 5, 20, 0]


def test_a_split_of_one_class_is_refused() -> None:
    with pytest.raises(
        InputError, match="split.val: found 1 of 40 classes, expected at least 2, so a larger share"
    ):
        split_classes(LABELS, SHARES | {"val": 0.02}, 0)


@pytest.mark.parametrize("classes", [1, 3, 5])
def test_too_few_classes_for_any_shares_are_refused_with_the_smallest_number(classes: int) -> None:
    labels = LABELS[:classes] * 2
    expected = "expected at least 6, 2 for each: train needs negatives"
    message = f"split: found {classes} classes for train, val, test, {expected}"
    with pytest.raises(InputError, match=message) as caught:
        split_listing(pd.DataFrame({"label": labels}), SPLIT)
    assert "\n" not in str(caught.value)


def test_the_smallest_number_of_classes_is_enough() -> None:
    splits = split_classes(LABELS[:6], {"train": 0.34, "val": 0.33, "test": 0.33}, 0)
    assert sorted(splits) == ["test", "test", "train", "train", "val", "val"]


def official(split: str) -> pd.DataFrame:
    """Return 40 classes with 3 images of each: 15 test, 5 unused, 16 train, 4 as asked for."""
    splits = ["test"] * 15 + [""] * 5 + ["train"] * 16 + [split] * 4
    return pd.DataFrame({"label": LABELS, "split": [splits[index % 40] for index in range(120)]})


def test_without_an_official_split_all_classes_are_divided() -> None:
    assert split_listing(
        pd.DataFrame({"label": LABELS}), SPLIT.model_copy(update={"seed": 3})
    ) == split_classes(LABELS, SHARES, 3)


def test_official_test_stays_and_official_train_is_divided_by_its_shares() -> None:
    samples = official("train")
    found = classes_of(split_listing(samples, SPLIT))
    assert {split: len(classes) for split, classes in found.items()} == {
        "train": 14,
        "val": 6,
        "test": 15,
        "": 5,
    }  # 5 : 2
    assert found["test"] == {f"class {index}" for index in range(15)}
    assert found["train"] | found["val"] == {f"class {index}" for index in range(20, 40)}
    assert not found["train"] & found["val"]
    assert split_listing(samples, SPLIT) != split_listing(
        samples, SPLIT.model_copy(update={"seed": 1})
    )
    assert split_listing(samples, SPLIT) == split_listing(
        samples, SPLIT.model_copy(update={"test": 0.01})
    )


def test_an_official_val_is_kept() -> None:
    samples = official("val")
    assert split_listing(samples, SPLIT) == samples["split"].tolist()


def test_some_images_of_a_class_may_be_unused() -> None:
    samples = official("train")
    samples.loc[0, "split"] = ""
    assert split_listing(samples, SPLIT)[0] == ""


def test_a_class_in_two_official_splits_is_refused() -> None:
    samples = official("val")
    samples.loc[[0, 1], "split"] = "train"
    with pytest.raises(
        InputError, match="split: found class class 0, class 1 in more than one split"
    ):
        split_listing(samples, SPLIT)


@pytest.mark.parametrize(
    ("split", "kept", "message"),
    [
        ("test", 1, "split.test: found 1 classes in the official split, expected at least 2"),
        ("train", 0, "split.train: found 0 classes in the official split, expected at least 2"),
        ("train", 3, "split: found 3 classes for train, val, expected at least 4, 2 for each"),
        ("val", 1, "split.val: found 1 classes in the official split, expected at least 2"),
    ],
)
def test_an_official_split_of_too_few_classes_is_refused(
    split: str, kept: int, message: str
) -> None:
    samples = official("val" if split == "val" else "train")
    labels = samples.loc[samples["split"] == split, "label"].unique()[kept:]
    samples.loc[samples["label"].isin(labels), "split"] = ""
    with pytest.raises(InputError, match=message):
        split_listing(samples, SPLIT)


def scored(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """Return a table whose test has these rows of class and role, and whose val can be searched."""
    val = [("v", ""), ("v", ""), ("w", "")]
    table = [(*row, split) for split, part in (("val", val), ("test", rows)) for row in part]
    return pd.DataFrame(table, columns=["label", "role", "split"]).assign(
        id=[f"{row}" for row in range(len(table))]
    )


@pytest.mark.parametrize(
    "rows",
    [
        [
            ("a", "query"),
            ("a", "gallery"),
            ("b", "query"),
            ("c", "gallery"),
        ],  # b alone has nothing to find
        [("a", ""), ("a", ""), ("b", "")],
    ],
)
def test_one_query_with_something_to_find_is_enough(rows: list[tuple[str, str]]) -> None:
    check_queries(scored(rows))


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "query"), ("a", "query"), ("b", "gallery"), ("c", "gallery")],
        [("a", "gallery"), ("b", "gallery"), ("b", "gallery")],  # no query
        [("a", ""), ("b", "")],
    ],
)
def test_a_split_whose_queries_have_nothing_to_find_is_refused_with_its_classes(
    rows: list[tuple[str, str]],
) -> None:
    classes = sorted({label for label, _ in rows})
    counted = rf"{len(rows)} samples of {len(classes)} classes \({', '.join(classes)}\)"
    found = f"{counted} and no query with another sample of its class"
    with pytest.raises(
        InputError, match=f"^split.test: found {found} in the gallery, expected at least one$"
    ):
        check_queries(scored(rows))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (
            [("a", "query"), ("a", "gallery"), ("b", "query")],
            "1 classes in the gallery (3 samples of 2 classes)",
        ),
        ([("a", ""), ("a", "")], "1 classes in the gallery (2 samples of 1 classes)"),
        (
            [("a", "query"), ("b", "query"), ("b", "query")],
            "0 classes in the gallery (3 samples of 2 classes)",
        ),
        ([], "0 classes in the gallery (0 samples of 0 classes)"),
    ],
)
def test_a_gallery_of_one_class_has_no_wrong_answer_and_is_refused(
    rows: list[tuple[str, str]], found: str
) -> None:
    with pytest.raises(
        InputError, match=f"^split.test: found {re.escape(found)}, expected at least 2: one to find"
    ):
        check_queries(scored(rows))


@pytest.mark.parametrize("role", ["query", "gallery"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_samples_without_a_role_beside_others_are_refused_as_they_would_find_themselves(
    role: str, split: str
) -> None:
    samples = scored([("v", ""), ("v", ""), ("w", "")])
    samples.loc[samples["split"].eq(split) & samples["label"].eq("w"), "role"] = role
    ids = "0, 1" if split == "val" else "3, 4"
    expected = "expected query or gallery for all, or none"
    message = f"^split.{split}: found roles, but none for {ids}; {expected}$"
    with pytest.raises(InputError, match=message):
        check_queries(samples)
    check_queries(samples.assign(role=""))


def test_without_roles_one_class_of_two_images_is_enough() -> None:
    samples = scored([("a", ""), ("a", ""), ("b", "")]).drop(columns="role")
    check_queries(samples)
    with pytest.raises(InputError, match=r"split.test: found 2 samples of 2 classes \(a, b\)"):
        check_queries(samples.drop(index=3))
