"""Split the classes, not the images: no class is in two splits."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from geomix.errors import InputError
from geomix.preprocess.listing import some
from geomix.samples import SPLITS


def split_classes(labels: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Give each image the split of its class.

    Classes are shuffled and cut into the splits in their order; what the shares leave over gets no split ("").

    Args:
        labels: The class of each of N images.
        shares: For each split, such as train, val, test, its share of the classes, in (0, 1], at most 1 in sum.
        seed: Of the shuffle.

    Returns:
        N names of splits.

    Raises:
        InputError: If a split would have fewer than 2 classes.
    """
    classes = list(dict.fromkeys(labels))
    order = np.random.default_rng(seed).permutation(len(classes))
    edges = np.rint(np.cumsum(list(shares.values())) * len(classes)).astype(int)
    split_of: dict[str, str] = {}
    start = 0
    for split, edge in zip(shares, edges, strict=True):
        if edge - start < 2:
            raise InputError(f"split.{split}: found {edge - start} of {len(classes)} classes, expected at least 2")
        split_of |= {classes[index]: split for index in order[start:edge]}
        start = edge
    return [split_of.get(label, "") for label in labels]


def split_listing(samples: pd.DataFrame, shares: Mapping[str, float], seed: int) -> list[str]:
    """Give each image of a data set its split, the official one where there is one.

    Without a column split all classes are split by `split_classes`. With one, test stays what it is, images without a split
    stay unused, and the classes of train are divided into train and val in the ratio of their shares, unless the column
    has a val of its own.

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
        raise InputError(f"split: found class {some(mixed)} in more than one split, expected each class in one")
    counts = {split: int(classes["split"].eq(split).sum()) for split in SPLITS}
    few = [split for split in SPLITS if counts[split] < 2 and (split != "val" or counts["val"])]
    if few:
        raise InputError(f"split.{few[0]}: found {counts[few[0]]} classes in the official split, expected at least 2")
    official = samples["split"].tolist()
    if counts["val"]:
        return official
    total = shares["train"] + shares["val"]
    train = [label for label, split in zip(labels, official, strict=True) if split == "train"]
    divided = iter(split_classes(train, {split: shares[split] / total for split in ("train", "val")}, seed))
    return [next(divided) if split == "train" else split for split in official]
