"""Classes of too few or too many samples: refused, dropped, found only, or capped.

A sample that is left out stays in the table without a split, like those that shares leave over.
"""

from typing import Any

import numpy as np
import pandas as pd

from geomix.config.sections import Classes, Split
from geomix.data.packed import SCORED
from geomix.datasets.listing import LINEAGE
from geomix.errors import InputError
from geomix.preprocess.split import find_leaves


def find_small(samples: pd.DataFrame, classes: Classes) -> np.ndarray:
    """Return which samples are of classes too small to be split with the others, bool (N,).

    Args:
        samples: With label and perhaps an official split; what it does not use counts for nothing.
        classes: Where small classes are refused, none is set apart.
    """
    if classes.below == "refuse":
        return np.zeros(len(samples), bool)
    used = samples["split"].ne("") if "split" in samples else pd.Series(True, samples.index)
    counts = samples.loc[used, "label"].value_counts()
    sizes = samples["label"].map(counts).fillna(0)
    small: np.ndarray = sizes.lt(classes.smallest_class).to_numpy()
    return small


def add_singles(
    samples: pd.DataFrame, small: np.ndarray, official: pd.Series | None, split: Split
) -> pd.DataFrame:
    """Put one sample of each small class into val or test, where it can be found.

    It has no other sample of its class to find, so it is never a query that is scored.

    Args:
        samples: With label, split ("" for small classes) and perhaps role.
        small: Which samples are of small classes.
        official: The official split: then small classes of val and test stay there, and those of
            train are not used. Without one they are divided in the ratio of the shares.
        split: The shares and the seed.

    Returns:
        The table. Where a split has roles, the sample is of the gallery.
    """
    free = small if official is None else small & official.isin(SCORED).to_numpy()
    rows = np.flatnonzero(free)
    rows = rows[~samples["label"].iloc[rows].duplicated().to_numpy()]
    places = samples["split"].to_numpy(dtype=object, copy=True)
    if official is None:
        order = np.random.default_rng(split.seed).permutation(len(rows))
        edge = round(len(rows) * split.val / (split.val + split.test))
        places[rows[order[:edge]]], places[rows[order[edge:]]] = SCORED
    else:
        places[rows] = official.to_numpy()[rows]
    if "role" in samples:
        with_roles = samples.loc[samples["role"].ne(""), "split"].unique()
        roles = samples["role"].to_numpy(dtype=object, copy=True)
        roles[rows] = np.where(np.isin(places[rows], with_roles), "gallery", "")
        samples = samples.assign(role=roles)
    return samples.assign(split=places)


def cap_classes(samples: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Use at most some samples of a class, evenly spaced in the table; of each role if it has any.

    Args:
        samples: With label, split and perhaps role.
        most: Samples; None for all.
    """
    if most is None:
        return samples
    used = samples[samples["split"] != ""]
    by = ["label", "role"] if "role" in samples else ["label"]
    kept = pd.Series(True, samples.index)
    for _, group in used.groupby(by, sort=False):
        rows = group.index
        if len(rows) > most:
            kept[rows] = False
            kept[rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]] = True
    return samples.assign(split=samples["split"].where(kept, ""))


def find_classes(samples: pd.DataFrame) -> np.ndarray:
    """Return which samples are of classes that are trained on as such, bool (N,).

    Args:
        samples: With label. With a lineage, nodes that are labelled one by one or by their paths
            are no classes: relatives are learned there. Where several samples share a label of
            their own, those at inner nodes are none, as few samples may be known only so far.
    """
    if LINEAGE not in samples:
        return np.ones(len(samples), bool)
    labels, lineages = samples["label"], samples[LINEAGE]
    if labels.is_unique or labels.equals(lineages):
        return np.zeros(len(samples), bool)
    return np.array([leaf != "" for leaf in find_leaves(lineages.tolist())])


def limit_train(samples: pd.DataFrame, classes: Classes, note: str = "") -> pd.DataFrame:
    """Leave out, or refuse, classes of train that have too few samples to be trained on.

    A batch holds several samples of each of its classes, of which it tells one from other classes
    by the others.

    Args:
        samples: With label and split, and perhaps lineage: then see `find_classes`. In a plane
            there are no classes; its points are not for this.
        classes: What to do with small classes.
        note: What was left out before, for the message.

    Raises:
        InputError: Naming the first of them, where they are refused.
    """
    train = samples["split"] == "train"
    counts = samples.loc[train, "label"].value_counts(sort=False)
    few = counts[counts < classes.smallest_class]
    few = few[few.index.isin(samples.loc[train & find_classes(samples), "label"])]
    if few.empty:
        return samples
    if classes.below != "refuse":
        return samples.assign(
            split=samples["split"].mask(train & samples["label"].isin(few.index), "")
        )
    others = f" and {len(few) - 1} more such classes" if len(few) > 1 else ""
    count = f"{few.iloc[0]} sample{'s' if few.iloc[0] > 1 else ''}"
    way = "gallery lets one sample of each be found"
    if LINEAGE in samples:
        way = "smallest_class: 1 keeps them, for relevance lineage"
    found = f"{count} of class {few.index[0]!r} in train{others}{note}"
    raise InputError(
        f"classes.smallest_class: found {found}, expected at least {classes.smallest_class}, as a "
        f"batch holds several of each; classes.below: drop leaves such classes out, {way}"
    )


def describe_limits(
    samples: pd.DataFrame, small: np.ndarray, capped: np.ndarray, classes: Classes
) -> dict[str, Any]:
    """Count what limits left out, for the card; nothing where they left out nothing.

    Args:
        samples: With label and the final split.
        small: Which samples are of small classes, bool (N,).
        capped: Which of large classes are not used, bool (N,).
        classes: The limits.
    """
    limits: dict[str, Any] = {}
    if small.any():
        limits["smallest_class"] = classes.smallest_class
        limits["small_classes"] = samples["label"][small].nunique()
        limits["found_only"] = int(samples["split"][small].ne("").sum())
    if capped.any():
        limits["largest_class"] = classes.largest_class
        limits["large_classes"] = samples["label"][capped].nunique()
        limits["not_used"] = int(capped.sum())
    return limits
