"""Batches: P classes and K images of each, or, where labels are hidden, two views of each image."""

from collections.abc import Iterator

import numpy as np
import torch

from geomix.errors import InputError
from geomix.losses.table import Table


class ClassBatches:
    """Draw batches for training: K images of each of P classes, view by view.

    An epoch is as many batches as the images fill, at least one. Classes and, within a class,
    images are drawn without repetition inside a batch.
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
            most = f"the {len(counts)} classes of the train split"
            raise InputError(f"batch.classes: found {classes}, expected at most {most}")
        if counts.min() < images:
            most = f"{counts.min()}, the images of the smallest class"
            raise InputError(f"batch.images: found {images}, expected at most {most}")
        order = torch.from_numpy(np.argsort(codes, kind="stable"))
        self._members = order.split(counts.tolist())
        self._labels = torch.from_numpy(codes)
        self._images, self._drawn = images, classes
        self.classes = len(counts)
        self.per_epoch = max(1, len(labels) // (classes * images))

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, Table]]:
        """Draw the batches of one epoch.

        Yields:
            The K * P images of a batch, as rows of the labels, int64; and who they are, labels
            being 0 to `classes` - 1.
        """
        views = torch.arange(self._images).repeat_interleave(self._drawn)
        for _ in range(self.per_epoch):
            chosen = torch.randperm(self.classes, generator=generator)[: self._drawn]
            rows = torch.stack(
                [self._draw(self._members[index], generator) for index in chosen.tolist()], 1
            ).flatten()
            yield rows, Table(rows, self._labels[rows], views)

    def _draw(self, members: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return members[torch.randperm(len(members), generator=generator)[: self._images]]


class ImageBatches:
    """Draw batches for training without labels: two views of each of B images.

    First comes one view of all, then the other. Images are drawn uniformly: a batch of P classes
    would tell which images differ in class. An epoch is as many batches as the images fill, each
    image in one at most.
    """

    classes = None  # nobody knows them

    def __init__(self, length: int, views: int) -> None:
        """Take the sizes.

        Args:
            length: N, images to draw from.
            views: 2 * B, the views in a batch.

        Raises:
            InputError: If the views are odd in number, or B is above N.
        """
        if views % 2 or views > 2 * length:
            raise InputError(
                f"batch: found classes * images = {views}, expected an even number of at most"
                f" {2 * length}, as labels are hidden: two views of each image of the train split"
            )
        self._length, self._drawn = length, views // 2
        self.per_epoch = length // self._drawn

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, Table]]:
        """Draw the batches of one epoch.

        Yields:
            The images of a batch, int64 (2 * B,) in 0 ... N - 1, each twice; and who their views
            are: a sample for each view of each image, the image as the label, and view 0 or 1.
        """
        views = torch.arange(2).repeat_interleave(self._drawn)
        order = torch.randperm(self._length, generator=generator)
        for chosen in order[: self.per_epoch * self._drawn].split(self._drawn):
            images = chosen.repeat(2)
            yield images, Table(images + views * self._length, images, views)
