"""Search: equal to a sort of all float64 similarities: ties, duplicates, collapse, exclusion."""

import faiss
import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Inner, Power, Space, Sphere
from geomix.retrieval import search
from geomix.retrieval.search import nearest

GEOMETRIES = {
    "sphere": cosine(),
    "flat": Geometry([Flat(1, 2.3)], [1], 0.1),
    "ball": Geometry([Ball(0.1, 1, 2.3)], [1], 0.1),
    "flat points too small for float32": Geometry([Flat(1e-25, None)], [1], 0.1),
    "strong ball": Geometry([Ball(10.0, 1, 2.3)], [1], 0.1),
    "weak ball near the origin": Geometry([Ball(1e-3, 0.01, None)], [1], 0.1),
    "ball of points too far out for float32": Geometry([Ball(1.0, 30, None)], [1], 0.1),
    "hybrid": Geometry([Sphere(), Ball(0.5, 0.3, 2.3)], [1, 0.6], 0.1),
    "dot": Geometry([Inner(0.4, None)], [1], 0.1),
    "clipped dot": Geometry([Inner(1, 2.3)], [1], 0.1),
    "power": Geometry([Power(0.1, 2.3)], [1], 0.1),
    "strong power": Geometry([Power(10.0, 2.3)], [1], 0.1),
    "dot and power": Geometry([Inner(0.4, None), Power(3.0, 1.0), Sphere()], [1, 0.6, 0.1], 0.1),
    "mixture": Geometry([Ball(0.1, 0.3, 2.3), Ball(10.0, 1, 2.3), Flat(1, None)], [1, 2, 0.1], 0.1),
}


def nearest_by_definition(
    queries: torch.Tensor,
    gallery: torch.Tensor,
    geometry: Geometry,
    k: int,
    exclude: np.ndarray | None,
) -> np.ndarray:
    x, y = geometry.place(queries.double()), geometry.place(gallery.double())
    lists = []
    for row in range(len(queries)):
        pairs = geometry.paired_similarity(
            [points[row].expand(len(gallery), -1) for points in x], y
        ).tolist()
        order = sorted(range(len(gallery)), key=lambda item: (-pairs[item], item))
        lists.append([item for item in order if exclude is None or item != exclude[row]][:k])
    return np.array(lists)


