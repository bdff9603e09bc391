"""Batches: images of classes, two views of each image, or leaves with their ancestors."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from geomix.data.lineages import WHOLE, Lineages
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
        self._images, self._per_batch = images, classes
        self.classes = len(counts)
        self.per_epoch = max(1, len(labels) // (classes * images))

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, Table]]:
        """Draw the batches of one epoch.

        Yields:
            The K * P images of a batch, as rows of the labels, int64; and who they are, labels
            being 0 to `classes` - 1.
        """
        views = torch.arange(self._images).repeat_interleave(self._per_batch)
        for _ in range(self.per_epoch):
            chosen = torch.randperm(self.classes, generator=generator)[: self._per_batch]
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
        self._length, self._per_batch = length, views // 2
        self.per_epoch = length // self._per_batch

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, Table]]:
        """Draw the batches of one epoch.

        Yields:
            The images of a batch, int64 (2 * B,) in 0 ... N - 1, each twice; and who their views
            are: a sample for each view of each image, the image as the label, and view 0 or 1.
        """
        views = torch.arange(2).repeat_interleave(self._per_batch)
        order = torch.randperm(self._length, generator=generator)
        for chosen in order[: self.per_epoch * self._per_batch].split(self._per_batch):
            images = chosen.repeat(2)
            yield images, Table(images + views * self._length, images, views)


class TreeBatches:
    """Draw batches of samples in a tree, or in a flat space.

    Up to 2,048 samples are one batch, all of them. Of more, a batch is K samples of each of P leaf
    nodes, and a sample of each of their ancestors that has any; an epoch is then as many batches as
    the samples fill. A leaf is a node with samples and without a descendant that has samples.
    """

    classes = None  # nodes in their place

    def __init__(
        self, lineages: Lineages, coordinates: np.ndarray | None, leaves: int, samples: int
    ) -> None:
        """Group the samples by node.

        Args:
            lineages: Of N samples.
            coordinates: Float (N, k), or None of samples in a tree.
            leaves: P.
            samples: K, at most; smaller nodes give all they have.

        Raises:
            InputError: If there are fewer than P leaves, where not all samples are one batch.
        """
        nodes = torch.from_numpy(lineages.node)
        places = None if coordinates is None else torch.from_numpy(coordinates)
        rows = torch.arange(len(nodes))
        views = torch.zeros_like(rows)
        self._table = Table(rows, nodes, views, torch.from_numpy(lineages.codes), places)
        self._whole = len(rows) <= WHOLE
        order = nodes.argsort(stable=True)
        present, counts = nodes[order].unique_consecutive(return_counts=True)
        self._members = dict(zip(present.tolist(), order.split(counts.tolist()), strict=True))
        above = lineages.codes.copy()
        above[np.arange(len(above)), lineages.depth - 1] = -1
        inner = set(np.unique(above).tolist())
        self._leaves = [node for node in self._members if node not in inner]
        several = len(self._members) < len(rows)  # samples of a node
        self.has_relatives = several or not inner.isdisjoint(self._members)
        self._per_batch, self._samples = leaves, samples
        self.per_epoch = 1 if self._whole else max(1, len(rows) // (leaves * samples))
        if not self._whole and len(self._leaves) < leaves:
            most = f"the {len(self._leaves)} leaves of the train split"
            raise InputError(f"batch.classes: found {leaves}, expected at most {most}")

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Table]]:
        """Draw the batches of one epoch.

        Yields:
            The samples of a batch, int64, and who they are: the node as the label.
        """
        for _ in range(self.per_epoch):
            rows = self._table.sample if self._whole else self._draw_paths(generator)
            yield rows, self._table[rows]

    def _draw_paths(self, generator: torch.Generator) -> Tensor:
        """Draw leaves, samples of each, and one of each ancestor."""
        assert self._table.path is not None
        chosen = torch.randperm(len(self._leaves), generator=generator)[: self._per_batch]
        leaves = [self._leaves[number] for number in chosen.tolist()]
        parts = [self._draw(leaf, self._samples, generator) for leaf in leaves]
        nodes = self._table.path[torch.cat(parts)].unique().tolist()
        ancestors = [node for node in nodes if node in self._members and node not in leaves]
        parts += [self._draw(node, 1, generator) for node in ancestors]
        return torch.cat(parts)

    def _draw(self, node: int, count: int, generator: torch.Generator) -> Tensor:
        members = self._members[node]
        return members[torch.randperm(len(members), generator=generator)[:count]]


Batches = ClassBatches | ImageBatches | TreeBatches
