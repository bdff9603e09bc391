"""Lineages: where samples are in a tree, how they are related, how far apart they are.

A lineage is the path of a sample's node in a tree, from a root down. It ends where the sample's
node is, at any depth: inner nodes can have samples too. Trees with different roots meet at a
virtual root above them, which is no level.

Functions that take arrays raise ValueError for shapes, types or values other than those of their
docstrings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from geomix.errors import InputError

WHOLE = 2048  # samples in a tree that are one batch; of more, batches are drawn


@dataclass(frozen=True, eq=False)
class Lineages:
    """Where samples are in a tree.

    Attributes:
        codes: The node of each sample at each level, coarse to fine, as a number, int64 (N, L); -1
            below the sample's own node. A number stands for a whole path: nodes of the same name
            below different parents have different numbers. Numbers grow with depth.
        paths: By number, the names from the root down to the node.
    """

    codes: np.ndarray
    paths: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: np.ndarray) -> "Lineages":
        """Return the lineages of some samples, by rows or as a mask, in the same tree."""
        return Lineages(self.codes[rows], self.paths)

    @property
    def depth(self) -> np.ndarray:
        """Levels of each sample's lineage, (N,), at least 1."""
        return (self.codes >= 0).sum(1)

    @property
    def node(self) -> np.ndarray:
        """The number of each sample's own node, (N,): the same for samples of the same node."""
        return self.codes.max(1)  # the deepest, because numbers grow with depth


class Kinship(NamedTuple):
    """How items are related to queries: booleans (Q, N).

    Attributes:
        related: One of the two lineages begins with the other: any of the three below.
        ancestor: The item's node is above the query's.
        descendant: The item's node is below the query's.
        same: Both have the same node.
    """

    related: np.ndarray
    ancestor: np.ndarray
    descendant: np.ndarray
    same: np.ndarray


def parse_paths(paths: Iterable[str]) -> Lineages:
    """Read lineages written as text, such as "mammal/carnivore/cat".

    Samples that are compared must be read together, and then chosen by row.

    Args:
        paths: Of the samples, N > 0; any depth. Names have no slash and no spaces around them;
            slashes at the end are ignored.

    Raises:
        InputError: If a path is blank, or a name in it other than the last ones.
    """
    parts = [_read_text(path).split("/") for path in paths]
    deepest = max(map(len, parts), default=0)
    levels = {
        f"level {level + 1}": [row[level] if level < len(row) else "" for row in parts]
        for level in range(deepest)
    }
    return parse_levels(levels)


def parse_levels(levels: Mapping[str, Iterable[object]]) -> Lineages:
    """Read lineages from the columns of a table.

    Samples that are compared must be read together, and then chosen by row.

    Args:
        levels: By name, coarse to fine, the column of a level, N > 0 names without spaces around
            them. A blank, or a missing value, says that the sample's lineage ends above.

    Raises:
        InputError: If a row is blank, or has a name below a blank.
        ValueError: If there is no level or no row, or columns have different lengths.
    """
    columns = [[_read_text(value) for value in values] for values in levels.values()]
    lengths = [len(column) for column in columns]
    if not lengths or min(lengths) != max(lengths) or not lengths[0]:
        expected = "at least one, all of one length, at least 1"
        raise ValueError(f"lineages: found columns of lengths {lengths}, expected {expected}")
    names = np.array(columns, dtype=object).T  # (N, L)
    _check_blanks(names, [*levels])
    codes = np.full(names.shape, -1, np.int64)
    paths: list[tuple[str, ...]] = []
    parents = np.full(len(names), -1, np.int64)
    for level, column in enumerate(names.T):
        known = np.flatnonzero(column != "")
        name, distinct = pd.factorize(column[known])
        # one number for each pair of parent and name: the same name below two parents is two nodes
        pairs = parents[known] * len(distinct) + name
        numbers, _ = pd.factorize(pairs)
        codes[known, level] = len(paths) + numbers
        _, first = np.unique(numbers, return_index=True)
        paths += [tuple(names[row, : level + 1]) for row in known[first]]
        parents = codes[:, level]
    return Lineages(codes, tuple(paths))


def shared_levels(queries: Lineages, items: Lineages) -> np.ndarray:
    """Count the levels that queries and items share: how long their lineages are the same.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Returns:
        Integers (Q, N), 0 to the smaller depth.

    Raises:
        ValueError: If the two were not read together.

    Cost:
        O(Q N L) in time, O(Q N) in memory.
    """
    require_one_tree(queries, items)
    shared = np.zeros((len(queries), len(items)), np.int32)
    for query, item in zip(queries.codes.T, items.codes.T, strict=True):
        # equal numbers are equal paths, so a level is shared only if all above it are
        shared += (query[:, None] == item) & (query[:, None] >= 0)
    return shared


def hops(queries: Lineages, items: Lineages) -> np.ndarray:
    """Count the edges between the nodes of queries and items.

    With s the levels that they share, hops = depth_query + depth_item - 2 s. Between nodes of
    different roots the way leads through the virtual root.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Returns:
        Integers (Q, N), at least 0.

    Raises:
        ValueError: If the two were not read together.
    """
    return queries.depth[:, None] + items.depth - 2 * shared_levels(queries, items)


def related(queries: Lineages, items: Lineages) -> Kinship:
    """Tell which items have nodes above, below or at those of the queries.

    Args:
        queries: Q lineages.
        items: N lineages of the same tree.

    Raises:
        ValueError: If the two were not read together.
    """
    shared = shared_levels(queries, items)
    whole_query = shared == queries.depth[:, None]
    whole_item = shared == items.depth
    return Kinship(
        related=whole_query | whole_item,
        ancestor=whole_item & ~whole_query,
        descendant=whole_query & ~whole_item,
        same=whole_query & whole_item,
    )


def _read_text(value: object) -> str:
    """Return a name without spaces around it; "" where it is missing."""
    return "" if pd.isna(value) else str(value).strip()


def _check_blanks(names: np.ndarray, columns: list[str]) -> None:
    """Check that rows of names (N, L) have a first one, and none below a blank."""
    known = names != ""
    below = np.argwhere(known[:, 1:] & ~known[:, :-1])
    if len(below):
        row, blank = (int(place) for place in below[0])
        found = f"{names[row, blank + 1]!r} in column {columns[blank + 1]}"
        where = f"row {row} (the first is 0) below a blank in column {columns[blank]}"
        raise InputError(f"lineages: found {found} of {where}, expected only blanks below a blank")
    empty = np.flatnonzero(~known[:, 0])
    if len(empty):
        found = f"row {empty[0]} (the first is 0) blank in column {columns[0]}"
        raise InputError(f"lineages: found {found}, expected at least one level in each row")


def require_one_tree(a: Lineages, b: Lineages) -> None:
    """Check that numbers of nodes mean the same in both."""
    if a.paths is not b.paths and a.paths != b.paths:
        found = f"two trees, of {len(a.paths)} and {len(b.paths)} nodes"
        raise ValueError(f"lineages: found {found}, expected lineages that were read together")
