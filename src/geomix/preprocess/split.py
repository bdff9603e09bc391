"""Split what a data set is made of, not its samples: no class, leaf or branch is in two splits.

Each split has at least two classes, so that there are negatives and wrong answers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from geomix.config.sections import Split
from geomix.data.packed import SCORED, SPLITS
from geomix.datasets.listing import ancestors, join_names
from geomix.errors import InputError

LEAST = 2  # classes: with one, a loss has no negatives and recall is always 1
FOLDS = "tune.budget.<data set>.folds"  # where folds are asked for
PLURAL = {"class": "classes", "leaf": "leaves", "branch": "branches"}

Unit = Literal["class", "leaf", "branch"]


def split_classes(
    labels: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    unit: Unit = "class",
    fold: int = 0,
) -> list[str]:
    """Assign each image the split of its class, or of another unit that stays together.

    Units are shuffled and cut into the splits in their order; units that the shares leave over
    get no split ("").

    Args:
        labels: The unit of each of N images.
        shares: The share of the units, in (0, 1], of each split; at most 1 in sum.
        seed: Of the shuffle.
        unit: What the units are.
        fold: Which of the units of train and val are val: other ones in each fold, as many.

    Returns:
        N names of splits.

    Raises:
        InputError: If a split would have fewer than 2 units, or of branches none, or there is no
            such fold.
    """
    classes = list(dict.fromkeys(labels))
    least, name = 1 if unit == "branch" else LEAST, PLURAL[unit]
    if len(classes) < least * len(shares):
        raise InputError(
            f"split: found {len(classes)} {name} for {', '.join(shares)}, "
            f"expected at least {least * len(shares)}, {least} for each: "
            "train needs negatives, and a query in val or test a class to be mistaken for"
        )
    order = np.random.default_rng(seed).permutation(len(classes))
    edges = np.rint(np.cumsum(list(shares.values())) * len(classes)).astype(int)
    order = rotate_val(order, int(edges[0]), int(edges[1]), fold)
    split_of: dict[str, str] = {}
    start = 0
    for split, edge in zip(shares, edges, strict=True):
        if edge - start < least:
            found = f"{edge - start} of {len(classes)} {name}"
            expected = f"at least {least}, so a larger share"
            raise InputError(f"split.{split}: found {found}, expected {expected}")
        split_of |= {classes[index]: split for index in order[start:edge]}
        start = edge
    return [split_of.get(label, "") for label in labels]


def rotate_val(order: np.ndarray, train: int, both: int, fold: int) -> np.ndarray:
    """Move other units to where those of val are; what follows them stays.

    Args:
        order: Units in the order of the splits: train, val and others.
        train: How many are of train.
        both: How many are of train or val.
        fold: Number of the rotation; 0 changes nothing.

    Returns:
        The units in another order. Val has each of train's and its own once, over all folds.

    Raises:
        InputError: If the units of val would be those of an earlier fold.
    """
    val = both - train
    if fold and (fold + 1) * val > both:
        reason = f"as each has {val} other units of {both} as val"
        expected = f"at most {both // max(val, 1)}, {reason}"
        raise InputError(f"{FOLDS}: found {fold + 1} or more, expected {expected}")
    return np.concatenate([np.roll(order[:both], fold * val), order[both:]])


def find_leaves(lineages: Sequence[str]) -> list[str]:
    """Return the path of each sample at a leaf, and "" for one with samples below its node."""
    inner = {node for path in set(lineages) for node in ancestors(path)}
    return ["" if path in inner else path for path in lineages]


def find_branches(lineages: Sequence[str]) -> list[str]:
    """Return the group of each sample: its node at the coarsest level that has several.

    Samples above that level, at a root that all share, have none ("").
    """
    paths = [path.split("/") for path in lineages]
    shared = 0  # levels from the root down that all lineages have in common, where they reach
    while len({path[shared] for path in paths if len(path) > shared}) == 1:
        shared += 1
    return ["/".join(path[: shared + 1]) if len(path) > shared else "" for path in paths]


def name_units(samples: pd.DataFrame, levels: Sequence[str], unit: Unit) -> list[str]:
    """Name for each sample the class, leaf or branch that it is split with.

    Args:
        samples: With label, the levels, and perhaps lineage; without a lineage each class is a leaf
            and each value of the first level a branch.
        levels: Names of the columns of the hierarchy, coarse to fine.
        unit: Which of them.

    Returns:
        A name for each row; "" for what belongs to none: inner nodes, for leaves, and what is above
        the branches.

    Raises:
        InputError: If branches are asked for but there is no hierarchy.
    """
    if unit != "class" and "lineage" in samples:
        lineages = samples["lineage"].tolist()
        return find_leaves(lineages) if unit == "leaf" else find_branches(lineages)
    if unit != "branch":
        names: list[str] = samples["label"].tolist()
        return names
    if not levels:
        expected = "class, as the data set has neither levels nor a lineage"
        raise InputError(f"split.unit: found branch, expected {expected}")
    groups: list[str] = samples[levels[0]].tolist()
    return groups


def split_listing(
    samples: pd.DataFrame,
    split: Split,
    levels: Sequence[str] = (),
    wanted: Unit = "class",
    fold: int = 0,
) -> list[str]:
    """Assign each image of a data set its split, the official one where there is one.

    Without a column split all units are split by `split_classes`. With one, test stays what it
    is, images without a split stay unused, and the units of train are divided into train and val
    in the ratio of their shares, unless the column already has a val. Inner nodes, where leaves are
    split, and what is above branches go to train.

    Args:
        samples: The table of images, with label and perhaps lineage and split ("train", "val",
            "test" or "").
        split: The unit, the shares of train, val and test, and the seed of the shuffle.
        levels: Names of the columns of the hierarchy, coarse to fine.
        wanted: The unit of the data set, which auto stands for.
        fold: Of `split_classes`, where val is not official.

    Returns:
        A split for each row.

    Raises:
        InputError: If a class is in two splits of the column, a split would have fewer than 2
            classes, a fold is asked for of an official val, or as `split_classes` and `name_units`.
    """
    unit: Unit = wanted if split.unit == "auto" else split.unit
    shares = {name: getattr(split, name) for name in SPLITS}
    if "split" in samples:
        official = samples["split"].tolist()
        if _check_official(samples):
            if fold:
                expected = "1, as the data set has a val"
                raise InputError(f"{FOLDS}: found {fold + 1} or more, expected {expected}")
            return official
        total = split.train + split.val
        shares = {"train": split.train / total, "val": split.val / total}
    else:
        official = ["train"] * len(samples)
    units = name_units(samples, levels, unit)
    divisible = [bool(name) and part == "train" for name, part in zip(units, official, strict=True)]
    named = [name for name, free in zip(units, divisible, strict=True) if free]
    divided = iter(split_classes(named, shares, split.seed, unit, fold))
    splits = [
        next(divided) if free else part for free, part in zip(divisible, official, strict=True)
    ]
    _check_classes(samples["label"].tolist(), splits, unit)
    return splits


def _check_official(samples: pd.DataFrame) -> bool:
    """Check the official split, and say whether it has a val of its own."""
    classes = samples.loc[samples["split"] != "", ["label", "split"]].drop_duplicates()
    mixed = classes.loc[classes["label"].duplicated(), "label"].drop_duplicates()
    if len(mixed):
        found = f"class {join_names(mixed)} in more than one split"
        raise InputError(f"split: found {found}, expected each class in one")
    counts = {name: int(classes["split"].eq(name).sum()) for name in SPLITS}
    few = [name for name in SPLITS if counts[name] < LEAST and (name != "val" or counts["val"])]
    if few:
        found = f"{counts[few[0]]} classes in the official split"
        raise InputError(f"split.{few[0]}: found {found}, expected at least {LEAST}")
    return counts["val"] > 0


def _check_classes(labels: Sequence[str], splits: Sequence[str], unit: Unit) -> None:
    """Check that each split has enough classes, where it was not classes that were counted."""
    pairs = set(zip(splits, labels, strict=True))
    for split in SPLITS:
        classes = sum(name == split for name, _ in pairs)
        if classes < LEAST:
            found = f"{classes} classes in its {PLURAL[unit]}"
            raise InputError(f"split.{split}: found {found}, expected at least {LEAST}")


def check_queries(samples: pd.DataFrame, note: str = "", by_distance: bool = False) -> None:
    """Check that val and test can be searched, and that differences in test have an interval.

    In val a query has something to find, in test queries of two classes at least.
    That is another sample of its class in the gallery; or, if samples have lineages, a relative in
    the gallery or in train, where its ancestors are. Samples that are compared by distance have
    nothing to find: the others are nearer or farther.

    Args:
        samples: The table, with id, label, split, and perhaps lineage and role ("query" or
            "gallery" for all of a split, or "" for all).
        note: What was left out before, for the message.
        by_distance: Whether samples have coordinates and are compared by distance.

    Raises:
        InputError: Naming the split in which only some samples have a role, as the others would
            find themselves; whose gallery has fewer than 2 classes, or nodes; in which no query has
            something to find; or test, if all of those that have are of one class.
    """
    column, name = ("lineage", "nodes") if "lineage" in samples else ("label", "classes")
    for split in SCORED:
        rows = samples[samples["split"] == split]
        roles = rows["role"] if "role" in rows else pd.Series("", rows.index)
        both = rows.loc[roles == "", "id"]
        if 0 < len(both) < len(rows):
            found = f"roles, but none for {join_names(both)}"
            expected = "query or gallery for all, or none"
            raise InputError(f"split.{split}: found {found}; expected {expected}")
        gallery = rows.loc[roles != "query", column]
        counted = f"{len(rows)} samples of {rows[column].nunique()} {name}"
        if gallery.nunique() < LEAST:
            found = f"{gallery.nunique()} {name} in the gallery ({counted}{note})"
            expected = f"at least {LEAST}: one to find and one to be mistaken for"
            raise InputError(f"split.{split}: found {found}, expected {expected}")
        if by_distance:
            continue
        listed = join_names(rows[column].drop_duplicates())
        found = f"{counted} ({listed}{note}) and no query with"
        if column == "lineage":
            _check_relatives(samples, rows, roles, found)
        else:
            _check_others(rows, roles, counted, found, note)


def _check_relatives(
    samples: pd.DataFrame, rows: pd.DataFrame, roles: pd.Series, found: str
) -> None:
    """Check that a query of a split finds a relative in its gallery or in train."""
    split = rows["split"].iloc[0]
    gallery = rows.loc[roles != "query", "lineage"]
    searched = [*gallery, *samples.loc[samples["split"] == "train", "lineage"]]
    queries = rows.loc[roles != "gallery", "lineage"]
    if not _any_relative(queries, searched, found_itself=bool(roles.eq("").any())):
        expected = "expected at least one"
        raise InputError(
            f"split.{split}: found {found} a relative in its split or train, {expected}"
        )


def _check_others(
    rows: pd.DataFrame, roles: pd.Series, counted: str, found: str, note: str
) -> None:
    """Check that queries of a split find another sample of their class, in test of two classes."""
    split = rows["split"].iloc[0]
    gallery = rows.loc[roles != "query", "label"]
    # A sample without a role is in the gallery too, but does not find itself.
    others = rows["label"].map(gallery.value_counts()).fillna(0) - roles.eq("")
    finding = rows.loc[roles.ne("gallery") & others.gt(0), "label"].unique()
    if not len(finding):
        raise InputError(
            f"split.{split}: found {found} another "
            "sample of its class in the gallery, expected at least one"
        )
    if split == "test" and len(finding) < LEAST:
        raise InputError(
            f"split.test: found {counted} and queries of {finding[0]!r} alone with another "
            f"sample of their class in the gallery{note}, expected queries of at least "
            f"{LEAST} classes: an interval tells how results differ between classes"
        )


def _any_relative(queries: Sequence[str], searched: Sequence[str], found_itself: bool) -> bool:
    """Say whether a query has another sample at, above or below its node among those searched."""
    counts = Counter(searched)
    inner = {node for path in counts for node in ancestors(path)}
    return any(
        counts[path] > found_itself
        or path in inner
        or any(node in counts for node in ancestors(path))
        for path in queries
    )