def vectors(count: int, seed: int = 0, dimensions: int = 8) -> torch.Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def watch_passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return a list to which each pass will add its name and its number of candidates."""
    passes: list[tuple[str, int]] = []

    def watch(name: str) -> None:
        build = getattr(search, name)

        def build_watched(*given: object) -> search.FirstPass:
            propose = build(*given)

            def propose_watched(
                rows: torch.Tensor, count: int
            ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
                passes.append((name, count))
                return propose(rows, count)

            return propose_watched

        monkeypatch.setattr(search, name, build_watched)

    for name in ("_faiss_pass", "_tiled_pass"):
        watch(name)
    return passes


@pytest.mark.parametrize("sparse", [1, 1000], ids=["faiss", "tiled"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_lists_equal_a_full_sort_in_float64(
    name: str, sparse: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SPARSE", sparse)
    gallery = vectors(120)
    gallery[50:60] = gallery[:10]  # duplicates
    gallery[60:70] = gallery[:10] * (1 + 1e-7)  # near duplicates
    own = np.arange(120)
    found = nearest(gallery, gallery, GEOMETRIES[name], 15, exclude=own)
    assert np.array_equal(found, nearest_by_definition(gallery, gallery, GEOMETRIES[name], 15, own))


def test_a_learned_weight_orders_as_it_is_now() -> None:
    spaces: list[Space] = [Sphere(), Ball(0.5, 0.3, 2.3)]
    gallery, own = vectors(120), np.arange(120)
    geometry = Geometry(spaces, [1, 0.6], 0.1, learn_weights=[False, True])
    with torch.no_grad():
        geometry.get_parameter("weights.1.log_ratio").fill_(2.0)
    found = nearest(gallery, gallery, geometry, 15, exclude=own)
    assert np.array_equal(
        found,
        nearest(
            gallery, gallery, Geometry(spaces, [1, geometry.parts[1][1]], 0.1), 15, exclude=own
        ),
    )
    assert not np.array_equal(
        found, nearest(gallery, gallery, Geometry(spaces, [1, 0.6], 0.1), 15, exclude=own)
    )


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_separate_gallery_keeps_every_item(name: str) -> None:
    queries, gallery = vectors(9), vectors(40, 1)
    found = nearest(queries, gallery, GEOMETRIES[name], 40)
    assert np.array_equal(
        found, nearest_by_definition(queries, gallery, GEOMETRIES[name], 40, None)
    )


@pytest.mark.parametrize("name", GEOMETRIES)
def test_blocks_and_tiles_of_any_length_give_the_same_lists(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = vectors(150)
    gallery[40:50] = gallery[:10]
    own = np.arange(150)
    expected = nearest_by_definition(gallery, gallery, GEOMETRIES[name], 9, own)
    for sparse, tile, block in (
        (1, 150, 2**12),
        (1000, 150, 2**12),
        (1000, 37, 2**7),
        (1000, 7, 1),
    ):
        monkeypatch.setattr(search, "SPARSE", sparse)
        monkeypatch.setattr(search, "TILE", tile)
        monkeypatch.setattr(search, "BLOCK", block)
        assert np.array_equal(nearest(gallery, gallery, GEOMETRIES[name], 9, own), expected)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_long_lists_equal_a_full_sort_too(name: str) -> None:
    queries, gallery = vectors(5), vectors(400, 1)
    gallery[300:] = gallery[:100]
    found = nearest(queries, gallery, GEOMETRIES[name], 150)
    assert np.array_equal(
        found, nearest_by_definition(queries, gallery, GEOMETRIES[name], 150, None)
    )


@pytest.mark.parametrize(
    ("name", "k", "first"),
    [
        ("sphere", 5, "_faiss_pass"),
        ("flat", 5, "_faiss_pass"),
        ("ball", 5, "_faiss_pass"),
        ("dot", 5, "_faiss_pass"),
        ("power", 5, "_faiss_pass"),
        ("ball", 200, "_tiled_pass"),
        ("hybrid", 5, "_tiled_pass"),
        ("ball of points too far out for float32", 5, "_tiled_pass"),
    ],
)
def test_short_lists_of_one_space_begin_with_faiss(
    name: str, k: int, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = watch_passes(monkeypatch)
    gallery = vectors(400)
    nearest(gallery, gallery, GEOMETRIES[name], k)
    assert passes[0][0] == first


@pytest.mark.parametrize("items", [320, 323])
def test_faiss_loses_no_neighbour(items: int) -> None:
    gallery = vectors(items)
    gallery[100:140] = gallery[:40]
    own = np.arange(items)
    for name in ("sphere", "ball", "hybrid", "dot", "power"):
        found = nearest(gallery, gallery, GEOMETRIES[name], 5, own)
        assert np.array_equal(
            found, nearest_by_definition(gallery, gallery, GEOMETRIES[name], 5, own)
        )


@pytest.mark.parametrize("name", ["sphere", "flat", "ball", "dot", "power"])
def test_float64_decides_what_float32_orders_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = watch_passes(monkeypatch)
    queries, gallery = vectors(50).double(), vectors(600, 1).double()
    gallery[1::2] = gallery[::2] + 1e-9 * vectors(300, 2)  # pairs that float32 cannot tell apart
    geometry = GEOMETRIES[name]
    found = nearest(queries, gallery, geometry, 8)
    assert np.array_equal(found, nearest_by_definition(queries, gallery, geometry, 8, None))
    assert passes == [("_faiss_pass", 18)]

    space, _ = geometry.parts[0]
    x, _ = space.as_inner_product(geometry.place(queries)[0])
    _, y = space.as_inner_product(geometry.place(gallery)[0])
    index = faiss.IndexFlatIP(y.shape[1])
    index.add(y.float().numpy())
    _, in_float32 = index.search(x.float().numpy(), 8)
    assert (in_float32 != found).any(1).sum() > 10


@pytest.mark.parametrize("terms", [2, 129, 4096])
def test_scores_in_float32_are_within_their_bound(terms: int) -> None:
    vector = torch.rand(300, terms, generator=torch.Generator().manual_seed(0)).double()
    alike = torch.linspace(0.1, 0.9, 300).double()[:, None].expand(-1, terms)  # roundings add up
    for x in (vector, vector - 0.5, alike, 1e-24 * vector, 1e13 * vector):
        error = search._largest_error(x, x[:1])
        propose = search._faiss_pass(x.__getitem__, x[:1], error)
        scores, _, slack, bound = propose(torch.arange(300), 1)
        exact = x @ x[0]
        torch.testing.assert_close(slack, search.EPS32 * error + terms * search.UNDERFLOW)
        assert ((scores[:, 0] - exact).abs() <= slack).all()
        assert (bound >= exact).all()
        assert (bound - 2 * slack <= exact).all()


def test_what_float32_leaves_open_goes_to_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = watch_passes(monkeypatch)
    # 500 points within a millionth: their cosines differ by less than float32 can tell
    gallery = (
        torch.nn.functional.normalize(vectors(1).double(), dim=1) + 1e-6 * vectors(500, 1).double()
    )
    own = np.arange(500)
    found = nearest(gallery, gallery, cosine(), 5, own)
    assert np.array_equal(found, nearest_by_definition(gallery, gallery, cosine(), 5, own))
    assert passes == [("_faiss_pass", 16), ("_tiled_pass", 64)]


def test_a_query_that_is_not_in_the_gallery_excludes_nothing() -> None:
    gallery = vectors(40)
    queries = torch.cat([gallery[:2], vectors(1, 1)])
    found = nearest(queries, gallery, cosine(), 39, exclude=np.array([0, 1, -1]))
    assert 0 not in found[0]
    assert np.array_equal(found[2], nearest(queries, gallery, cosine(), 39)[2])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_pair_is_as_similar_alone_as_in_a_batch(name: str) -> None:
    geometry = GEOMETRIES[name]
    x, y = (geometry.place(vectors(50, seed).double()) for seed in (0, 1))
    rows = torch.arange(search.BATCH + 3) % 50
    together = search.compare_pairs(geometry, x, y, rows, rows)
    alone = [search.compare_pairs(geometry, x, y, row, row) for row in rows[:50].split(1)]
    assert torch.equal(together, torch.cat(alone)[rows])


def test_of_duplicates_at_the_end_of_the_gallery_the_lower_row_is_listed() -> None:
    gallery = torch.eye(12)[[0, 1, 2, 3, 4, 5, 6, 6]]
    gallery[:, 7] = torch.tensor([8, 7, 6, 5, 4, 3, 2, 2])
    found = nearest(torch.eye(12)[[7]], gallery, cosine(), 7, exclude=np.array([-1]))
    assert found.tolist() == [[0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("name", ["sphere", "ball", "hybrid", "dot", "power", "dot and power"])
def test_collapsed_embeddings_are_listed_by_row(name: str) -> None:
    gallery = torch.ones(80, 8)
    found = nearest(gallery, gallery, GEOMETRIES[name], 5, exclude=np.arange(80))
    assert found[0].tolist() == [1, 2, 3, 4, 5]
    assert found[3].tolist() == [0, 1, 2, 4, 5]


def test_a_duplicate_of_the_query_is_found_and_the_query_is_not() -> None:
    gallery = vectors(40)
    gallery[7] = gallery[30]
    found = nearest(gallery, gallery, cosine(), 1, exclude=np.arange(40))
    assert found[30, 0] == 7
    assert found[7, 0] == 30


@pytest.mark.parametrize("name", ["ball", "hybrid"])
def test_memory_bounds_the_blocks_and_not_the_result(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = vectors(400)
    expected = nearest(gallery, gallery, GEOMETRIES[name], 6)
    monkeypatch.setattr(search, "BLOCK", 1)
    assert np.array_equal(nearest(gallery, gallery, GEOMETRIES[name], 6), expected)


def test_candidates_that_rounding_cannot_tell_apart_are_searched_deeper() -> None:
    # 60 items within float32's rounding of each other, in reversed order of distance
    direction = torch.nn.functional.normalize(vectors(2).double(), dim=1)
    angles = torch.linspace(1.0, 1.0 - 1e-9, 60, dtype=torch.float64)
    gallery = angles.cos().unsqueeze(1) * direction[0] + angles.sin().unsqueeze(1) * direction[1]
    found = nearest(direction[:1], gallery, cosine(), 3)
    assert np.array_equal(found, nearest_by_definition(direction[:1], gallery, cosine(), 3, None))


@pytest.mark.parametrize("space", [Flat(1, None), Inner(1, None), Power(10.0, 2.3)], ids=repr)
def test_a_sum_of_spaces_is_searched_deeper_too(space: Space) -> None:
    # 60 items nearer to each other than a product of such large norms can tell
    geometry = Geometry([Sphere(), space], [1, 1], 0.1)
    gallery = (
        1e4 * torch.nn.functional.normalize(vectors(1).double(), dim=1)
        + 1e-5 * vectors(60, 1).double()
    )
    own = np.arange(60)
    found = nearest(gallery, gallery, geometry, 3, exclude=own)
    assert np.array_equal(found, nearest_by_definition(gallery, gallery, geometry, 3, own))


@pytest.mark.parametrize(
    ("queries", "gallery", "k", "exclude", "message"),
    [
        (
            torch.ones(2, 3),
            torch.ones(2, 4),
            1,
            None,
            r"found queries and gallery of shapes \(2, 3\) and \(2, 4\)",
        ),
        (torch.ones(2, 3), torch.ones(0, 3), 1, None, "expected .* Q, N > 0"),
        (
            torch.full((2, 3), torch.nan),
            torch.ones(2, 3),
            1,
            None,
            "features: found values that are not finite",
        ),
        (torch.ones(2, 3), torch.ones(4, 3), 0, None, "found k = 0, expected 1 to 4"),
        (torch.ones(2, 3), torch.ones(4, 3), 4, np.arange(2), "found k = 4, expected 1 to 3"),
        (
            torch.ones(2, 3),
            torch.ones(4, 3),
            1,
            np.arange(3),
            r"exclude of shape \(3,\), expected \(2,\)",
        ),
        (
            torch.ones(2, 3),
            torch.ones(4, 3),
            1,
            np.array([0, 4]),
            "exclude from 0 to 4, expected rows 0 to 3",
        ),
        (torch.ones(0, 3), torch.ones(4, 3), 1, None, "expected .* Q, N > 0"),
    ],
)
def test_bad_input_is_refused(
    queries: torch.Tensor, gallery: torch.Tensor, k: int, exclude: np.ndarray | None, message: str
) -> None:
    error = InputError if "finite" in message else ValueError
    with pytest.raises(error, match=message) as caught:
        nearest(queries, gallery, cosine(), k, exclude)
    assert caught.type is error
