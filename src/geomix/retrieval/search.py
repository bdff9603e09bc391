"""Exact nearest neighbours in any geometry.

A first pass proposes candidates for each query, a few more than k, and bounds the error of their
scores and the scores of all other items. The candidates are put in order by score. Where rounding
may have swapped scores, they are compared by explicit differences in float64, and ties go to the
lower row. A list is accepted if its k-th score is above the bound; otherwise four times as many
candidates are sought.

A geometry of one space orders as an inner product (for the ball: on the hyperboloid). There faiss's
flat index proposes in float32. A tiled top-k in float64 serves sums of spaces, long lists, CUDA
devices, and queries that float32 leaves open.

All bounds are certain; none is statistical. A product of E terms, summed in any order, of rounded
coordinates is off by at most (E + 2) eps sum |q_i g_i| (Higham 2002, section 3.1), and Cauchy and
Schwarz bound the sum. A sum of spaces has steps in float32, which `Space.resolution` bounds.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from geomix.geometry.geometry import Geometry, Points

Score = Callable[[Tensor, slice], Tensor]  # rows of queries, a tile of the gallery -> (q, n)
# Rows of queries and a count -> scores and items (q, count), their error and a bound on all other
# scores (q,).
FirstPass = Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor, Tensor]]

SPARE = 10  # candidates beyond k: hardly a query needs more
SPARSE = 64  # faiss pays in galleries of this many lists, because it scores them all at once
# Unit roundoff: of float32, and 1 % for terms of second order; of float64, eightfold for the
# coordinates' own rounding, which on the hyperboloid grows with the radius, their logarithm.
EPS32, EPS64 = 1.01 * 2.0**-24, 2.0**-50
LARGEST = 1e15  # coordinates up to here have products that fit float32 ...
UNDERFLOW = 1e-22  # ... and a factor or product that underflows costs less than this
TILE = 2**16  # gallery items scored at a time
BATCH, PADDED = 2**14, 64  # pairs compared at a time: torch shares out 2**15 numbers or more
BLOCK = 4_000_000  # numbers in a temporary tensor: malloc keeps memory below 32 MiB for the next


def nearest(
    queries: Tensor,
    gallery: Tensor,
    geometry: Geometry,
    k: int,
    exclude: np.ndarray | None = None,
) -> np.ndarray:
    """Find the k most similar gallery items of each query, exactly and in a fixed order.

    Args:
        queries: Embeddings (Q, D), as the head returns them, on the device that searches.
        gallery: Embeddings (N, D), on the same device. Passing queries itself places them once.
        geometry: The similarity that orders.
        k: Neighbours for each query.
        exclude: For each query the row of the gallery that is the query itself, (Q,), or -1; None
            if there is none.

    Returns:
        Rows of the gallery, closest first, shape (Q, k), int64. Ties go to the lower row;
        duplicates stay.

    Raises:
        InputError: On values that are not finite.
        ValueError: On shapes that do not fit, or k outside 1 ... N (minus the excluded one).
    """
    _check(queries, gallery, k, exclude)
    lists = np.empty((len(queries), k), np.int64)
    itself = np.full(len(queries), -1) if exclude is None else exclude.astype(np.int64)
    excluded = torch.from_numpy(itself).to(gallery.device)
    pending = torch.arange(len(queries), device=gallery.device)
    count = k + SPARE + (exclude is not None)
    with torch.inference_mode():
        x = geometry.place(queries.double())
        y = x if gallery is queries else geometry.place(gallery.double())
        propose, propose_more = _passes(geometry, x, y, k)
        compare = partial(compare_pairs, geometry, x, y)
        while len(pending):
            count = min(count, len(gallery))
            unsure = []
            for rows in pending.split(max(1, BLOCK // (2 * count))):
                scores, items, error, bound = propose(rows, count)
                scores[items == excluded[rows, None]] = -torch.inf
                scores, order = scores.sort(descending=True)
                sure = scores[:, k - 1] - error > bound
                accepted, items = rows[sure], items.gather(1, order)[sure]
                items = _order_ties(accepted, scores[sure], items, error[sure], compare)
                lists[accepted.cpu().numpy()] = items[:, :k].cpu().numpy()
                unsure.append(rows[~sure])
            pending = torch.cat(unsure)
            propose = propose_more
            count *= 4
    return lists


def _passes(geometry: Geometry, x: Points, y: Points, k: int) -> tuple[FirstPass, FirstPass]:
    """Return the first pass, and the pass for what it leaves open."""
    size = len(y[0])
    if len(geometry.parts) > 1:
        errors = [
            weight * max(space.resolution(a), space.resolution(b))
            for (space, weight), a, b in zip(geometry.parts, x, y, strict=True)
        ]
        slack = x[0].new_full((len(x[0]),), sum(errors))

        def similarities(rows: Tensor, tile: slice) -> Tensor:
            """Return the weighted sums of queries and a tile of the gallery."""
            return geometry.similarity([a[rows] for a in x], [b[tile] for b in y], torch.float32)

        tiled = _tiled_pass(similarities, slack, size)
        return tiled, tiled
    space, _ = geometry.parts[0]
    queries, gallery = space.as_inner_product(x[0])
    if y is not x:
        _, gallery = space.as_inner_product(y[0])
    largest = max(queries.abs().max(), gallery.abs().max()).clamp_min(1)
    error = _largest_error(queries, gallery)
    slack = EPS64 * (1 + largest.log()) * error

    def lift(rows: Tensor) -> Tensor:
        """Lift some queries again, because all at once would take much memory."""
        return space.as_inner_product(x[0][rows])[0]

    tiled = _tiled_pass(lambda rows, tile: lift(rows) @ gallery[tile].T, slack, size)
    if gallery.device.type == "cpu" and k * SPARSE <= size and largest < LARGEST:
        return _faiss_pass(lift, gallery, error), tiled
    return tiled, tiled


def _largest_error(queries: Tensor, gallery: Tensor) -> Tensor:
    """Return the largest error of each query's products, (Q,), for a unit roundoff of 1.

    The first coordinate is bounded apart from the rest, because they differ in size.
    """
    first = queries[:, 0].abs() * gallery[:, 0].abs().max()
    norms, gallery_norms = (torch.linalg.vector_norm(v[:, 1:], dim=1) for v in (queries, gallery))
    return (gallery.shape[1] + 2) * (first + norms * gallery_norms.max())


def _faiss_pass(lift: Callable[[Tensor], Tensor], gallery: Tensor, error: Tensor) -> FirstPass:
    """Propose by faiss in float32."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    terms = gallery.shape[1]
    index = faiss.IndexFlatIP(terms)
    index.add(gallery.float().numpy())
    slack = EPS32 * error + terms * UNDERFLOW

    def propose(rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Search the index."""
        found = index.search(lift(rows).float().numpy(), count)
        scores, items = map(torch.from_numpy, found)
        return scores, items, slack[rows], scores[:, -1] + slack[rows]

    return propose


def _tiled_pass(score: Score, slack: Tensor, size: int) -> FirstPass:
    """Propose by scores, a block of queries and a tile of a gallery of this size at a time."""

    def propose_block(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Keep the highest scores while tiles go by."""
        scores, items = slack.new_empty(len(rows), 0), rows.new_empty(len(rows), 0)
        for start in range(0, size, TILE):
            tile = score(rows, slice(start, start + TILE))
            best, places = tile.topk(min(count, tile.shape[1]), sorted=False)
            scores, items = torch.cat([scores, best], 1), torch.cat([items, places + start], 1)
            scores, places = scores.topk(min(count, scores.shape[1]), sorted=False)
            items = items.gather(1, places)
        return scores, items

    def propose(rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Search block by block."""
        blocks = rows.split(max(1, BLOCK // min(size, TILE)))
        proposed = [propose_block(block, count) for block in blocks]
        scores, items = (torch.cat(parts) for parts in zip(*proposed, strict=True))
        error = slack[rows]
        bound = scores.amin(1) + error
        if count == size:  # there are no others
            bound.fill_(-torch.inf)
        return scores, items, error, bound

    return propose


def compare_pairs(geometry: Geometry, x: Points, y: Points, rows: Tensor, items: Tensor) -> Tensor:
    """Return the similarities of queries and items side by side, from explicit differences.

    Args:
        geometry: The similarity.
        x: Queries, placed.
        y: The gallery, placed.
        rows: Of the queries, (n,).
        items: Of the gallery, (n,).

    Returns:
        float64, (n,). Duplicates have the same.
    """
    # On the CPU the last few numbers of a tensor, or of a thread's share, have another sinh than
    # the rest, by a bit: duplicates would not tie. Hence small batches, padded.
    similarities = []
    for i, j in zip(rows.split(BATCH), items.split(BATCH), strict=True):
        padding = 0, -len(i) % PADDED
        i, j = pad(i, padding), pad(j, padding)
        similarities.append(geometry.paired_similarity([a[i] for a in x], [b[j] for b in y]))
    return torch.cat(similarities)[: len(rows)]


def _order_ties(
    rows: Tensor,
    scores: Tensor,
    items: Tensor,
    slack: Tensor,
    compare: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Order each run of scores that rounding may have swapped by similarity, then by row.

    Scores (q, n) fall. They are off by slack (q,) at most.
    """
    tied = scores[:, :-1] - scores[:, 1:] <= 2 * slack[:, None]
    end = tied.new_zeros(len(tied), 1)
    follows = torch.cat([end, tied], 1)  # is tied to the one before
    query, place = (follows | torch.cat([tied, end], 1)).nonzero(as_tuple=True)
    chosen = items[query, place]
    runs = (~follows[query, place]).cumsum(0)
    keys = chosen, -compare(rows[query], chosen), runs
    order = np.lexsort([key.cpu().numpy() for key in keys])
    items[query, place] = chosen[torch.from_numpy(order).to(chosen.device)]
    return items


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
