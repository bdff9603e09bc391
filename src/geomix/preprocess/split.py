"""Split the classes, not the images: no class is in two splits, and each split has two: for negatives, and wrong answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from geomix.data.packed import SCORED, SPLITS
from geomix.datasets.listing import some
from geomix.errors import InputError

LEAST = 2  # classes: with one, a loss has no negatives and recall is 1 whatever was learned


def split_classes(labels: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Give each image the split of its class.

    Classes are shuffled and cut into the splits in their order; what the shares leave over gets no
    split ("").

    Args:
        labels: The class of each of N images.
        shares: For each split, such as train, val, test, its share of the classes, in (0, 1], at
            most 1 in sum.
        seed: Of the shuffle.

    Returns:
        N names of splits.

    Raises:
        InputError: If a split would have fewer than 2 classes, as its share or all there are is too
            small.
    """
    classes = list(dict.fromkeys(labels))
    if len(classes) < LEAST * len(shares):
        raise InputError(
            f"split: found {len(classes)} classes for {', '.join(shares)}, expected at least {LEAST * len(shares)}, "
            f"{LEAST} for each: train needs negatives, and a query in val or test a class to be mistaken for"
        )
    order = np.random.default_rng(seed).permutation(len(classes))
    edges = np.rint(np.cumsum(list(shares.values())) * len(classes)).astype(int)
    split_of: dict[str, str] = {}
    start = 0
    for split, edge in zip(shares, edges, strict=True):
        if edge - start < LEAST:
            found = f"{edge - start} of {len(classes)} classes"
            raise InputError(
                f"split.{split}: found {found}, expected at least {LEAST}, so a larger share"
            )
        split_of |= {classes[index]: split for index in order[start:edge]}
        start = edge
    return [split_of.get(label, "") for label in labels]


def split_listing(samples: pd.DataFrame, shares: Mapping[str, float], seed: int) -> list[str]:
    """Give each image of a data set its split, the official one where there is one.

    Without a column split all classes are split by `split_classes`. With one, test stays what it
    is, images without a split stay unused, and the classes of train are divided into train and val
    in the ratio of their shares, unless the column has a val of its own.

    Args:
        samples: The table of images, with label and perhaps split ("train", "val", "test" or "").
        shares: For train, val and test the share of the classes, in (0, 1], at most 1 in sum.
        seed: Of the shuffle.

    Returns:
        A split for each row.

    Raises:
        InputError: If a class is in two splits, or a split would have fewer than 2 classes.
    """
    labels = samples["label"].tolist()
    if "split" not in samples:
        return split_classes(labels, {split: shares[split] for split in SPLITS}, seed)
    classes = samples.loc[samples["split"] != "", ["label", "split"]].drop_duplicates()
    mixed = classes.loc[classes["label"].duplicated(), "label"].drop_duplicates()
    if len(mixed):
        raise InputError(
            f"split: found class {some(mixed)} in more than one split, expected each class in one"
        )
    counts = {split: int(classes["split"].eq(split).sum()) for split in SPLITS}
    few = [split for split in SPLITS if counts[split] < LEAST and (split != "val" or counts["val"])]
    if few:
        raise InputError(
            f"split.{few[0]}: found {counts[few[0]]} classes in the official split, expected at least {LEAST}"
        )
    official = samples["split"].tolist()
    if counts["val"]:
        return official
    total = shares["train"] + shares["val"]
    train = [label for label, split in zip(labels, official, strict=True) if split == "train"]
    divided = iter(
        split_classes(train, {split: shares[split] / total for split in ("train", "val")}, seed)
    )
    return [next(divided) if split == "train" else split for split in official]


def check_queries(samples: pd.DataFrame, left_out: int = 0) -> None:
    """Check that val and test can be searched: metrics leave out queries that have nothing to find,
    but not all of them.

    Args:
        samples: The table, with id, label, split and perhaps role ("query" or "gallery" for all of
            a split, or "" for all).
        left_out: Images that are not in the table any more, as they are broken; for the message.

    Raises:
        InputError: Naming the split in which some samples have a role and some have not, as these
            would find themselves; whose gallery has fewer than 2 classes; or in which no query has
            another sample of its class in the gallery.
    """
    note = f", after {left_out} broken images were left out" if left_out else ""
    for split in SCORED:
        rows = samples[samples["split"] == split]
        roles = rows["role"] if "role" in rows else pd.Series("", rows.index)
        both = rows.loc[roles == "", "id"]
        if 0 < len(both) < len(rows):
            raise InputError(
                f"split.{split}: found roles, but none for {some(both)}; expected query or gallery for all, or none"
            )
        gallery = rows.loc[roles != "query", "label"]
        counted = f"{len(rows)} samples of {rows['label'].nunique()} classes"
        if gallery.nunique() < LEAST:
            found = f"{gallery.nunique()} classes in the gallery ({counted}{note})"
            raise InputError(
                f"split.{split}: found {found}, expected at least {LEAST}: one to find and one to be mistaken for"
            )
        others = rows["label"].map(gallery.value_counts()).fillna(0) - roles.eq(
            ""
        )  # without a role none finds itself
        if not (others[roles != "gallery"] > 0).any():
            classes = some(rows["label"].drop_duplicates())
            raise InputError(
                f"split.{split}: found {counted} ({classes}{note}) and no query with another sample of its class in the gallery, "
                "expected at least one"
            )
