"""What each cell of a study was trained with: passes, samples, batches, the network."""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from geomix.config.stages import TrainParams
from geomix.data.lineages import WHOLE
from geomix.data.packed import Packed

SECTIONS = ("epochs", "batch", "backbone")
SHAPE = ("side", "stem", "patch", "width", "depth", "heads")


def find_budget(
    packed: Packed,
    settings: TrainParams,
    cells: int,
    axes: Iterable[str] = (),
    pinned: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Find the budget that all cells share.

    Args:
        packed: The data set.
        settings: What trained the cells.
        cells: How many there are.
        axes: Keys that vary; if the budget is among them there is none in common.
        pinned: Settings of the study by dotted key, over the others.

    Returns:
        `cells`, `epochs`, `images` of train, `steps` of the optimiser; the `batch`: all samples,
        drawn by the task, class or lineage, or hidden, two views of single samples; `classes`, or
        leaves of a tree, in a batch and `views`, images of each of these; `backbone`, its `shape`,
        and its weights at the `start`; or nothing.
    """
    if any(axis.partition(".")[0] in SECTIONS for axis in axes):
        return None

    def read(key: str) -> Any:
        """Read a setting by its dotted key."""
        return (pinned or {}).get(key, reduce(getattr, key.split("."), settings))

    images, classes, views = len(packed.rows("train")), read("batch.classes"), read("batch.images")
    shape = {key: read(f"backbone.{key}") for key in SHAPE}
    whole = settings.task != "class" and images <= WHOLE
    hidden = read("labels") == "hidden"
    taken = classes * views // (2 if hidden else 1)  # images of a batch
    fresh = not read("backbone.pretrained") and read("backbone.checkpoint") is None
    return {
        "cells": cells,
        "epochs": read("epochs"),
        "images": images,
        "steps": read("epochs") * (1 if whole else max(1, images // taken)),
        "batch": "all" if whole else "hidden" if hidden else settings.task,
        "classes": classes,
        "views": views,
        "backbone": read("backbone.name"),
        "shape": {key: value for key, value in shape.items() if value},
        "start": "from scratch" if fresh else "from given weights",
    }
