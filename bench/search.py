"""Benchmark of the search: from embeddings to exact lists of neighbours. `python -m bench.search`."""

if __package__ != "bench":
    raise SystemExit(
        "error: start this benchmark from the root of the repository: python -m bench.search"
    )

from collections.abc import Callable
from dataclasses import replace

import faiss
import numpy as np
import torch
from torch import Tensor

from bench import inputs, released
from bench.accuracy import exact_distance
from bench.command import parse_options, run_benchmark
from bench.inputs import CURVATURE, RADIUS
from bench.measure import Call, Case, Implementation, Ratio, Size
from geomix.geometry.geometry import Geometry
from geomix.retrieval.search import nearest
from stages import run

DIMENSIONS = 128
GEOMETRIES: dict[str, Callable[[], Geometry]] = {
    "hyperbolic": lambda: inputs.hyperbolic(inputs.free_scale(DIMENSIONS)),
    "cosine": inputs.cosine,
    "hybrid": lambda: inputs.hybrid(inputs.free_scale(DIMENSIONS)),
}
BLOCK = 1000  # rows of the yardstick's products at a time


def ours(name: str, items: int, classes: int, k: int) -> Callable[[Size], Call]:
    """Give a call of our search: each item's k nearest others."""

    def build(size: Size) -> Call:
        count = 100 if size == "tiny" else items
        embeddings, _ = inputs.draw_gallery(count, min(classes, count))
        geometry, own = GEOMETRIES[name](), np.arange(count)
        return lambda: nearest(embeddings, embeddings, geometry, min(k, count - 1), exclude=own)

    return build


def theirs(items: int, classes: int, k: int, rows: int) -> Callable[[Size], Call]:
    """Give a call of the released search by rows of hyperbolic distances; its time is taken on some of the rows."""

    def build(size: Size) -> Call:
        count = 100 if size == "tiny" else items
        embeddings, _ = inputs.draw_gallery(count, min(classes, count))

        def call() -> Tensor:
            points = released.expmap0(
                released.clip(embeddings * inputs.free_scale(DIMENSIONS), RADIUS), CURVATURE
            )
            return released.rank_row_by_row(
                points, CURVATURE, min(k, count - 1), rows if size == "timed" else count
            )

        return call

    return build


def faiss_alone(name: str, items: int, classes: int, k: int) -> Callable[[Size], Call]:
    """Give a call of faiss on the inner products that order as a geometry, in float32, as they come."""

    def build(size: Size) -> Call:
        count = 100 if size == "tiny" else items
        embeddings, _ = inputs.draw_gallery(count, min(classes, count))
        geometry, length = GEOMETRIES[name](), min(k, count - 1)

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
    """Give a call of the yardstick: all inner products in float32, a block of rows at a time."""

    def build(size: Size) -> Call:
        embeddings, _ = inputs.draw_gallery(100 if size == "tiny" else items, classes)
        block = torch.empty(BLOCK, len(embeddings))

        def call() -> None:
            for part in embeddings.split(BLOCK):
                torch.mm(part, embeddings.T, out=block[: len(part)])

        return call

    return build


def similarity_by_definition(name: str, query: Tensor, gallery: Tensor) -> Tensor:
    """Give the similarity of one embedding (D,) to all others (N, D), float64, from explicit differences."""
    scale = inputs.free_scale(DIMENSIONS)
    cosines = torch.nn.functional.cosine_similarity(query, gallery, dim=-1, eps=0.0)
    if name == "cosine":
        return cosines
    away = -exact_distance(query * scale, gallery * scale, CURVATURE)
    return (
        away
        if name == "hyperbolic"
        else inputs.TAU_SPHERE_HYBRID / inputs.TAU_BALL * inputs.LAM * away + cosines
    )


def wrong_lists(name: str, items: int, classes: int, sample: int) -> Callable[[np.ndarray], float]:
    """Give a function that counts, of a sample of lists, those that differ from the definition in any place."""

    def count(lists: np.ndarray) -> float:
        embeddings = inputs.draw_gallery(items, classes)[0].double()
        wrong = 0
        for row in np.linspace(0, items - 1, sample).astype(int):
            similarities = similarity_by_definition(name, embeddings[row], embeddings).numpy()
            similarities[row] = -np.inf
            wrong += bool(
                (np.argsort(-similarities, kind="stable")[: lists.shape[1]] != lists[row]).any()
            )
        return float(wrong)

    return count


def gallery_case(items: int, classes: int, k: int, rows: int, sample: int) -> Case:
    """Compare our search in three geometries with the released one."""
    mine = [
        Implementation(
            f"geomix {name}",
            ours(name, items, classes, k),
            check=wrong_lists(name, items, classes, sample),
        )
        for name in GEOMETRIES
    ]
    right = wrong_lists("hyperbolic", items, classes, sample)
    mine.append(
        Implementation(
            "faiss hyperbolic", faiss_alone("hyperbolic", items, classes, k), check=right
        )
    )
    base = Implementation("released formula", theirs(items, classes, k, rows), scale=items / rows)
    ratios = (
        Ratio("released formula", "geomix hyperbolic"),
        Ratio("faiss hyperbolic", "geomix hyperbolic"),
        Ratio("geomix hyperbolic", "geomix cosine"),
        Ratio("geomix hybrid", "geomix hyperbolic"),
    )
    title = f"{items:,} x {DIMENSIONS}, first {k}"
    return Case("gallery", title, (*mine, base), ratios, size=(("n", items), ("sample", sample)))


def large_case(items: int, classes: int, k: int, runs: int, sample: int) -> Case:
    """Weigh and time whole processes that search a large gallery."""
    mine = [
        Implementation(
            f"geomix {name}",
            ours(name, items, classes, k),
            check=wrong_lists(name, items, classes, sample),
        )
        for name in ("hyperbolic", "cosine")
    ]
    title = f"{items:,} x {DIMENSIONS}, first {k:,}"
    return Case(
        "large", title, tuple(mine), (), size=(("n", items), ("sample", sample)), alone=runs
    )


def growth_case(items: int, k: int, rows: int) -> Case:
    """Time our hyperbolic search, the released one and the products alone."""
    classes = max(1, items // 40)
    implementations = (
        Implementation("matrix product", product(items, classes)),
        Implementation("geomix", ours("hyperbolic", items, classes, k)),
        Implementation("released formula", theirs(items, classes, k, rows), scale=items / rows),
    )
    ratios = Ratio("geomix", "matrix product"), Ratio("released formula", "geomix")
    title = f"hyperbolic, {items:,} x {DIMENSIONS}, first {k}"
    return Case(
        "growth",
        title,
        implementations,
        ratios,
        memory=False,
        size=(("n", items), ("d", DIMENSIONS)),
    )


def cases(quick: bool) -> list[Case]:
    """Give the cases."""
    if quick:
        found = [
            replace(gallery_case(300, 10, 8, 20, 20), memory=False),
            large_case(400, 40, 20, 1, 5),
        ]
        return found + [growth_case(items, 8, 20) for items in (100, 200)]
    found = [gallery_case(5924, 100, 32, 300, 200), large_case(60502, 11316, 1000, 3, 20)]
    return found + [growth_case(items, 64, 100) for items in (2500, 5000, 10000, 20000)]


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("search", cases(options.quick), options)


if __name__ == "__main__":
    run(main)
