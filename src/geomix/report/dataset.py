"""The page of a data set: what its samples are, how they are split, and how they hang together."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.data.packed import SPLITS, Packed, open_packed
from geomix.datasets.listing import list_warnings
from geomix.report.copies import Copies, find_copies
from geomix.report.figures import find_stand_ins
from geomix.report.pictures import Picture, draw_samples, read_pictures
from geomix.report.render import describe_origin, render
from geomix.report.vectors import GROUPS, POINTS, draw_map

ROWS, COLUMNS = 6, 12  # of the picture
FACES = 2  # images of one class side by side
ALIKE = {"equal": "the same", "near": "nearly the same"}


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


def chain_rows(packed: Packed) -> Iterator[tuple[str, list[tuple[np.ndarray, str]]]]:
    """Choose images that show kinship: the nodes from a root down to one of the deepest leaves.

    Yields:
        The name of a leaf; and images of the nodes on the way to it, with captions.
    """
    tree, split = packed.lineages, packed.samples["split"].to_numpy()
    used = split != ""
    deepest = used & (tree.depth == tree.depth[used].max())
    _, first = np.unique(tree.node[deepest], return_index=True)
    leaves = np.flatnonzero(deepest)[np.sort(first)]
    for row in leaves[np.linspace(0, len(leaves) - 1, min(ROWS, len(leaves))).astype(int)]:
        images: list[tuple[np.ndarray, str]] = []
        for node in tree.codes[row][tree.codes[row] >= 0]:
            members = np.flatnonzero((tree.node == node) & used)
            if len(members):
                spread = members[np.linspace(0, len(members) - 1, FACES).astype(int)]
                caption = f"{tree.paths[node][-1]} ({split[members[0]]})"
                images += [(image, caption) for image in read_pictures(packed, spread)]
        yield tree.paths[tree.node[row]][-1], images[-COLUMNS:]


def describe_tree(packed: Packed) -> dict[str, Any]:
    """Count the nodes, roots and leaves of lineages; nothing where samples have none.

    A leaf is a node with samples at it and none below.

    Returns:
        nodes, bare (of them without samples), roots, leaves; shallowest and deepest, the levels of
        lineages; splits, the nodes and leaves of each split; shared, leaves in more than one split;
        and kin, leaves of test with an ancestor in train.
    """
    if "lineage" not in packed.samples:
        return {}
    tree = packed.lineages
    filled = np.unique(tree.node)
    inner = np.unique(tree.codes[(tree.codes >= 0) & (tree.codes != tree.node[:, None])])
    leaves = np.setdiff1d(filled, inner)
    nodes = {split: np.unique(tree.node[packed.rows(split)]) for split in SPLITS}
    ends = {split: np.intersect1d(found, leaves) for split, found in nodes.items()}
    _, held = np.unique(np.concatenate(list(ends.values())), return_counts=True)
    test = tree.codes[packed.rows("test")]
    known = np.isin(test, nodes["train"]) & (test != test.max(1, keepdims=True))
    kin = np.intersect1d(test.max(1)[known.any(1)], leaves)
    return {
        "nodes": len(tree.paths),
        "bare": len(tree.paths) - len(filled),
        "roots": len(np.unique(tree.codes[:, 0])),
        "leaves": len(leaves),
        "shallowest": tree.depth.min(),
        "deepest": tree.depth.max(),
        "splits": {
            split: {"nodes": len(nodes[split]), "leaves": len(ends[split])} for split in SPLITS
        },
        "shared": int((held > 1).sum()),
        "kin": len(kin),
    }


def group_samples(packed: Packed) -> Packed:
    """Return the data set with the level by which a map is coloured.

    That is the first one; of lineages, the coarsest with several nodes; of points in a flat space,
    the first coordinate.
    """
    if packed.coordinates is not None:
        level, samples = packed.card["coordinates"][0], packed.samples
    elif "lineage" in packed.samples:
        tree, level = packed.lineages, "branch"
        several = [len(np.unique(codes[codes >= 0])) > 1 for codes in tree.codes.T]
        codes = tree.codes[:, several.index(True) if any(several) else 0]
        nodes = np.where(codes >= 0, codes, tree.node)  # what is above the branches is on its own
        samples = packed.samples.assign(branch=[tree.paths[node][-1] for node in nodes])
    else:
        return packed
    return replace(packed, samples=samples, card=packed.card | {"levels": [level]})


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


def picture_pairs(packed: Packed, copies: Copies) -> list[tuple[str, list[Picture]]]:
    """Choose pairs of pictures that are the same, or nearly so, under labels that differ.

    Returns:
        For each pair a name, and both pictures with their classes and splits; none of vectors.
    """
    samples = packed.samples
    labels, splits = samples["label"].to_numpy(), samples["split"].to_numpy()
    rows = [(pair, [pair.first, pair.second]) for pair in copies.pairs if packed.form != "vectors"]
    chosen = [(pair, both) for pair, both in rows if labels[both[0]] != labels[both[1]]]
    return [
        (
            ALIKE[pair.kind],
            [
                (image, f"{labels[row]} ({splits[row]})")
                for row, image in zip(both, read_pictures(packed, both), strict=True)
            ],
        )
        for pair, both in chosen[:ROWS]
    ]


def list_copies(packed: Packed, copies: Copies) -> bytes:
    """Write the pairs of samples that are the same, or nearly so, as CSV."""
    table = packed.samples[["id", "label", "split"]]
    sides = [
        table.iloc[[getattr(pair, side) for pair in copies.pairs]]
        .add_prefix(f"{side}_")
        .reset_index(drop=True)
        for side in ("first", "second")
    ]
    kinds = pd.Series([ALIKE[pair.kind] for pair in copies.pairs], name="alike", dtype=str)
    text: str = pd.concat([kinds, *sides], axis=1).to_csv(index=False)
    return text.encode()


def describe_left_out(card: dict[str, Any]) -> dict[str, int]:
    """Count what was left out of a data set, by reason."""
    reasons = card.get("left_out", {}).values()
    copies = sum(reason.startswith("the same as ") for reason in reasons)
    return {"broken": len(reasons) - copies, "copies": copies}


def build_dataset(data: Path) -> dict[str, bytes]:
    """Build the page of a data set, its pictures and its tables.

    Args:
        data: The packed data set.

    Returns:
        Content by file name; duplicates.csv and conflicts.png where there are any.
    """
    packed = open_packed(data)
    tree, copies = describe_tree(packed), find_copies(packed)
    card, things = packed.card, "vectors" if packed.form == "vectors" else "images"
    sizes = packed.samples[packed.samples["split"] != ""].groupby("label")["id"].count()
    counted = {
        split: card["counts"][split] | (tree["splits"][split] if tree else {}) for split in SPLITS
    }
    conflicts = picture_pairs(packed, copies)
    page = render(
        "dataset",
        dataset=card["dataset"],
        samples=len(packed.samples),
        classes=packed.samples["label"].nunique(),
        things=things,
        form=describe_form(packed),
        shape=packed.image_shape,
        headings=[
            things,
            "classes",
            *(f"{level} groups" for level in card["levels"]),
            *(("nodes", "leaves") if tree else ()),
        ],
        splits=counted,
        tree=tree,
        coordinates=card.get("coordinates", []),
        levels=card["levels"],
        smallest=sizes.min(),
        largest=sizes.max(),
        related=count_related(packed),
        warnings=[] if packed.coordinates is not None else list_warnings(packed.samples),
        points=POINTS,
        groups=GROUPS,
        left_out=describe_left_out(card),
        limits=card.get("limits", {}),
        ignored=[f"{count:,} {kind}" for kind, count in card.get("ignored", {}).items()],
        stand_ins=find_stand_ins([*sizes.index, *list_names(packed)]),
        alike=ALIKE,
        copies=copies,
        conflicts=len(conflicts),
        origin=describe_origin(packed, []),
    )
    counts = [
        {"split": split, "kind": kind, "count": count}
        for split in SPLITS
        for kind, count in counted[split].items()
    ]
    if things == "vectors":
        drawn = draw_map(group_samples(packed))
    else:
        drawn = draw_samples(list(chain_rows(packed) if tree else sample_rows(packed)))
    return {
        "README.md": page,
        "counts.csv": pd.DataFrame(counts).to_csv(index=False).encode(),
        "samples.png": drawn,
        **({"duplicates.csv": list_copies(packed, copies)} if copies.pairs else {}),
        **({"conflicts.png": draw_samples(conflicts)} if conflicts else {}),
    }


def list_names(packed: Packed) -> list[str]:
    """List the names of levels and of their groups, or of the nodes of lineages."""
    levels = packed.card["levels"]
    names = [*levels, *(name for level in levels for name in packed.samples[level].unique())]
    if "lineage" in packed.samples:
        names += packed.samples["lineage"].unique().tolist()
    return names
