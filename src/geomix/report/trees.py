"""The trees that HIER learned, beside a random one and one of k-means."""

from pathlib import Path

import pandas as pd

from geomix.report.text import join_words, markdown_table, percent

TREES = {"learned": "learned", "random": "a random tree", "kmeans": "k-means"}


def describe_trees(folder: Path) -> str:
    """Write the section on learned trees: their purity beside that of a random tree and one of k-means; nothing without one.

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
    said = [f"- `{system}`: {_compare(group.droplevel(0))}." for system, group in means.groupby(level=0, sort=False)]
    listed = "\n".join(said)
    return f"""
## The learned hierarchy

HIER's proxies form a tree; a test image belongs to its nearest proxy. Dendrogram purity, in percent, is the share of a group in
the smallest subtree that holds two of its images, averaged over all such pairs. Beside the learned tree stand one of its shape
with images dealt out at random, and one by Euclidean k-means on the same embeddings. By mean over seeds the learned tree is

{listed}

{markdown_table(rows)}
"""


def _compare(means: pd.DataFrame) -> str:
    """Say by which levels the learned tree is purer than each of the others."""
    said = []
    for kind, words in list(TREES.items())[1:]:
        better = [str(level) for level, row in means.iterrows() if row["learned", "mean"] > row[kind, "mean"]]
        worse = [str(level) for level in means.index if level not in better]
        said += [
            f"{verb} {words} by {join_words(names)}"
            for verb, names in (("purer than", better), ("**not** purer than", worse))
            if names
        ]
    return "; ".join(said)
