"""The trees that HIER learned, beside a random one and one of k-means."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

NEARLY_ALL = 0.9  # share of the images at one node from which a tree says nothing
OTHERS = {"random": "a random tree", "kmeans": "k-means"}
KINDS = ["learned", *OTHERS]


@dataclass(frozen=True)
class Tree:
    """A learned tree.

    Attributes:
        system: Which learned it.
        holding: At how many nodes test images lie, by seed.
        fullest: The share of the images at the fullest of these, by seed.
        purity: By level and kind of tree, mean and standard deviation over seeds.
        purer: By other tree, the levels by which the learned one is purer in every seed, in some
            and in none.
    """

    system: str
    holding: list[int]
    fullest: list[float]
    purity: dict[str, dict[str, tuple[float, float]]]
    purer: dict[str, dict[str, list[str]]]

    @property
    def says_nothing(self) -> bool:
        """Whether nearly all images lie at one node."""
        return max(self.fullest) > NEARLY_ALL


def read_trees(folder: Path) -> list[Tree]:
    """Read the learned trees of the systems.

    Args:
        folder: With their results; without trees.csv there are none.
    """
    path = folder / "trees.csv"
    if not path.is_file():
        return []
    return [
        _describe(str(system), table)
        for system, table in pd.read_csv(path).groupby("system", sort=False)
    ]


def _describe(system: str, table: pd.DataFrame) -> Tree:
    """Describe the trees of one system, one for each seed."""
    by_seed = table.drop_duplicates("seed")
    purity = {
        str(level): {kind: (rows[kind].mean(), rows[kind].std()) for kind in KINDS}
        for level, rows in table.groupby("level", sort=False)
    }
    return Tree(
        system,
        by_seed["holding"].tolist(),
        by_seed["fullest"].tolist(),
        purity,
        {OTHERS[kind]: dict(_compare(table, kind)) for kind in OTHERS},
    )


def _compare(table: pd.DataFrame, kind: str) -> Iterator[tuple[str, list[str]]]:
    """Yield by which levels the learned tree is purer than another in every, some and no seed."""
    levels = table.groupby("level", sort=False)
    shares = {str(level): (rows["learned"] > rows[kind]).mean() for level, rows in levels}
    yield "every", [level for level, share in shares.items() if share == 1]
    yield "some", [level for level, share in shares.items() if 0 < share < 1]
    yield "none", [level for level, share in shares.items() if share == 0]
