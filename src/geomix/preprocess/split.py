"""Split the classes, not the images: no class is in two splits."""

from collections.abc import Sequence

import numpy as np

from geomix.errors import InputError
from geomix.samples import SPLITS


def split_classes(labels: Sequence[str], shares: dict[str, float], seed: int) -> list[str]:
    """Give each image the split of its class.

    Classes are shuffled and cut into train, val, test in that order; what the shares leave over gets no split ("").

    Args:
        labels: The class of each of N images.
        shares: For train, val and test the share of the classes, in (0, 1], at most 1 in sum.
        seed: Of the shuffle.

    Returns:
        N names of splits.

    Raises:
        InputError: If a split would have fewer than 2 classes.
    """
    classes = list(dict.fromkeys(labels))
    order = np.random.default_rng(seed).permutation(len(classes))
    edges = np.rint(np.cumsum([shares[split] for split in SPLITS]) * len(classes)).astype(int)
    split_of: dict[str, str] = {}
    start = 0
    for split, edge in zip(SPLITS, edges, strict=True):
        if edge - start < 2:
            raise InputError(f"split.{split}: found {edge - start} of {len(classes)} classes, expected at least 2")
        split_of |= {classes[index]: split for index in order[start:edge]}
        start = edge
    return [split_of.get(label, "") for label in labels]
