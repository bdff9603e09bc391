"""Copies: images whose files, or pixels, are the same to the last byte."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from geomix.errors import InputError

SHOWN = 5  # of groups, in a refusal


def digest(image: bytes | np.ndarray) -> bytes:
    """Return the SHA-256 of a file, or of pixels with their shape."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def group_copies(digests: Sequence[bytes], used: np.ndarray) -> list[list[int]]:
    """Return the rows that hold the same content, in groups of two or more, in order.

    Args:
        digests: Of N images, b"" of one that is broken.
        used: Which are in a split, bool (N,).
    """
    groups: dict[bytes, list[int]] = {}
    for row, found in enumerate(digests):
        if found and used[row]:
            groups.setdefault(found, []).append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def settle_copies(
    digests: Sequence[bytes], samples: pd.DataFrame, how: str | int
) -> dict[int, str]:
    """Choose which copies are left out.

    Of copies in one class the first stays. Of copies in several classes none does, as nothing tells
    which label is right; that also ends leaks, because a class is in one split.

    Args:
        digests: As in `group_copies`.
        samples: With id, label and split; copies that are not used are none.
        how: keep, drop or refuse; or a number, up to which they are kept and above which refused.

    Returns:
        By row, the reason.

    Raises:
        InputError: Naming the first groups, where copies are refused.
    """
    if how == "keep":
        return {}
    ids, labels = samples["id"].tolist(), samples["label"].tolist()
    groups = group_copies(digests, samples["split"].ne("").to_numpy())
    copies = sum(map(len, groups)) - len(groups)
    if how != "drop" and copies > (most := 0 if isinstance(how, str) else how):
        shown = "; ".join(
            " = ".join(f"{ids[row]} ({labels[row]})" for row in rows[:SHOWN])
            for rows in groups[:SHOWN]
        )
        expected = f"at most {most}" if most else "each image once"
        found = f"{copies} copies of other images"
        raise InputError(f"images.duplicates: found {found}, expected {expected}: {shown}")
    if how != "drop":
        return {}
    reasons: dict[int, str] = {}
    for first, *others in groups:
        mixed = len({labels[row] for row in (first, *others)}) > 1
        note = ", in several classes" if mixed else ""
        reasons |= dict.fromkeys(others, f"the same as {ids[first]}{note}")
        if mixed:
            reasons[first] = f"the same as {ids[others[0]]}{note}"
    return reasons
