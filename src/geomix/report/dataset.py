"""The page of a data set: what its samples are, how they are split, and how they hang together."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.data.packed import SPLITS, Packed, open_packed
from geomix.report.pictures import draw_samples, read_pictures
from geomix.report.render import describe_origin, render
from geomix.report.vectors import GROUPS, POINTS, draw_map

ROWS, COLUMNS = 6, 12  # of the picture
FACES = 2  # images of one class side by side


def sample_rows(packed: Packed) -> Iterator[tuple[str, list[tuple[np.ndarray, str]]]]:
    """Choose images that show the hierarchy.

    For each of the largest groups of the coarsest level, the group of the next level that has the
    most classes comes first.

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


def count_related(packed: Packed) -> int:
    """Count the test classes whose finest group holds a training class too."""
    levels = packed.card["levels"]
    if not levels:
        return 0
    samples = packed.samples
    known = set(samples.loc[samples["split"] == "train", levels[-1]])
    test = samples[samples["split"] == "test"].drop_duplicates("label")
    return int(test[levels[-1]].isin(known).sum())


def describe_form(packed: Packed) -> str:
    """Say what an image is like."""
    height, width, channels = packed.image_shape
    size = f"{height} x {width} pixels" if height else "of the size it came in"
    return f"{size}, {'grey' if channels == 1 else 'colour'}"


def build_dataset(data: Path) -> dict[str, bytes]:
    """Build the page of a data set, its picture and its table.

    Args:
        data: The packed data set.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    card, things = packed.card, "vectors" if packed.form == "vectors" else "images"
    sizes = packed.samples[packed.samples["split"] != ""].groupby("label")["id"].count()
    page = render(
        "dataset",
        dataset=card["dataset"],
        samples=len(packed.samples),
        classes=packed.samples["label"].nunique(),
        things=things,
        form=describe_form(packed),
        shape=packed.image_shape,
        headings=[things, "classes", *(f"{level} groups" for level in card["levels"])],
        splits={split: card["counts"][split] for split in SPLITS},
        levels=card["levels"],
        smallest=sizes.min(),
        largest=sizes.max(),
        related=count_related(packed),
        points=POINTS,
        groups=GROUPS,
        origin=describe_origin(packed, []),
    )
    counts = [
        {"split": split, "kind": kind, "count": count}
        for split in SPLITS
        for kind, count in card["counts"][split].items()
    ]
    drawn = draw_map(packed) if things == "vectors" else draw_samples(list(sample_rows(packed)))
    return {
        "README.md": page,
        "counts.csv": pd.DataFrame(counts).to_csv(index=False).encode(),
        "samples.png": drawn,
    }
