"""dataset.md: what the images or vectors are, how they are split, and how they hang together."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from geomix.data.packed import SPLITS, Packed
from geomix.report.figures import draw_samples
from geomix.report.pictures import read_pictures
from geomix.report.text import markdown_table
from geomix.report.vectors import GROUPS, POINTS, draw_map

ROWS, COLUMNS, FACES = 6, 12, 2  # of the picture; FACES images of one class stand side by side

ROW = """\
A row for each of the largest groups of the coarsest level, from its largest family of classes on; under each image its
class and the split of that class."""
MAP = f"""\
The two directions in which the test vectors vary most, standardised by the columns of train as the network sees them; at
most {POINTS:,} of them, the {GROUPS} largest groups of the coarsest level by name."""


def count_rows(packed: Packed) -> list[dict[str, str]]:
    """Give a row of counts for each split."""
    counts = packed.card["counts"]
    names = [_kind(packed), "classes", *(f"{level} groups" for level in packed.card["levels"])]
    return [
        {"split": split} | dict(zip(names, (f"{n:,}" for n in counts[split].values()), strict=True))
        for split in SPLITS
    ]


def sample_rows(packed: Packed) -> Iterator[tuple[str, list[tuple[np.ndarray, str]]]]:
    """Choose images that show the hierarchy: for each of the largest coarse groups its finest
    family of classes.

    Yields:
        The name of a row and its images with captions.
    """
    samples = packed.samples[packed.samples["split"] != ""]
    levels = packed.card["levels"]
    groups = samples.groupby(levels[0], sort=False) if levels else [("", samples)]
    largest = sorted(groups, key=lambda item: -len(item[1]))[:ROWS]
    for name, group in largest:
        family = group
        if len(levels) > 1:
            members = group.groupby(levels[1], sort=False)["label"].nunique()
            family = pd.concat(
                [
                    group[group[levels[1]] == members.idxmax()],
                    group[group[levels[1]] != members.idxmax()],
                ]
            )
            name = f"{name}\nfrom {levels[1]} {members.idxmax()}"
        images = []
        for label, rows in list(family.groupby("label", sort=False))[: COLUMNS // FACES]:
            spread = np.linspace(0, len(rows) - 1, FACES).astype(int)
            caption = f"{label} ({rows['split'].iloc[0]})"
            images += [(image, caption) for image in read_pictures(packed, rows.index[spread])]
        yield str(name), images


def related(packed: Packed) -> str:
    """Say how many test classes have a relative, a class of the same finest group, among the training classes."""
    levels = packed.card["levels"]
    if not levels:
        return ""
    samples = packed.samples
    known = set(samples.loc[samples["split"] == "train", levels[-1]])
    test = samples[samples["split"] == "test"].drop_duplicates("label")
    count = int(test[levels[-1]].isin(known).sum())
    return f" Their groups are not: {count} of {len(test)} test classes share their {levels[-1]} with one of train."


def _kind(packed: Packed) -> str:
    return "vectors" if packed.form == "vectors" else "images"


def _shape(packed: Packed) -> str:
    height, width, channels = packed.image_shape
    if packed.form == "vectors":
        return f"of {channels:,} numbers"
    size = f"of {height} x {width} pixels" if height else "kept as they came"
    return f"{size}, {'grey' if channels == 1 else 'colour'}"


def dataset_page(packed: Packed) -> dict[str, bytes]:
    """Write dataset.md, samples.png and dataset.csv."""
    card, vectors = packed.card, packed.form == "vectors"
    levels = " -> ".join([*card["levels"], "class"])
    sizes = packed.samples[packed.samples["split"] != ""].groupby("label")["id"].count()
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    page = f"""# Data set: {card["dataset"]}

{len(packed.samples):,} {_kind(packed)} {_shape(packed)}, in
{packed.samples["label"].nunique():,} classes of {each} {_kind(packed)}. Hierarchy: {levels}.

{markdown_table(count_rows(packed))}

No class is in two splits.{related(packed)} Training sees train alone; settings are chosen on val; test is only scored.

![{"A map of the test vectors" if vectors else "Samples with their hierarchy"}](samples.png)

{MAP if vectors else ROW}

Numbers: [dataset.csv](dataset.csv).
"""
    counts = [
        {"split": split, "kind": kind, "count": n}
        for split in SPLITS
        for kind, n in card["counts"][split].items()
    ]
    return {
        "dataset.md": page.encode(),
        "dataset.csv": pd.DataFrame(counts).to_csv(index=False).encode(),
        "samples.png": draw_map(packed) if vectors else draw_samples(list(sample_rows(packed))),
    }
