"""Losses of a batch of embeddings and labels in a geometry, for a training loop of one's own."""

from typing import Any

import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.proxy_anchor import proxy_anchor
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table


def pairwise_loss(embeddings: Tensor, labels: Tensor, geometry: Geometry) -> Tensor:
    """Return the pairwise cross-entropy of Hyp-ViT, by which geometries are compared here.

        scale = 2 / outputs**0.5  # outputs of variance 1 come to a mean radius of 2
        ball = geomix.Geometry([geomix.Ball(curvature=1, scale=scale)], tau=0.2)
        for images, labels in batches:
            loss = geomix.pairwise_loss(network(images), labels, ball)
            optimizer.zero_grad(); loss.backward(); optimizer.step()

    The k-th image of each class in the batch is its view k; see `pairwise_cross_entropy`.

    Args:
        embeddings: Shape (N, D), of any floating type, on any device. Best is the same number of
            images, 2 or more, of each class.
        labels: Classes, integers, shape (N,).
        geometry: The geometry of the logits. Where it learns something, train its parameters too
            and call its `keep_in_range` after each step.

    Returns:
        Scalar, float32, in nats.

    Raises:
        TypeError: On what is no tensor, or no geometry.
        ValueError: On shapes that do not fit, or where no class has two images, or all are of one.
        InputError: On embeddings that are not finite.
    """
    check_types(embeddings, labels, geometry)
    batch = label_views(labels, embeddings)
    require_negatives(batch)
    points = geometry.place(embeddings)
    return pairwise_cross_entropy(geometry.logits(points, points), batch, batch)


def supervised_loss(embeddings: Tensor, labels: Tensor, geometry: Geometry) -> Tensor:
    """Return the supervised contrastive loss; see `supervised_contrastive`.

    Args:
        embeddings: Shape (N, D).
        labels: Classes, integers, shape (N,).
        geometry: The geometry of the logits.

    Returns:
        Scalar, float32, in nats.

    Raises:
        TypeError: On what is no tensor, or no geometry.
        ValueError: On shapes that do not fit, or where no class has two images, or all are of one.
        InputError: On embeddings that are not finite.
    """
    check_types(embeddings, labels, geometry)
    batch = label_views(labels, embeddings)
    require_negatives(batch)
    points = geometry.place(embeddings)
    return supervised_contrastive(geometry.logits(points, points), batch, batch)


def proxy_loss(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, geometry: Geometry, margin: float = 0.1
) -> Tensor:
    """Return the loss Proxy-Anchor of proxies that are placed as embeddings are.

    Args:
        embeddings: Shape (N, D).
        labels: Classes from 0 to C - 1, shape (N,).
        proxies: One for each class, shape (C, D), a parameter that is trained with the network.
        geometry: The geometry of the logits.
        margin: In similarities; the paper's is 0.1.

    Returns:
        Scalar, float32.

    Raises:
        TypeError: On what is no tensor, or no geometry.
        ValueError: On shapes that do not fit, or on a label that has no proxy.
        InputError: On numbers that are not finite.
    """
    check_types(embeddings, labels, geometry)
    batch = label_views(labels, embeddings)
    unknown = batch.label[(batch.label < 0) | (batch.label >= len(proxies))]
    if len(unknown):
        expected = f"0 to {len(proxies) - 1}, the rows of proxies"
        raise ValueError(f"labels: found {int(unknown[0])}, expected {expected}")
    classes = torch.arange(len(proxies), device=embeddings.device)
    columns = Table(-1 - classes, classes, torch.zeros_like(classes))
    logits = geometry.logits(geometry.place(embeddings), geometry.place(proxies))
    return proxy_anchor(logits, batch, columns, margin=margin / geometry.tau)


def label_views(labels: Tensor, embeddings: Tensor) -> Table:
    """Return who the rows of a batch are: the k-th row of a class is its view k.

    Raises:
        ValueError: If labels are not one integer for each row.
    """
    whole = not (labels.is_floating_point() or labels.is_complex())
    if labels.shape != embeddings.shape[:1] or not whole:
        found = f"{tuple(labels.shape)} {labels.dtype} for embeddings {tuple(embeddings.shape)}"
        raise ValueError(f"labels: found {found}, expected one integer for each row")
    labels = labels.to(embeddings.device, torch.int64)
    rows = torch.arange(len(labels), device=labels.device)
    order = labels.argsort(stable=True)
    _, counts = labels[order].unique_consecutive(return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)  # place of the class's first row
    view = torch.empty_like(labels)
    view[order] = rows - first
    return Table(rows, labels, view)


def check_types(embeddings: Any, labels: Any, geometry: Any) -> None:
    """Check what one's own training loop passes.

    Raises:
        TypeError: If it is of another type.
    """
    for name, value in (("embeddings", embeddings), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: found {type(value).__name__}, expected a tensor of torch")
    if not isinstance(geometry, Geometry):
        expected = "a geometry of spaces: geomix.Geometry([space], tau=0.1)"
        raise TypeError(f"geometry: found {type(geometry).__name__}, expected {expected}")


def require_negatives(batch: Table) -> None:
    """Check that a batch has negatives.

    Raises:
        ValueError: If all samples are of one class: nothing would be learned.
    """
    if (batch.label == batch.label[0]).all():
        expected = "two or more, as negatives are of another"
        raise ValueError(f"labels: found one class, expected {expected}")
