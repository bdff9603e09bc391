"""Exact nearest neighbours in any geometry.

The first pass scores the gallery by matrix products, block by block with a running top-k. A
geometry of one space orders as an inner product (for the ball: on the hyperboloid). Short lists
take it in float32 on the CPU. Products in float64 serve what float32 leaves open, long lists, in
which that would be most places, sums of spaces, and CUDA devices. A bound on the rounding of the
scores tells which neighbours in a list it may have swapped: only these are compared again, from
explicit differences. A list is accepted only if the bound excludes that an item is missing.

faiss has such a search (IndexFlatIP), in float32 and without the bound; `python -m bench.search`
compares the two.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry, Points
from geomix.geometry.spaces import Space

Score = Callable[[Points, Points], Tensor]

# Candidates beyond k in the first pass; with at least 32 in all, hardly a query needs a second.
SPARE = 10
# Unit roundoff; that of float64 has room for the rounding of the coordinates themselves.
EPS32, EPS64 = 2.0**-24, 2.0**-50
SHORT = 128  # longest list made in float32
GROUP = 8  # items of a group: neighbours are sought among groups if that pays ...
SPARSE = 64  # ... which is in galleries of this many lists
SINGLE = 1e30  # products up to here fit float32
TILE = 2**16  # gallery items scored at a time
ROWS = 512  # most queries of a block, of one space: longer blocks leave the cache
PART = 2**19  # scores that a thread sorts at a time


def nearest(
    queries: Tensor,
    gallery: Tensor,
    geometry: Geometry,
    k: int,
    exclude: np.ndarray | None = None,
    memory: int = 80 * 2**20,
) -> np.ndarray:
    """Find the k most similar gallery items of each query, exactly and in a fixed order.

    Args:
        queries: Embeddings (Q, D), as the head returns them, on the device that searches.
        gallery: Embeddings (N, D), on the same device. Passing queries itself places them once.
        geometry: The similarity that orders.
        k: Neighbours for each query.
        exclude: For each query the row of the gallery that is the query itself, (Q,), or -1; None
            if there is none.
        memory: About the bytes for temporary arrays. The placed points, 8 D bytes each, their
            float32 copies, and the result come on top.

    Returns:
        Rows of the gallery, closest first, shape (Q, k), int64. Ties go to the lower row;
        duplicates stay.

    Raises:
        InputError: On values that are not finite.
        ValueError: On shapes that do not fit, or k outside 1 ... N (minus the excluded one).
    """
    _check(queries, gallery, k, exclude)
    own = None if exclude is None else torch.from_numpy(exclude.astype(np.int64)).to(gallery.device)
    available = len(gallery) - (own is not None)
    with torch.inference_mode():
        x = geometry.place(queries.double())
        y = x if gallery is queries else geometry.place(gallery.double())
        passes = _passes(geometry, x, y, k, memory)
        found = np.empty((len(queries), k), np.int64)
        left = torch.arange(len(queries), device=gallery.device)
        wanted = max(32, k + SPARE)
        while len(left):
            first_pass, wanted = next(passes), min(wanted, available)
            unsure = []
            for rows in left.split(max(1, memory // (192 * (wanted + 1)))):
                scores, items = first_pass.candidates(rows, wanted + (own is not None))
                if own is not None:
                    scores, items = _drop(scores, items, own[rows])
                # Whatever rounding did, the k-th of the list is better than any item left out.
                sure = scores[:, k - 1].double() - scores[:, -1] > 2 * first_pass.slack[rows]
                sure |= wanted == available
                _rerank(geometry, x, y, rows, scores, items, first_pass.slack[rows], k, memory)
                found[rows[sure].cpu().numpy()] = items[sure, :k].cpu().numpy()
                unsure.append(rows[~sure])
            left = torch.cat(unsure)
            wanted *= 4
    return found


class _Memory:
    """Memory that is reused: fresh pages would cost as much as a product."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def matrix(self, rows: int, columns: int, kind: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a matrix on the device of another tensor."""
        if len(self._memory) < rows * columns:
            self._memory = kind.new_empty(rows * columns, dtype=dtype)
        return self._memory[: rows * columns].view(rows, columns)


class _Product(_Memory):
    """Products of queries with gallery vectors."""

    def __init__(self, space: Space | None = None) -> None:
        super().__init__()
        self._space = space

    def __call__(self, x: Points, y: Points) -> Tensor:
        queries = x[0] if self._space is None else self._space.as_inner_product(x[0])[0]
        out = self.matrix(len(queries), len(y[0]), queries, queries.dtype)
        return torch.mm(queries, y[0].T, out=out)


