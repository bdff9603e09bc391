"""Benchmark of the search: from embeddings to exact lists of neighbours.

`python -m bench.search`
"""

from collections.abc import Callable
from dataclasses import replace

import faiss
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench import inputs, released
from bench.accuracy import exact_distance
from bench.command import parse_options, run_benchmark
from bench.inputs import CURVATURE, RADIUS
from bench.measure import (
    COSINE,
    HYBRID,
    HYPERBOLIC,
    OURS,
    RELEASED,
    Call,
    Case,
    Implementation,
    Ratio,
    Row,
    Size,
)
from geomix.geometry.geometry import Geometry
from geomix.retrieval.search import nearest
from stages import run

DIMENSIONS = 128
SCALE = inputs.free_scale(DIMENSIONS)
GEOMETRIES: dict[str, Callable[[], Geometry]] = {
    COSINE: inputs.cosine,
    HYPERBOLIC: lambda: inputs.hyperbolic(SCALE),
    HYBRID: lambda: inputs.hybrid(SCALE),
}
FAISS, PRODUCT = "faiss hyperbolic", "matrix product"
BLOCK = 1000  # rows of the yardstick's products at a time


def find_geometry(name: str) -> Geometry:
    """Return a geometry of the tables, or one that params.yaml tunes."""
    return GEOMETRIES[name]() if name in GEOMETRIES else inputs.tuned(DIMENSIONS)[name]


def draw(size: Size, items: int, classes: int) -> Tensor:
    """Draw the embeddings of a gallery."""
    count = 100 if size == "tiny" else items
    return inputs.draw_gallery(count, min(classes, count))[0]


def ours(name: str, items: int, classes: int, k: int) -> Callable[[Size], Call]:
    """Return what builds a call of our search: the k nearest others of each item."""

    def build(size: Size) -> Call:
        embeddings, geometry = draw(size, items, classes), find_geometry(name)
        count = len(embeddings)
        itself, length = np.arange(count), min(k, count - 1)
        return lambda: nearest(embeddings, embeddings, geometry, length, exclude=itself)

    return build


def theirs(items: int, classes: int, k: int, rows: int) -> Callable[[Size], Call]:
    """Return what builds a call of the released search by rows of hyperbolic distances.

    Its time is taken on some of the rows.
    """

    def build(size: Size) -> Call:
        embeddings = draw(size, items, classes)
        count = len(embeddings)
        ranked = rows if size == "timed" else count

        def call() -> Tensor:
            points = released.expmap0(released.clip(embeddings * SCALE, RADIUS), CURVATURE)
            return released.rank_row_by_row(points, CURVATURE, min(k, count - 1), ranked)

        return call

    return build


def faiss_alone(items: int, classes: int, k: int) -> Callable[[Size], Call]:
    """Return what builds a call of faiss on inner products that order as hyperbolic distances.

    They are in float32, and their order is as faiss returns it.
    """

    def build(size: Size) -> Call:
        embeddings, geometry = draw(size, items, classes), GEOMETRIES[HYPERBOLIC]()
        count = len(embeddings)
        length = min(k, count - 1)

        def call() -> np.ndarray:
            (points,), (space, _) = geometry.place(embeddings), geometry.parts[0]
            queries, gallery = (part.float().numpy() for part in space.as_inner_product(points))
            index = faiss.IndexFlatIP(gallery.shape[1])
            index.add(gallery)
            found: np.ndarray = index.search(queries, length + 1)[1]
            others = found != np.arange(count)[:, None]
            others[others.all(1), -1] = False
            return found[others].reshape(count, length)

        return call

    return build


def product(items: int, classes: int) -> Callable[[Size], Call]:
    """Return what builds a call of the yardstick: all inner products, a block of rows at a time."""

    def build(size: Size) -> Call:
        embeddings = draw(size, items, classes)
        block = torch.empty(BLOCK, len(embeddings))

        def call() -> None:
            for part in embeddings.split(BLOCK):
                torch.mm(part, embeddings.T, out=block[: len(part)])

        return call

    return build


def similarity_by_definition(name: str, query: Tensor, gallery: Tensor) -> Tensor:
    """Return the similarity of an embedding (D,) and others (N, D), float64."""
    cosines = cosine_similarity(query, gallery, dim=-1, eps=0.0)
    if name == COSINE:
        return cosines
    away = -exact_distance(query * SCALE, gallery * SCALE, CURVATURE)
    if name == HYPERBOLIC:
        return away
    return cosines + inputs.TAU_SPHERE_HYBRID / inputs.TAU_BALL * inputs.LAM * away


