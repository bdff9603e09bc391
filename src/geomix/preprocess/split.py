"""Split the classes, not the images: no class is in two splits.

Each split has at least two classes, so that there are negatives and wrong answers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from geomix.config.sections import Split
from geomix.data.packed import SCORED, SPLITS
from geomix.datasets.listing import join_names
from geomix.errors import InputError

LEAST = 2  # classes: with one, a loss has no negatives and recall is always 1


def split_classes(labels: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Assign each image the split of its class.

    Classes are shuffled and cut into the splits in their order; classes that the shares leave over
    get no split ("").

    Args:
        labels: The class of each of N images.
        shares: The share of the classes, in (0, 1], of each split; at most 1 in sum.
        seed: Of the shuffle.

    Returns:
        N names of splits.

    Raises:
        InputError: If a split would have fewer than 2 classes.
    """
    classes = list(dict.fromkeys(labels))
    if len(classes) < LEAST * len(shares):
        raise InputError(
            f"split: found {len(classes)} classes for {', '.join(shares)}, "
            f"expected at least {LEAST * len(shares)}, {LEAST} for each: "
            "train needs negatives, and a query in val or test a class to be mistaken for"
        )
    order = np.random.default_rng(seed).permutation(len(classes))
    edges = np.rint(np.cumsum(list(shares.values())) * len(classes)).astype(int)
    split_of: dict[str, str] = {}
    start = 0
    for split, edge in zip(shares, edges, strict=True):
        if edge - start < LEAST:
            found = f"{edge - start} of {len(classes)} classes"
            expected = f"at least {LEAST}, so a larger share"
            raise InputError(f"split.{split}: found {found}, expected {expected}")
        split_of |= {classes[index]: split for index in order[start:edge]}
        start = edge
    return [split_of.get(label, "") for label in labels]


def split_listing(samples: pd.DataFrame, split: Split) -> list[str]:
    """Assign each image of a data set its split, the official one where there is one.

    Without a column split all classes are split by `split_classes`. With one, test stays what it
    is, images without a split stay unused, and the classes of train are divided into train and val
    in the ratio of their shares, unless the column already has a val.

    Args:
        samples: The table of images, with label and perhaps split ("train", "val", "test" or "").
        split: The shares of train, val and test, and the seed of the shuffle.

    Returns:
        A split for each row.

    Raises:
        InputError: If a class is in two splits, or a split would have fewer than 2 classes.
    """
    labels = samples["label"].tolist()
    shares = {name: getattr(split, name) for name in SPLITS}
    if "split" not in samples:
        return split_classes(labels, shares, split.seed)
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
    official = samples["split"].tolist()
    if counts["val"]:
        return official
    total = split.train + split.val
    parts = {"train": split.train / total, "val": split.val / total}
    train = [label for label, name in zip(labels, official, strict=True) if name == "train"]
    divided = iter(split_classes(train, parts, split.seed))
    return [next(divided) if name == "train" else name for name in official]


def check_queries(samples: pd.DataFrame, left_out: int = 0) -> None:
    """Check that val and test can be searched: at least one query has something to find.

    Args:
        samples: The table, with id, label, split and perhaps role ("query" or "gallery" for all of
            a split, or "" for all).
        left_out: The number of broken images that the table no longer has, for the message.

    Raises:
        InputError: Naming the split in which only some samples have a role, as the others would
            find themselves; whose gallery has fewer than 2 classes; or in which no query has
            another sample of its class in the gallery.
    """
    note = f", after {left_out} broken images were left out" if left_out else ""
    for split in SCORED:
        rows = samples[samples["split"] == split]
        roles = rows["role"] if "role" in rows else pd.Series("", rows.index)
        both = rows.loc[roles == "", "id"]
        if 0 < len(both) < len(rows):
            found = f"roles, but none for {join_names(both)}"
            expected = "query or gallery for all, or none"
            raise InputError(f"split.{split}: found {found}; expected {expected}")
        gallery = rows.loc[roles != "query", "label"]
        counted = f"{len(rows)} samples of {rows['label'].nunique()} classes"
        if gallery.nunique() < LEAST:
            found = f"{gallery.nunique()} classes in the gallery ({counted}{note})"
            expected = f"at least {LEAST}: one to find and one to be mistaken for"
            raise InputError(f"split.{split}: found {found}, expected {expected}")
        # A sample without a role is in the gallery too, but does not find itself.
        others = rows["label"].map(gallery.value_counts()).fillna(0) - roles.eq("")
        if not (others[roles != "gallery"] > 0).any():
            classes = join_names(rows["label"].drop_duplicates())
            raise InputError(
                f"split.{split}: found {counted} ({classes}{note}) and no query with another "
                "sample of its class in the gallery, expected at least one"
            )
