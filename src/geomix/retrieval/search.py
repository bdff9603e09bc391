"""Exact nearest neighbours in any geometry.

A geometry of one space orders as an inner product (for the ball: on the hyperboloid), so faiss finds candidates with
one matrix product; a sum of spaces is searched block by block. Candidates are then re-ranked in float64 from explicit
differences, and taken only where a bound on the rounding of the first pass says that no better one was left out.
"""

import math

import faiss
import numpy as np
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.model.geometry import Geometry, Points
from geomix.model.spaces import Space

SPARE = 22  # candidates beyond k in the first pass; with at least 32 in all, hardly a query needs a second
EPS32, EPS64 = 2.0**-24, 2.0**-53


def nearest(
    queries: Tensor,
    gallery: Tensor,
    geometry: Geometry,
    k: int,
    exclude: np.ndarray | None = None,
    memory: int = 4 * 2**20,
) -> np.ndarray:
    """Find the k most similar gallery items of each query, exactly and in a fixed order.

    Args:
        queries: Embeddings (Q, D), as the head gives them.
        gallery: Embeddings (N, D).
        geometry: Whose similarity orders.
        k: Neighbours for each query.
        exclude: For each query the row of the gallery that is the query itself, (Q,), or None where there is none.
        memory: Bytes of the largest temporary array, about; 4 MiB stay in the cache of a core.

    Returns:
        Rows of the gallery, closest first, shape (Q, k), int64. Ties go to the lower row; duplicates stay.

    Raises:
        InputError: On shapes that do not fit, values that are not finite, or k outside 1 ... N (less the excluded one).
    """
    _check(queries, gallery, k, exclude)
    available = len(gallery) - (exclude is not None)
    with torch.inference_mode():
        x, y = geometry.place(queries.double()), geometry.place(gallery.double())
        first_pass = _InnerProduct(geometry, x, y) if len(geometry.parts) == 1 else _Blocks(geometry, x, y, memory)
        found = np.empty((len(queries), k), np.int64)
        open_rows = np.arange(len(queries))
        wanted = max(32, k + SPARE)
        while len(open_rows):
            wanted = min(wanted, available)
            width = sum(points.shape[1] for points in y) * wanted * 8
            step = max(1, memory // width)
            left = []
            for start in range(0, len(open_rows), step):
                rows = open_rows[start : start + step]
                own = None if exclude is None else exclude[rows]
                candidates, worst = first_pass.candidates(rows, wanted, own)
                order, sure = _rerank(geometry, x, y, rows, candidates, k, worst, first_pass)
                if wanted == available:
                    sure[:] = True
                found[rows[sure]] = order[sure]
                left.append(rows[~sure])
            open_rows = np.concatenate(left)
            wanted *= 4
    return found


class _InnerProduct:
    """First pass with faiss in float32."""

    def __init__(self, geometry: Geometry, x: Points, y: Points) -> None:
        space, _ = geometry.parts[0]
        self._queries, _ = space.as_inner_product(x[0])
        _, self._gallery = space.as_inner_product(y[0])
        self._index = faiss.IndexFlatIP(self._gallery.shape[1])
        self._index.add(self._gallery.float().numpy())
        # A float32 product of E terms, of rounded coordinates, is off by at most (E + 2) eps sum |q_i g_i|, which Cauchy
        # and Schwarz bound: the first coordinate apart from the rest, as they differ in size.
        first, rest = self._gallery[:, :1].abs().max(), self._gallery[:, 1:].norm(dim=1).max()
        size = self._queries[:, :1].abs().squeeze(1) * first + self._queries[:, 1:].norm(dim=1) * rest
        self._slack = ((2 + self._gallery.shape[1]) * EPS32 * size).numpy()

    def candidates(self, rows: np.ndarray, count: int, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Give for each query `count` rows of the gallery and the lowest product among them."""
        scores, found = self._index.search(self._queries[rows].float().numpy(), count + (exclude is not None))
        return _drop(scores, found, exclude)

    def bound(self, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Give for each query the product with its chosen item, (q,), less what rounding can hide."""
        products = (self._queries[rows] * self._gallery[chosen]).sum(1)
        return products.numpy() - self._slack[rows]


class _Blocks:
    """First pass over blocks of queries in float64, for a sum of spaces."""

    def __init__(self, geometry: Geometry, x: Points, y: Points, memory: int) -> None:
        self._geometry, self._x, self._y = geometry, x, y
        self._step = max(1, memory // (len(y[0]) * 8))
        self._slack = sum(
            weight * _resolution(space, torch.cat([a, b])) for (space, weight), a, b in zip(geometry.parts, x, y, strict=True)
        )

    def candidates(self, rows: np.ndarray, count: int, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Give for each query `count` rows of the gallery and the lowest similarity among them."""
        scores, found = [], []
        for start in range(0, len(rows), self._step):
            block = [points[rows[start : start + self._step]] for points in self._x]
            values, indices = self._geometry.similarity(block, self._y).topk(count + (exclude is not None), dim=1)
            scores.append(values.numpy())
            found.append(indices.numpy())
        return _drop(np.concatenate(scores), np.concatenate(found), exclude)

    def bound(self, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Give for each query the similarity to its chosen item, (q,), less what rounding can hide."""
        one = [points[rows] for points in self._x], [points[chosen] for points in self._y]
        scores: np.ndarray = self._geometry.paired_similarity(*one).numpy()
        return scores - self._slack


def _resolution(space: Space, points: Tensor) -> float:
    """Bound the error of a similarity computed by a matrix product in float64.

    |x - y|^2 from a product is off by at most (D + 3) eps (|x| + |y|)^2. Distances are concave in it, so the error of a
    distance is at most the distance of two points that are apart by the root of that, at the largest radius.
    """
    apart = 2 * math.sqrt((points.shape[1] + 3) * EPS64)
    return float((space.paired_similarity(points, points) - space.paired_similarity(points * (1 - apart), points)).max())


def _drop(scores: np.ndarray, found: np.ndarray, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Take the excluded row out of each list, or the last where it is not there; give lists and lowest scores."""
    if exclude is None:
        return found, scores[:, -1]
    unwanted = found == exclude[:, None]
    unwanted[~unwanted.any(1), -1] = True
    shape = (len(found), found.shape[1] - 1)
    return found[~unwanted].reshape(shape), scores[~unwanted].reshape(shape)[:, -1]


def _rerank(
    geometry: Geometry,
    x: Points,
    y: Points,
    rows: np.ndarray,
    candidates: np.ndarray,
    k: int,
    worst: np.ndarray,
    first_pass: _InnerProduct | _Blocks,
) -> tuple[np.ndarray, np.ndarray]:
    """Order candidates in float64, ties by row; say for which queries no other item can belong to the first k."""
    near = [points[candidates] for points in y]  # (q, count, D)
    scores = geometry.paired_similarity([points[rows].unsqueeze(1) for points in x], near).numpy()
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    chosen = np.take_along_axis(candidates, order, 1)
    return chosen, first_pass.bound(rows, chosen[:, -1]) > worst


def _check(queries: Tensor, gallery: Tensor, k: int, exclude: np.ndarray | None) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or not len(gallery):
        shapes = f"{tuple(queries.shape)} and {tuple(gallery.shape)}"
        raise InputError(f"nearest: found queries and gallery of shapes {shapes}, expected (Q, D) and (N, D) with N > 0")
    for name, vectors in (("queries", queries), ("gallery", gallery)):
        if not torch.isfinite(vectors).all():
            raise InputError(f"nearest: found {name} with values that are not finite, expected finite embeddings")
    if exclude is not None and exclude.shape != (len(queries),):
        raise InputError(f"nearest: found exclude of shape {exclude.shape}, expected ({len(queries)},)")
    available = len(gallery) - (exclude is not None)
    if not 1 <= k <= available:
        raise InputError(f"nearest: found k = {k}, expected 1 to {available}, the items of the gallery")
