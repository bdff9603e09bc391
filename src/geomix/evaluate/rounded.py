"""Recall of embeddings as an index would keep them: rounded to float32, float16 or int8.

Only the numbers are rounded. What is computed from them is in float64, so that a low recall says
that the vectors themselves lost their order.
"""

import math

import numpy as np
import torch
from torch import Tensor

from geomix.evaluate.cells import space_evenly
from geomix.geometry.geometry import Geometry
from geomix.retrieval.metrics import count_relevant, recall_at_k, relevance
from geomix.retrieval.search import nearest

LEVELS = 127  # of int8 on either side of 0
LARGEST = 65504.0  # of float16
EPS = 2.0**-53  # unit roundoff of float64
QUERIES = 1024  # evenly spaced, that are searched: rounding costs five searches
BLOCK = 4_000_000  # products at a time


def recall_rounded(
    geometry: Geometry,
    vectors: Tensor,
    labels: np.ndarray,
    queries: np.ndarray,
    gallery: np.ndarray,
) -> dict[str, float]:
    """Return recall at 1 of rounded vectors.

    First embeddings are rounded, and searched by the geometry's own similarity. Apart from that
    they are lifted: turned by `Space.as_inner_product` into the vectors that an inner-product index
    keeps, which are rounded, those of queries too, and searched by inner product. Ties go to the
    lower row. Of more than 1,024 queries 1,024 are searched, evenly spaced, for all kinds the same;
    float32 is the embeddings as they are stored.

    Args:
        geometry: The similarity.
        vectors: Embeddings of a split, (N, D), float64.
        labels: Their classes, (N,).
        queries: Rows among them, (Q,).
        gallery: Likewise, (G,). Where both are the same, no query is its own neighbour.

    Returns:
        Shares of queries, recall_at_1_<kind> with kind float32, float16, int8, lifted_float16 and
        lifted_int8. The last two are NaN for a sum of spaces, which is no inner product.
    """
    excluded = np.array_equal(queries, gallery)
    chosen = space_evenly(len(queries), QUERIES)
    itself = chosen if excluded else np.full(len(chosen), -1)
    queries = queries[chosen]
    asked, there = labels[queries], labels[gallery]
    relevant = count_relevant(asked, there, excluded)

    def recall(found: np.ndarray) -> float:
        """Return recall at 1 of the nearest item of each query."""
        hits = relevance(found[:, None], asked, there)
        return float(np.nanmean(recall_at_k(hits, relevant, 1)))

    recalls = {}
    for kind in ("float32", "float16", "int8"):
        kept = round_vectors(vectors, kind)
        found = find_nearest(kept[queries], kept[gallery], geometry, itself)
        recalls[f"recall_at_1_{kind}"] = recall(found)
    for kind in ("float16", "int8"):
        value = math.nan
        if len(geometry.parts) == 1:
            space, _ = geometry.parts[0]
            sides = space.as_inner_product(geometry.place(vectors)[0])
            x, y = (round_vectors(side, kind) for side in sides)
            value = recall(find_largest_product(x[queries], y[gallery], itself))
        recalls[f"recall_at_1_lifted_{kind}"] = value
    return recalls


def round_vectors(vectors: Tensor, kind: str) -> Tensor:
    """Round vectors to a type of fewer bits and return what it stands for.

        int8:  s_d round(v_d / s_d),  s_d = max |v_d| / 127 over the vectors

    Args:
        vectors: (N, D), float64.
        kind: float32, float16 or int8. Vectors too large for float16 have one scale, all together,
            with which the largest number fits.

    Returns:
        (N, D), float64.
    """
    if kind == "float32":
        return vectors.float().double()
    if kind == "float16":
        scale = (vectors.abs().max() / LARGEST).clamp_min(1)
        return (vectors / scale).half().double() * scale
    scales = vectors.abs().amax(0) / LEVELS
    return (vectors / torch.where(scales > 0, scales, 1)).round() * scales


def find_nearest(
    queries: Tensor, gallery: Tensor, geometry: Geometry, itself: np.ndarray
) -> np.ndarray:
    """Find the nearest gallery item of each query, ties to the lower row.

    Of equal items only the two lowest rows are searched: no other is the nearest, be one of the two
    the query itself. Rounding can make thousands equal, whose ties would all be compared.

    Args:
        queries: Vectors (Q, D).
        gallery: Vectors (G, D).
        geometry: The similarity.
        itself: The row of the gallery that is the query itself, (Q,), or -1 for all.

    Returns:
        Rows of the gallery, (Q,).
    """
    _, alike = np.unique(gallery.numpy() + 0.0, axis=0, return_inverse=True)  # -0 + 0 is 0
    order = np.argsort(alike, kind="stable")
    third = np.zeros(len(order), dtype=bool)
    third[order[2:]] = alike[order[2:]] == alike[order[:-2]]
    kept = np.flatnonzero(~third)
    place = np.full(len(gallery) + 1, -1)  # the last one for queries that are no item
    place[kept] = np.arange(len(kept))
    excluded = place[itself] if (itself >= 0).any() else None
    found = nearest(queries, gallery[kept], geometry, 1, exclude=excluded)
    rows: np.ndarray = kept[found[:, 0]]
    return rows


def find_largest_product(queries: Tensor, gallery: Tensor, itself: np.ndarray) -> np.ndarray:
    """Find the gallery item of the largest inner product with each query, ties to the lower row.

    Products tie if they differ by no more than float64 rounds them.

    Args:
        queries: Vectors (Q, E).
        gallery: Vectors (G, E).
        itself: The row of the gallery that is the query itself, (Q,), or -1 for all.

    Returns:
        Rows of the gallery, (Q,).
    """
    found = []
    sizes = gallery.abs().amax(0)
    for rows in torch.arange(len(queries)).split(max(1, BLOCK // len(gallery))):
        asked = queries[rows]
        products = asked @ gallery.T
        own = itself[rows]
        products[np.flatnonzero(own >= 0), own[own >= 0]] = -torch.inf
        slack = 2 * (len(sizes) + 2) * EPS * (asked.abs() @ sizes)
        tied = products >= (products.amax(1) - slack)[:, None]
        found.append(tied.numpy().argmax(1))  # the first
    return np.concatenate(found)
