"""The batches of an epoch as the network sees them: read, cropped and changed at random."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from geomix.config.stages import TrainParams
from geomix.data.images import apply_changes, draw_boxes, draw_changes, load_batch
from geomix.data.packed import Packed
from geomix.losses.table import Table
from geomix.network.ranks import own_part
from geomix.train.batches import Batches
from geomix.train.state import State


class Batch(NamedTuple):
    """A batch: rows of the data set (n,), who they are, and the views of this rank, (m, ...)."""

    rows: np.ndarray
    table: Table
    views: Tensor


def draw_views(
    packed: Packed,
    batches: Batches,
    params: TrainParams,
    state: State,
    held: Tensor | None = None,
) -> Iterator[Batch]:
    """Draw the batches of an epoch, and read, crop and change their images.

    Whatever is random in that is drawn here, for the whole batch by each rank.

    Args:
        packed: The data set; only images of its train split are read.
        batches: What draws them.
        params: Of them crop and augment are read.
        state: Whose encoder sees the views, and whose generator draws. The batches whose losses it
            has already are drawn, and left out.
        held: All images on the device; None to read them.

    Yields:
        The views are float32, (m, C, side, side), or vectors (m, D); the table is on the device.
    """
    encoder, generator, device = state.encoder, state.generator, state.device
    train, taken = packed.rows("train"), len(state.losses)
    for number, (images, table) in enumerate(batches.epoch(generator)):
        rows = train[images.numpy()]
        boxes, flips = draw_boxes(packed, rows, params.crop, generator)
        sides = () if packed.form == "vectors" else (encoder.side, encoder.side)
        shape = (len(rows), packed.channels, *sides)
        changes = draw_changes(shape, params.augment, generator)
        if number < taken:
            continue
        own = own_part(len(rows))
        views = load_batch(packed, rows[own], boxes[own], flips[own], encoder, device, held)
        changed = apply_changes(views, changes.part(own), params.augment, encoder.std)
        yield Batch(rows, table.to(device), changed)
