"""Splits are disjoint in their units, of the shares asked for, and fixed by the seed."""

import re

import pandas as pd
import pytest

from geomix.config.sections import Split
from geomix.errors import InputError
from geomix.preprocess.split import (
    check_queries,
    find_branches,
    find_leaves,
    split_classes,
    split_listing,
)

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


def test_folds_take_turns_at_val_and_leave_test_alone() -> None:
    folds = [classes_of(split_classes(LABELS, SHARES, 0, fold=fold)) for fold in range(3)]
    assert folds[0] == classes_of(split_classes(LABELS, SHARES, 0))
    assert not set.intersection(folds[0]["val"], folds[1]["val"])
    assert not set.intersection(folds[0]["val"], folds[2]["val"])
    assert not set.intersection(folds[1]["val"], folds[2]["val"])
    for fold in folds:
        assert [len(fold[name]) for name in ("train", "val")] == [20, 8]
        assert (fold["test"], fold[""]) == (folds[0]["test"], folds[0][""])
        assert fold["train"] | fold["val"] == folds[0]["train"] | folds[0]["val"]


def test_a_fold_that_would_repeat_classes_is_refused() -> None:
    message = (
        "^tune.budget.<data set>.folds: found 4 or more, expected at most 3, as each has 8 oth"
    )
    with pytest.raises(InputError, match=message):
        split_classes(LABELS, SHARES, 0, fold=3)


def test_folds_divide_train_where_test_is_official_and_not_where_val_is() -> None:
    rows = pd.DataFrame({"label": LABELS})
    rows["split"] = rows["label"].map(lambda label: "test" if int(label[6:]) < 12 else "train")
    found = [classes_of(split_listing(rows, SPLIT, fold=fold)) for fold in (0, 1)]
    assert found[0]["test"] == found[1]["test"]
    assert not found[0]["val"] & found[1]["val"]
    rows["split"] = rows["label"].map(lambda label: "val" if int(label[6:]) > 30 else "train")
    rows.loc[rows["label"].isin(["class 0", "class 1"]), "split"] = "test"
    with pytest.raises(
        InputError, match="folds: found 2 or more, expected 1, as the data set has a val"
    ):
        split_listing(rows, SPLIT, fold=1)


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
    val = [("v", ""), ("v", ""), ("w", ""), ("w", "")]
    table = [(*row, split) for split, part in (("val", val), ("test", rows)) for row in part]
    return pd.DataFrame(table, columns=["label", "role", "split"]).assign(
        id=[f"{row}" for row in range(len(table))]
    )


