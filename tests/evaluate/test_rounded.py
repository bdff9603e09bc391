"""Rounded vectors: rounding by hand, search by definition, and cones that do not survive it."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from geomix.evaluate import rounded
from geomix.evaluate.rounded import (
    find_largest_product,
    find_nearest,
    recall_rounded,
    round_vectors,
)
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Sphere

GEOMETRIES = {
    "sphere": cosine(),
    "flat": Geometry([Flat(1, 2.3)], [1], 0.1),
    "ball": Geometry([Ball(1.0, 1, None)], [1], 0.1),
    "hybrid": Geometry([Sphere(), Ball(0.5, 0.3, 2.3)], [1, 0.6], 0.1),
}
LABELS = np.arange(40) % 8
ALL = np.arange(40)


def embeddings(spread: float = 0.7) -> torch.Tensor:
    """Return vectors around the centres of their classes, (40, 5)."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(8, 5))
    return torch.from_numpy(centres[LABELS] + spread * random.normal(size=(40, 5)))


def cone(angle: float, classes: int = 60, dimensions: int = 32) -> tuple[torch.Tensor, np.ndarray]:
    """Return vectors of five a class within an angle in degrees, and the classes."""
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(classes), 5)
    offsets = random.normal(size=(classes, dimensions))[labels]
    offsets += 0.3 * random.normal(size=offsets.shape)
    offsets *= math.radians(angle) / math.sqrt(1.09 * dimensions)
    return torch.from_numpy(1 / math.sqrt(dimensions) + offsets), labels


def recall_by_definition(similarities: np.ndarray, asked: np.ndarray, there: np.ndarray) -> float:
    """Return recall at 1; similarities of a query with itself are minus infinity."""
    hits = []
    for row, label in zip(similarities.tolist(), asked, strict=True):
        best = min(range(len(row)), key=lambda item: (-row[item], item))
        others = [item for item, value in enumerate(row) if value > -math.inf]
        if any(there[item] == label for item in others):
            hits.append(there[best] == label)
    return float(np.mean(hits))


def test_int8_has_a_scale_for_each_dimension() -> None:
    vectors = torch.tensor([[127, -200, 0, 400], [-35.4, 99.2, 0, -25400]]).double() / 100
    steps = [[127, -127, 0, 2], [-35, 63, 0, -127]]
    scales = [1.27 / 127, 2 / 127, 0, 2]
    expected = [[step * scale for step, scale in zip(row, scales, strict=True)] for row in steps]
    found = round_vectors(vectors, "int8")
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


def test_floats_are_rounded_to_their_bits() -> None:
    vectors = torch.tensor([[1 + 2**-11 + 2**-14, 1 + 2**-24 + 2**-30, 3e-9]]).double()
    assert round_vectors(vectors, "float16").tolist() == [[1 + 2**-10, 1, 0]]
    assert round_vectors(vectors, "float32").tolist() == [
        [1 + 2**-11 + 2**-14, 1 + 2**-23, float(np.float32(3e-9))]
    ]


def test_numbers_too_large_for_float16_share_a_scale() -> None:
    vectors = torch.tensor([[655040.0, 10.0], [-1e5, 1 / 3]]).double()
    found = round_vectors(vectors, "float16")
    np.testing.assert_allclose(found.numpy(), vectors.numpy(), rtol=2**-10)
    assert found[1, 1] != vectors[1, 1]


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("apart", [False, True])
def test_recalls_are_those_of_the_rounded_vectors(name: str, apart: bool) -> None:
    geometry, vectors = GEOMETRIES[name], embeddings(1.0) ** 3 / 4 + 1
    queries, gallery = (ALL[::3], np.setdiff1d(ALL, ALL[::3])) if apart else (ALL, ALL)
    found = recall_rounded(geometry, vectors, LABELS, queries, gallery)
    expected = {}
    for kind in ("float32", "float16", "int8"):
        points = geometry.place(round_vectors(vectors, kind))
        similarities = np.full((len(queries), len(gallery)), -math.inf)
        for row, i in enumerate(queries):
            for column, j in enumerate(gallery):
                if apart or i != j:
                    x, y = ([placed[one] for placed in points] for one in (i, j))
                    similarities[row, column] = float(geometry.paired_similarity(x, y))
        expected[kind] = recall_by_definition(similarities, LABELS[queries], LABELS[gallery])
    for kind in ("float16", "int8"):
        expected[f"lifted_{kind}"] = math.nan
        if name != "hybrid":
            space, _ = geometry.parts[0]
            sides = space.as_inner_product(geometry.place(vectors)[0])
            lifted_queries, lifted_items = (round_vectors(side, kind) for side in sides)
            products = (lifted_queries @ lifted_items.T).numpy()
            if not apart:
                np.fill_diagonal(products, -math.inf)
            products = products[np.ix_(queries, gallery)]
            lifted = recall_by_definition(products, LABELS[queries], LABELS[gallery])
            expected[f"lifted_{kind}"] = lifted
    expected = {f"recall_at_1_{kind}": value for kind, value in expected.items()}
    assert found == pytest.approx(expected, nan_ok=True)
    assert 0.1 < found["recall_at_1_int8"] < 0.95