class _Sum(_Memory):
    """Similarities of a sum of spaces, in steps of float32."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self._geometry = geometry

    def __call__(self, x: Points, y: Points) -> Tensor:
        out = self.matrix(len(x[0]), len(y[0]), x[0], torch.float32)
        return self._geometry.write_similarity(x, y, out)


class _Blocks:
    """First pass over blocks of queries and tiles of the gallery."""

    def __init__(
        self,
        score: Score,
        x: Points,
        y: Points,
        slack: Tensor,
        memory: int,
        rows: int | None = None,
    ) -> None:
        self._score, self._x, self._y = score, x, y
        self.slack = slack
        self._tile = min(TILE, len(y[0]))
        self._step = max(1, min(rows or len(x[0]), memory // (8 * self._tile)))
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads)

    def candidates(self, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return for each query the highest `count` scores, falling, and their gallery rows."""
        blocks = (self._best(block, count) for block in rows.split(self._step))
        scores, items = zip(*blocks, strict=True)
        return torch.cat(scores), torch.cat(items)

    def _best(self, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        queries = [points[rows] for points in self._x]
        scores, items = self._tile_best(queries, 0, count)
        for start in range(self._tile, len(self._y[0]), self._tile):
            new_scores, new_items = self._tile_best(queries, start, count)
            both, ids = torch.cat([scores, new_scores], 1), torch.cat([items, new_items], 1)
            scores, chosen = both.topk(min(count, both.shape[1]), dim=1)
            items = ids.gather(1, chosen)
        return scores, items

    def _tile_best(self, queries: Points, start: int, count: int) -> tuple[Tensor, Tensor]:
        tile = [points[start : start + self._tile] for points in self._y]
        found = self._score(queries, tile)
        count = min(count, found.shape[1])
        if found.device.type == "cpu":
            scores, items = self._largest(found, count)
        else:
            scores, items = found.topk(count, dim=1)
        return scores, items + start

    def _largest(self, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the `count` largest of each row, falling, and their places.

        This is several times faster than a top-k of torch.
        """
        queries, items = scores.shape
        if items < SPARSE * count:
            best, chosen = self._by_parts(_largest, scores, count)
            return best, chosen
        groups = items // GROUP  # the largest are in the groups with the largest maxima
        end = groups * GROUP
        maxima = scores[:, :end].view(queries, GROUP, groups).amax(1)
        (chosen,) = self._by_parts(_highest, maxima, count)
        members = chosen.unsqueeze(1) + torch.arange(0, end, groups).view(1, GROUP, 1)
        rest = torch.arange(end, items).expand(queries, -1)
        candidates = torch.cat([members.view(queries, -1), rest], 1)
        best, chosen = self._by_parts(_largest, scores.gather(1, candidates), count)
        return best, candidates.gather(1, chosen)

    def _by_parts(
        self,
        choose: Callable[[np.ndarray, int], tuple[np.ndarray, ...]],
        scores: Tensor,
        count: int,
    ) -> list[Tensor]:
        parts = np.array_split(scores.numpy(), max(self._threads, scores.numel() // PART))
        found = self._pool.map(lambda part: choose(part, count), parts)
        return [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*found, strict=True)]


def _passes(geometry: Geometry, x: Points, y: Points, k: int, memory: int) -> Iterator[_Blocks]:
    """Yield ways to score, with a bound on their rounding.

    Each one is for the queries that the one before it left open. A product of E terms, of rounded
    coordinates, is off by at most (E + 2) eps sum |q_i g_i|. Cauchy and Schwarz bound the sum: the
    first coordinate apart from the rest, because they differ in size. In float32 that bound would
    leave most places open; there it is (4 + 2 sqrt(E)) eps, more than eight standard deviations of
    independent roundings (Higham and Mary 2019).
    """
    if len(geometry.parts) > 1:
        parts = zip(geometry.parts, x, y, strict=True)
        error = sum(
            weight * max(space.resolution(a), space.resolution(b))
            for (space, weight), a, b in parts
        )
        slack = x[0].new_full((len(x[0]),), error)
        yield from repeat(_Blocks(_Sum(geometry), x, y, slack, memory, 2 * ROWS))
    space, _ = geometry.parts[0]
    queries, gallery = space.as_inner_product(x[0])
    if y is not x:
        _, gallery = space.as_inner_product(y[0])
    first, rest = gallery[:, 0].abs().max(), torch.linalg.vector_norm(gallery[:, 1:], dim=1).max()
    size = queries[:, 0].abs() * first + torch.linalg.vector_norm(queries[:, 1:], dim=1) * rest
    terms = gallery.shape[1]
    # CUDA may round products to TF32.
    if k + SPARE <= SHORT and gallery.device.type == "cpu" and size.max() < SINGLE:
        slack = EPS32 * (4 + 2 * math.sqrt(terms)) * size
        yield _Blocks(_Product(), [queries.float()], [gallery.float()], slack, memory, ROWS)
    del queries
    slack = EPS64 * (terms + 2) * size
    yield from repeat(_Blocks(_Product(space), x, [gallery], slack, memory, ROWS))


def _highest(scores: np.ndarray, count: int) -> tuple[np.ndarray]:
    """Return the places of the largest of each row, in no order."""
    cut = scores.shape[1] - count
    return (np.argpartition(scores, cut, axis=1)[:, cut:],)


def _largest(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest of each row, falling, and their places."""
    (items,) = _highest(scores, count)
    best = np.take_along_axis(scores, items, 1)
    order = np.argsort(-best, axis=1)
    return np.take_along_axis(best, order, 1), np.take_along_axis(items, order, 1)


def _drop(scores: Tensor, items: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Remove the excluded item from each list, or the last one if it is not in the list."""
    kept = items != own.unsqueeze(1)
    kept[kept.all(1), -1] = False
    shape = (len(items), items.shape[1] - 1)
    return scores[kept].view(shape), items[kept].view(shape)


def _ties(scores: Tensor, slack: Tensor) -> Tensor:
    """Return which items rounding may have swapped with the next of the list, (q, count - 1)."""
    return scores[:, :-1].double() - scores[:, 1:] <= 2 * slack.unsqueeze(1)


def _rerank(
    geometry: Geometry,
    x: Points,
    y: Points,
    rows: Tensor,
    scores: Tensor,
    items: Tensor,
    slack: Tensor,
    k: int,
    memory: int,
) -> None:
    """Reorder, in place, the items that rounding may have swapped into the first k.

    They are ordered by similarity in float64, then by row of the gallery.
    """
    tied = _ties(scores, slack)
    tied[:, k - 1 :] = tied[:, k - 1 :].cumprod(1)  # beyond them, only what is tied to the k-th
    edge = tied.new_zeros(len(tied), 1)
    involved = torch.cat([tied, edge], 1) | torch.cat([edge, tied], 1)
    query, place = involved.nonzero(as_tuple=True)
    if not len(query):
        return
    chosen = items[query, place]
    step = max(1, memory // (64 * sum(points.shape[1] for points in y)))
    pairs = zip(rows[query].split(step), chosen.split(step), strict=True)
    exact = torch.cat(
        [geometry.paired_similarity([a[i] for a in x], [b[j] for b in y]) for i, j in pairs]
    )
    follows = torch.cat([edge, tied], 1)[query, place]  # tied to the one before it
    run = (~follows).cumsum(0)
    order = chosen.argsort()
    for key in (-exact, run):
        order = order[key[order].argsort(stable=True)]
    items[query, place] = chosen[order]


def _check(queries: Tensor, gallery: Tensor, k: int, exclude: np.ndarray | None) -> None:
    shapes = tuple(queries.shape), tuple(gallery.shape)
    fits = queries.ndim == gallery.ndim == 2 and queries.shape[1] == gallery.shape[1]
    if not fits or not len(queries) or not len(gallery):
        found = f"queries and gallery of shapes {shapes[0]} and {shapes[1]}"
        raise ValueError(f"nearest: found {found}, expected (Q, D) and (N, D) with Q, N > 0")
    if exclude is not None and exclude.shape != (len(queries),):
        expected = f"({len(queries)},)"
        raise ValueError(f"nearest: found exclude of shape {exclude.shape}, expected {expected}")
    if exclude is not None and not ((exclude >= -1) & (exclude < len(gallery))).all():
        found = f"exclude from {exclude.min()} to {exclude.max()}"
        raise ValueError(f"nearest: found {found}, expected rows 0 to {len(gallery) - 1}")
    available = len(gallery) - (exclude is not None)
    if not 1 <= k <= available:
        expected = f"1 to {available}, the items of the gallery"
        raise ValueError(f"nearest: found k = {k}, expected {expected}")