def as_val(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the table with val and test exchanged."""
    return samples.assign(split=samples["split"].map({"val": "test", "test": "val"}))


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
def test_one_class_with_something_to_find_is_enough_for_val_and_no_interval_for_test(
    rows: list[tuple[str, str]],
) -> None:
    check_queries(as_val(scored(rows)))
    message = "queries of 'a' alone with another sample of their class in the gallery, expected"
    with pytest.raises(InputError, match=f"^split.test: found .* {message} queries of at least 2"):
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
    samples = scored([("v", ""), ("v", ""), ("w", ""), ("w", ""), ("x", "")])
    samples.loc[samples["split"].eq(split) & samples["label"].eq("w"), "role"] = role
    ids = "0, 1" if split == "val" else "4, 5, 8"
    expected = "expected query or gallery for all, or none"
    message = f"^split.{split}: found roles, but none for {ids}; {expected}$"
    with pytest.raises(InputError, match=message):
        check_queries(samples)
    check_queries(samples.assign(role=""))


def test_without_roles_two_classes_of_two_images_are_enough() -> None:
    samples = scored([("a", ""), ("a", ""), ("b", ""), ("b", "")]).drop(columns="role")
    check_queries(samples)
    with pytest.raises(InputError, match="split.test: found 3 samples of 2 classes and queries of"):
        check_queries(samples.drop(index=4))
    with pytest.raises(InputError, match=r"split.test: found 2 samples of 2 classes \(a, b\)"):
        check_queries(samples.drop(index=[4, 6]))


TREE = [
    *("r", "r/a", "r/a/x", "r/a/y", "r/a/z", "r/b", "r/b/x", "r/b/y", "r/b/z"),
    *("r/c", "r/c/x", "r/c/y", "r/c/z", "r/d"),
]


def tree_of(paths: list[str]) -> pd.DataFrame:
    """Return a table of two samples at each node, labelled by its path."""
    twice = [path for path in paths for _ in range(2)]
    ids = [str(row) for row in range(len(twice))]
    return pd.DataFrame({"id": ids, "label": twice, "lineage": twice})


def split_by(unit: str, **shares: float) -> Split:
    return Split.model_validate(SPLIT.model_dump() | {"unit": unit} | shares)


def test_leaves_are_nodes_without_samples_below() -> None:
    found = find_leaves(["a", "a/b", "a/b/c", "ab", "d/e/f", "a/b/c"])
    assert found == ["", "", "a/b/c", "ab", "d/e/f", "a/b/c"]


@pytest.mark.parametrize(
    ("lineages", "branches"),
    [
        (["r", "r/a", "r/a/x", "r/b"], ["", "r/a", "r/a", "r/b"]),
        (["a/x", "b", "b/x/y"], ["a", "b", "b"]),
        (["r/s", "r/s/a", "r/s/b/x", "r"], ["", "r/s/a", "r/s/b", ""]),
        (["r", "r/s", "r/s/t"], ["", "", ""]),
        (["ab/x", "a/x"], ["ab", "a"]),
    ],
)
def test_branches_are_groups_of_the_coarsest_level_with_several(
    lineages: list[str], branches: list[str]
) -> None:
    assert find_branches(lineages) == branches


def test_held_out_leaves_are_disjoint_and_inner_nodes_are_in_train() -> None:
    samples = tree_of(TREE)
    splits = split_listing(samples, split_by("leaf", train=0.5, val=0.2, test=0.3))
    pairs = set(zip(samples["lineage"], splits, strict=True))
    assert len(pairs) == len(TREE)
    assert {"r", "r/a", "r/b", "r/c"} <= {p for p, s in pairs if s == "train"}
    leaves = [split for path, split in pairs if path.endswith(("x", "y", "z", "d"))]
    assert {name: leaves.count(name) for name in ("train", "val", "test")} == {
        "train": 5,
        "val": 2,
        "test": 3,
    }


def test_leaves_that_the_shares_leave_over_are_not_used() -> None:
    splits = split_listing(tree_of(TREE), split_by("leaf", train=0.2, val=0.2, test=0.2))
    assert [splits.count(name) for name in ("train", "val", "test", "")] == [12, 4, 4, 8]


@pytest.mark.parametrize("roots", [True, False])
def test_a_branch_is_in_one_split_with_all_its_nodes(roots: bool) -> None:
    paths = [path.removeprefix("r/") for path in TREE[1:]] if roots else TREE
    samples = tree_of([path for path in paths if not path.endswith("d")])
    splits = split_listing(samples, split_by("branch", train=0.34, val=0.33, test=0.33))
    table = samples.assign(split=splits, branch=find_branches(samples["lineage"].tolist()))
    assert table.groupby("branch")["split"].nunique().eq(1).all()
    held = table[table["branch"] != ""].drop_duplicates("branch")["split"]
    assert sorted(held) == ["test", "train", "val"]
    assert (table.loc[table["branch"] == "", "split"] == "train").all()


def test_without_a_lineage_a_branch_is_a_group_of_the_first_level() -> None:
    samples = pd.DataFrame({"label": LABELS})
    samples["kind"] = [f"kind {int(label.split()[1]) % 8}" for label in LABELS]
    splits = split_listing(samples, split_by("branch", train=0.5, val=0.25, test=0.25), ["kind"])
    table = samples.assign(split=splits)
    assert table.groupby("kind")["split"].nunique().eq(1).all()
    assert table.groupby("split")["kind"].nunique().to_dict() == {"train": 4, "val": 2, "test": 2}


def test_an_official_test_stays_and_val_is_made_of_whole_branches_of_train() -> None:
    samples = pd.DataFrame({"label": LABELS})
    samples["kind"] = [f"kind {int(label.split()[1]) % 8}" for label in LABELS]
    samples["split"] = ["test" if kind >= "kind 4" else "train" for kind in samples["kind"]]
    splits = split_listing(samples, split_by("branch"), ["kind"])
    table = samples.assign(split=splits)
    assert table.groupby("split")["kind"].nunique().to_dict() == {"train": 3, "val": 1, "test": 4}
    assert (table.loc[table["kind"] >= "kind 4", "split"] == "test").all()


def test_without_a_lineage_leaves_are_classes() -> None:
    samples = pd.DataFrame({"label": LABELS})
    assert split_listing(samples, split_by("leaf")) == split_listing(samples, split_by("class"))


def test_auto_is_what_the_data_set_asks_for() -> None:
    samples = tree_of(TREE)
    assert split_listing(samples, SPLIT, (), "leaf") == split_listing(samples, split_by("leaf"))
    assert split_listing(samples, SPLIT) == split_classes(samples["label"].tolist(), SHARES, 0)
    found = split_listing(samples, split_by("class"), (), "leaf")
    assert found == split_listing(samples, SPLIT)


@pytest.mark.parametrize(
    ("samples", "unit", "message"),
    [
        (
            pd.DataFrame({"label": LABELS}),
            "branch",
            "split.unit: found branch, expected class, as the data set has neither levels nor",
        ),
        (
            tree_of(["r", "r/a", "r/a/b"]),
            "branch",
            "split: found 0 branches for train, val, test, expected at least 3, 1 for each",
        ),
        (
            tree_of(["r", "r/a", "r/b"]),
            "leaf",
            "split: found 2 leaves for train, val, test, expected at least 6, 2 for each",
        ),
        (
            tree_of(["r", "r/a", "r/a/x", "r/b", "r/b/x", "r/c", "r/c/x"]).assign(label="one"),
            "branch",
            "split.train: found 1 classes in its branches, expected at least 2",
        ),
    ],
)
def test_a_hierarchy_that_cannot_be_split_is_refused_in_one_line(
    samples: pd.DataFrame, unit: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        split_listing(samples, split_by(unit, train=0.34, val=0.33, test=0.33))
    assert "\n" not in str(caught.value)


def held(train: list[str], val: list[str], test: list[str]) -> pd.DataFrame:
    """Return a table of one sample at each node."""
    parts = {"train": train, "val": val, "test": test}
    rows = [(path, path, path, split) for split, paths in parts.items() for path in paths]
    return pd.DataFrame(rows, columns=["id", "label", "lineage", "split"])


def test_a_leaf_of_one_sample_finds_its_ancestors_in_train() -> None:
    samples = held(["r", "r/a"], ["r/a/x", "r/a/y"], ["r/b", "r/c"])
    check_queries(samples)
    with pytest.raises(InputError, match="split.val: found 2 samples of 2 classes .* no query"):
        check_queries(samples.drop(columns="lineage"))


def test_relatives_may_be_below_or_at_the_same_node() -> None:
    check_queries(held(["x"], ["r", "r/a"], ["s/b", "s/b", "t"]))


def test_a_split_without_relatives_is_refused() -> None:
    samples = held(["r", "r/a"], ["r/a/x", "r/a/y"], ["s/b", "ra"])
    message = r"split.test: found 2 samples of 2 nodes \(s/b, ra\) and no query with a relative"
    with pytest.raises(InputError, match=message):
        check_queries(samples)
    with pytest.raises(InputError, match="split.test: found 1 nodes in the gallery"):
        check_queries(held(["r"], ["r/a", "r/b"], ["r/c"]))


def test_points_that_are_compared_by_distance_have_nothing_to_find() -> None:
    samples = held([], ["0-1", "0-2"], ["1-1", "1-2"]).drop(columns="lineage")
    check_queries(samples, by_distance=True)
    with pytest.raises(InputError, match="split.test: found 1 classes in the gallery"):
        check_queries(samples[:3], by_distance=True)
