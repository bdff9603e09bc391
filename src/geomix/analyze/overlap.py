"""Which negatives are hard, and how far two rankings of them agree."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geomix.evaluate.acted import Differs
from geomix.evaluate.cells import space_evenly
from geomix.geometry.geometry import Geometry

ANCHORS = 512  # at most, one of each class
ITEMS = 2048  # gallery items, evenly spaced, whose ranks are correlated
HARDEST = 10  # negatives of an anchor that are compared as a set


@dataclass(frozen=True)
class Asked:
    """Whose negatives are ranked.

    Attributes:
        anchors: Rows of the split, (A,), each of another class.
        positives: For each anchor another row of its class, (A,).
        items: Rows among which the negatives are, (M,), ascending.
        negative: Which items are negatives of which anchors, booleans (A, M).
    """

    anchors: np.ndarray
    positives: np.ndarray
    items: np.ndarray
    negative: Tensor

    @property
    def thinned(self) -> Tensor:
        """Places of the items whose ranks are correlated, evenly spaced, (M',)."""
        return torch.from_numpy(space_evenly(len(self.items), ITEMS))


@dataclass(frozen=True)
class Ranking:
    """How a geometry ranks the negatives of anchors.

    Attributes:
        hardest: Places among the items, most similar first, int32 (A, 10); fewer where an anchor
            has fewer negatives.
        ranks: Of the thinned items minus their mean, 0 where an item is no negative, float32
            (A, M').
    """

    hardest: np.ndarray
    ranks: np.ndarray


def draw_anchors(
    labels: np.ndarray, queries: np.ndarray, gallery: np.ndarray, differs: Differs, seed: int
) -> Asked:
    """Draw an anchor of each class, with a positive.

    Args:
        labels: Of the rows of a split, (N,).
        queries: Rows among them, from which anchors are drawn, (Q,).
        gallery: Rows among which positives and negatives are, (G,), ascending.
        differs: Which rows are negatives of which.
        seed: Of the draw.

    Returns:
        An anchor for each class that has a query and another gallery item, for at most 512 classes,
        evenly spaced in the order of their labels.
    """
    random = np.random.default_rng(seed)
    pairs = []
    for label in np.unique(labels[queries]):
        anchor = random.choice(queries[labels[queries] == label])
        others = gallery[(labels[gallery] == label) & (gallery != anchor)]
        if len(others):
            pairs.append((anchor, random.choice(others)))
    chosen = [pairs[place] for place in space_evenly(len(pairs), ANCHORS)]
    anchors, positives = np.array(chosen, np.int64).reshape(-1, 2).T
    return Asked(anchors, positives, gallery, torch.from_numpy(differs(anchors, gallery)))


def rank_negatives(geometry: Geometry, vectors: Tensor, asked: Asked) -> Ranking:
    """Rank the negatives of anchors by similarity.

    Args:
        geometry: Its temperature does not count.
        vectors: Outputs of the head for a split, (N, D), float64.
        asked: Whose.
    """
    points = geometry.place(vectors)
    x, y = ([placed[rows] for placed in points] for rows in (asked.anchors, asked.items))
    similarity = geometry.similarity(x, y).masked_fill(~asked.negative, -torch.inf)
    fewest = int(asked.negative.sum(1).min())
    hardest = similarity.topk(min(HARDEST, fewest), 1).indices
    negative = asked.negative[:, asked.thinned]
    order = similarity[:, asked.thinned].argsort(dim=1, stable=True)  # what is no negative first
    ranks = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1]).expand_as(order)
    )
    counts = negative.sum(1, keepdim=True)
    middle = order.shape[1] - (counts + 1) / 2
    centred = (ranks - middle).masked_fill(~negative, 0)
    return Ranking(hardest.to(torch.int32).numpy(), centred.float().numpy())


def share_hardest(a: Ranking, b: Ranking) -> np.ndarray:
    """Return for each anchor the part of the ten hardest that two rankings share, (A,).

    It is Jaccard's: those in both over those in either, in [0, 1].
    """
    both = (a.hardest[:, :, None] == b.hardest[:, None, :]).sum((1, 2))
    shared: np.ndarray = both / (2 * a.hardest.shape[1] - both)
    return shared


def correlate(a: Ranking, b: Ranking) -> np.ndarray:
    """Return for each anchor Spearman's correlation of two rankings of its negatives, (A,).

    In [-1, 1]; NaN where an anchor has fewer than two.
    """
    product = np.einsum("ij,ij->i", a.ranks, b.ranks, dtype=np.float64)
    sizes = [np.einsum("ij,ij->i", one.ranks, one.ranks, dtype=np.float64) for one in (a, b)]
    with np.errstate(invalid="ignore"):
        correlation: np.ndarray = product / np.sqrt(sizes[0] * sizes[1])
    return correlation
