"""What each cell of a study was trained with: passes, samples, batches, the network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from geomix.config.stages import TrainParams
from geomix.data.packed import Packed

SECTIONS = ("epochs", "batch", "backbone")
SHAPE = ("side", "stem", "patch", "width", "depth", "heads")


@dataclass(frozen=True)
class Budget:
    """What a cell was trained with.

    Attributes:
        cells: How many there are.
        epochs: Passes over the samples.
        images: Samples of train.
        steps: Of the optimiser.
        classes: In a batch.
        views: Images of each of these.
        backbone: Its name.
        shape: Its sizes.
        start: What its weights were at first.
    """

    cells: int
    epochs: int
    images: int
    steps: int
    classes: int
    views: int
    backbone: str
    shape: dict[str, Any]
    start: str


def find_budget(
    packed: Packed,
    settings: TrainParams,
    cells: int,
    axes: Iterable[str] = (),
    pinned: Mapping[str, Any] | None = None,
) -> Budget | None:
    """Find the budget that all cells share.

    Args:
        packed: The data set.
        settings: What trained the cells.
        cells: How many there are.
        axes: Keys that vary; if the budget is among them there is none in common.
        pinned: Settings of the study by dotted key, over the others.

    Returns:
        The budget, or nothing.
    """
    if any(axis.partition(".")[0] in SECTIONS for axis in axes):
        return None

    def read(key: str) -> Any:
        """Read a setting by its dotted key."""
        return (pinned or {}).get(key, reduce(getattr, key.split("."), settings))

    images, classes, views = len(packed.rows("train")), read("batch.classes"), read("batch.images")
    shape = {key: read(f"backbone.{key}") for key in SHAPE}
    fresh = not read("backbone.pretrained") and read("backbone.checkpoint") is None
    return Budget(
        cells,
        read("epochs"),
        images,
        read("epochs") * max(1, images // (classes * views)),
        classes,
        views,
        read("backbone.name"),
        {key: value for key, value in shape.items() if value},
        "from scratch" if fresh else "from given weights",
    )