def test_a_query_without_a_relevant_item_is_left_out() -> None:
    labels = np.where(ALL == 0, 99, LABELS)
    vectors = embeddings(0.0)
    vectors[0] *= -1
    found = recall_rounded(cosine(), vectors, labels, ALL, ALL)
    assert {found[f"recall_at_1_{kind}"] for kind in ("float32", "float16", "int8")} == {1.0}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_cone_of_a_thousandth_of_a_degree_needs_more_than_float16(name: str) -> None:
    vectors, labels = cone(1e-3)
    rows = np.arange(len(labels))
    geometry = GEOMETRIES[name]
    exact = labels[find_nearest(vectors, vectors, geometry, rows)] == labels
    assert exact.mean() == 1
    found = recall_rounded(geometry, vectors, labels, rows, rows)
    assert found["recall_at_1_float32"] > 0.95
    assert found["recall_at_1_float16"] < 0.1
    assert found["recall_at_1_int8"] < 0.1


@pytest.mark.parametrize("name", ["sphere", "flat", "ball"])
def test_an_index_of_inner_products_in_float16_cannot_tell_a_cone_of_a_sixteenth_degree(
    name: str,
) -> None:
    vectors, labels = cone(0.06)
    rows = np.arange(len(labels))
    found = recall_rounded(GEOMETRIES[name], vectors, labels, rows, rows)
    assert found["recall_at_1_float16"] > 0.95
    assert found["recall_at_1_lifted_float16"] < 0.1
    assert found["recall_at_1_lifted_int8"] < 0.1


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("excluded", [True, False])
def test_equal_vectors_tie_and_the_lowest_row_wins(name: str, excluded: bool) -> None:
    """Five different vectors, forty times, and a zero of either sign."""
    vectors = embeddings()[np.random.default_rng(0).integers(0, 5, 40)]
    vectors[:, 1] = torch.tensor([0.0, -0.0]).double().repeat(20)
    geometry = GEOMETRIES[name]
    points = geometry.place(vectors)
    expected = []
    for i in ALL:
        pairs = [
            float(geometry.paired_similarity([p[i] for p in points], [p[j] for p in points]))
            for j in ALL
        ]
        items = [j for j in ALL if not excluded or j != i]
        expected.append(min(items, key=lambda j: (-pairs[j], j)))
    itself = ALL if excluded else np.full(40, -1)
    assert find_nearest(vectors, vectors, geometry, itself).tolist() == expected


def test_vectors_that_all_round_to_one_are_searched_without_comparing_all_ties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    plain = rounded.nearest

    def watch(queries: torch.Tensor, gallery: torch.Tensor, *rest: Any, **more: Any) -> object:
        sizes.append(len(gallery))
        return plain(queries, gallery, *rest, **more)

    monkeypatch.setattr(rounded, "nearest", watch)
    found = find_nearest(torch.ones(300, 4), torch.ones(300, 4), cosine(), np.arange(300))
    assert found.tolist() == [1] + [0] * 299
    assert sizes == [2]


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_products_that_differ_by_rounding_tie(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounded, "BLOCK", block * 6)
    vectors = torch.tensor([[0.1, 0.2, 0.3]] * 6).double()
    vectors[3] *= 1 + 2**-52
    vectors[5] *= 1 + 1e-12
    assert find_largest_product(vectors, vectors, np.arange(6)).tolist() == [5] * 5 + [0]
    assert find_largest_product(vectors, vectors[:5], np.full(6, -1)).tolist() == [0] * 6


@pytest.mark.parametrize("name", GEOMETRIES)
def test_of_many_queries_an_even_sample_is_searched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounded, "QUERIES", 9)
    vectors = embeddings(1.0)
    found = recall_rounded(GEOMETRIES[name], vectors, LABELS, ALL, ALL)
    rows = ALL[[0, 4, 9, 14, 19, 24, 29, 34, 39]]
    lists = GEOMETRIES[name], vectors.float().double()
    hits = LABELS[find_nearest(lists[1][rows], lists[1], lists[0], rows)] == LABELS[rows]
    assert 0 < hits.mean() < 1
    assert found["recall_at_1_float32"] == hits.mean()