def wrong_lists(name: str, items: int, classes: int, sample: int) -> Callable[[np.ndarray], float]:
    """Return a function that counts the lists that differ from the definition in any place.

    It looks at a sample of the lists.
    """

    def count(lists: np.ndarray) -> float:
        embeddings = draw("timed", items, classes).double()
        wrong = 0
        for row in np.linspace(0, items - 1, sample).astype(int):
            similarities = similarity_by_definition(name, embeddings[row], embeddings).numpy()
            similarities[row] = -np.inf
            expected = np.argsort(-similarities, kind="stable")[: lists.shape[1]]
            wrong += bool((expected != lists[row]).any())
        return float(wrong)

    return count


def checked(name: str, items: int, classes: int, k: int, sample: int) -> Implementation:
    """Return our search in a geometry, whose lists are compared with the definition."""
    check = wrong_lists(name, items, classes, sample)
    return Implementation(name, ours(name, items, classes, k), check=check)


def gallery_case(items: int, classes: int, k: int, rows: int, sample: int) -> Case:
    """Compare our search in three geometries with the released one."""
    parts = [checked(name, items, classes, k, sample) for name in OURS]
    peer, check = faiss_alone(items, classes, k), wrong_lists(HYPERBOLIC, items, classes, sample)
    parts.append(Implementation(FAISS, peer, check=check))
    parts.append(Implementation(RELEASED, theirs(items, classes, k, rows), scale=items / rows))
    ratios = (
        Ratio(RELEASED, HYPERBOLIC),
        Ratio(FAISS, HYPERBOLIC),
        Ratio(HYPERBOLIC, COSINE),
        Ratio(HYBRID, HYPERBOLIC),
    )
    title = f"{items:,} x {DIMENSIONS}, first {k}"
    return Case("gallery", title, tuple(parts), ratios, size=(("n", items), ("sample", sample)))


def geometry_case(items: int, classes: int, k: int) -> Case:
    """Compare our search in all geometries that are tuned with the first."""
    first, *others = names = list(inputs.tuned(DIMENSIONS))
    parts = tuple(Implementation(name, ours(name, items, classes, k)) for name in names)
    ratios = tuple(Ratio(name, first) for name in others)
    title = f"{items:,} x {DIMENSIONS}, first {k}"
    return Case("geometries", title, parts, ratios, memory=False, size=(("n", items),))


def index_rows() -> list[Row]:
    """Return the size of what an index keeps of an item, in each geometry that is tuned.

    A geometry of one space keeps the float32 vector that it is lifted to for the first pass. A sum
    of spaces is no inner product, and keeps the embedding as it is stored.
    """
    embeddings = draw("tiny", 100, 10)
    rows: list[Row] = []
    for name, geometry in inputs.tuned(DIMENSIONS).items():
        kept, form = embeddings, "as stored"
        if len(geometry.parts) == 1:
            (points,), (space, _) = geometry.place(embeddings), geometry.parts[0]
            kept, form = space.as_inner_product(points)[1], "lifted"
        size = 4 * kept.shape[1]
        rows.append({"table": "index", "case": form, "implementation": name, "item_bytes": size})
    return rows


def large_case(items: int, classes: int, k: int, runs: int, sample: int) -> Case:
    """Weigh and time whole processes that search a large gallery."""
    parts = tuple(checked(name, items, classes, k, sample) for name in (HYPERBOLIC, COSINE))
    title = f"{items:,} x {DIMENSIONS}, first {k:,}"
    return Case("large", title, parts, (), size=(("n", items), ("sample", sample)), alone=runs)


def growth_case(items: int, k: int, rows: int) -> Case:
    """Time our hyperbolic search, the released one and the products alone."""
    classes = max(1, items // 40)
    parts = (
        Implementation(PRODUCT, product(items, classes)),
        Implementation("geomix", ours(HYPERBOLIC, items, classes, k)),
        Implementation(RELEASED, theirs(items, classes, k, rows), scale=items / rows),
    )
    ratios = Ratio("geomix", PRODUCT), Ratio(RELEASED, "geomix")
    title = f"hyperbolic, {items:,} x {DIMENSIONS}, first {k}"
    size = (("n", items), ("d", DIMENSIONS))
    return Case("growth", title, parts, ratios, memory=False, size=size)


def cases(quick: bool) -> list[Case]:
    """Return the cases."""
    if quick:
        small = replace(gallery_case(300, 10, 8, 20, 20), memory=False)
        found = [small, geometry_case(200, 10, 8), large_case(400, 40, 20, 1, 5)]
        return found + [growth_case(items, 8, 20) for items in (100, 200)]
    found = [gallery_case(5924, 100, 32, 300, 200), geometry_case(5924, 100, 32)]
    found.append(large_case(60502, 11316, 1000, 3, 20))
    return found + [growth_case(items, 64, 100) for items in (2500, 5000, 10000, 20000)]


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("search", cases(options.quick), options, index_rows)


if __name__ == "__main__":
    run(main)
