"""The trees that HIER learned, beside a random one and one of k-means."""

from pathlib import Path

import pandas as pd

from geomix.report.text import join_words, markdown_table, percent

NEARLY_ALL = 0.9  # share of the images at one node from which a tree says nothing
TREES = {"learned": "learned", "random": "a random tree", "kmeans": "k-means"}


def describe_trees(folder: Path) -> str:
    """Write the section on learned trees: their purity beside that of a random tree and one of
    k-means; nothing without one.

    Args:
        folder: With results of the systems.
    """
    path = folder / "trees.csv"
    if not path.is_file():
        return ""
    table = pd.read_csv(path)
    means = table.groupby(["system", "level"], sort=False)[list(TREES)].agg(["mean", "std"])
    rows = [
        {"system": system, "level": level}
        | {words: percent(row[kind, "mean"], row[kind, "std"]) for kind, words in TREES.items()}
        for (system, level), row in means.iterrows()
    ]
    said = [
        f"- `{system}`: {_places(group)}; {_compare(group)}."
        for system, group in table.groupby("system", sort=False)
    ]
    listed = "\n".join(said)
    return f"""
## The learned hierarchy

HIER's proxies form a tree; a test image belongs to its nearest proxy. Dendrogram purity, in percent, is the share of a group in
the smallest subtree that holds two of its images, averaged over all such pairs. Beside the learned tree stand one of its shape
with images dealt out at random, and one by Euclidean k-means on the same embeddings. A tree is called purer where it is in every
seed; where nearly all images lie at one node there is no tree to speak of.

{listed}

{markdown_table(rows)}
"""


def _places(table: pd.DataFrame) -> str:
    """Say at how many nodes test images lie, by seed."""
    holding = [str(count) for count in table.drop_duplicates("seed")["holding"]]
    order = "" if len(holding) == 1 else ", by seed"
    return f"test images lie at {join_words(holding)} of its nodes{order}"


def _compare(table: pd.DataFrame) -> str:
    """Say by which levels the learned tree of a system is purer than each of the others in every seed."""
    fullest = table.drop_duplicates("seed")["fullest"]
    if (fullest > NEARLY_ALL).any():
        listed = join_words([f"{percent(share)} %" for share in fullest])
        return f"the fullest holds {listed} of them, so **nothing is claimed of this tree**"
    levels = table.groupby("level", sort=False)
    said = []
    for kind, words in list(TREES.items())[1:]:
        purer = {str(level): (rows["learned"] > rows[kind]).mean() for level, rows in levels}
        for verdict, found in (
            (f"purer than {words}", [level for level, share in purer.items() if share == 1]),
            (
                f"purer than {words} in some seeds only",
                [level for level, share in purer.items() if 0 < share < 1],
            ),
            (
                f"**not** purer than {words}",
                [level for level, share in purer.items() if share == 0],
            ),
        ):
            if found:
                said.append(f"{verdict} by {join_words(found)}")
    return "; ".join(said)
