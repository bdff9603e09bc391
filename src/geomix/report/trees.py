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
    means = table.groupby("level", sort=False)[list(TREES)].agg(["mean", "std"])
    rows = [
        {"level": level} | {words: percent(row[kind, "mean"], row[kind, "std"]) for kind, words in TREES.items()}
        for level, row in means.iterrows()
    ]
    said = []
    for kind, words in list(TREES.items())[1:]:
        better = [str(level) for level, row in means.iterrows() if row["learned", "mean"] > row[kind, "mean"]]
        worse = [str(level) for level in means.index if level not in better]
        parts = [
            f"{verb} {join_words(levels)}" for verb, levels in (("better by", better), ("**not better** by", worse)) if levels
        ]
        said.append(f"with that of {words} it compares {' and '.join(parts)}")
    return f"""
## The learned hierarchy

HIER's proxies form a tree; a test image belongs to its nearest proxy. Dendrogram purity, in percent: of two images of one group
the smallest subtree that holds both, and the share of that group in it. The learned tree's purity stands beside that of a tree
of its shape with images dealt out at random, and of one by Euclidean k-means on the same embeddings. By mean,
{"; ".join(said)}.

{markdown_table(rows)}
"""
