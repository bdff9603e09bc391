"""Batches of P classes and K images of each."""

from collections.abc import Iterator

import numpy as np
import torch

from geomix.errors import InputError
from geomix.train.losses import Table


class ClassBatches:
    """Draw batches for training: K images of each of P classes, one image of every class after the other (view-major).

    An epoch is as many batches as the images fill, at least one. Classes and, within a class, images are drawn
    without repetition inside a batch.
    """

    def __init__(self, labels: np.ndarray, classes: int, images: int) -> None:
        """Group the images by class.

        Args:
            labels: The class of each of N images, any sortable values.
            classes: P.
            images: K.

        Raises:
            InputError: If there are fewer than P classes, or a class has fewer than K images.
        """
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if len(counts) < classes:
            raise InputError(f"batch.classes: found {classes}, expected at most the {len(counts)} classes of the train split")
        if counts.min() < images:
            raise InputError(f"batch.images: found {images}, expected at most {counts.min()}, the images of the smallest class")
        order = torch.from_numpy(np.argsort(codes, kind="stable"))
        self._members = order.split(counts.tolist())
        self._labels = torch.from_numpy(codes)
        self._images, self._drawn = images, classes
        self.classes = len(counts)
        self.per_epoch = max(1, len(labels) // (classes * images))

    def epoch(self, generator: torch.Generator) -> Iterator[Table]:
        """Draw the batches of one epoch: each a table of K * P samples, labels being 0 to `classes` - 1."""
        views = torch.arange(self._images).repeat_interleave(self._drawn)
        for _ in range(self.per_epoch):
            chosen = torch.randperm(self.classes, generator=generator)[: self._drawn]
            rows = torch.stack([self._draw(self._members[index], generator) for index in chosen.tolist()], 1).flatten()
            yield Table(rows, self._labels[rows], views)

    def _draw(self, members: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return members[torch.randperm(len(members), generator=generator)[: self._images]]
