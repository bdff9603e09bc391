"""Losses of samples in a tree: each equals its definition, pair by pair."""

import math

import pytest
import torch
from torch import Tensor

from geomix.data.lineages import hops, parse_paths
from geomix.data.lineages import related as related_lineages
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Sphere
from geomix.losses.lineage import DistanceRegression, distances, related, related_pairs
from geomix.losses.table import Table

# Two roots, several samples of a node, nodes of the same name below different parents.
PATHS = ["a", "a/b", "a/b", "a/b/c", "a/d", "a/d/c", "e", "e/b", "e/b/c", "e/b/c", "f"]


def tree(paths: list[str] = PATHS, place: Tensor | None = None) -> Table:
    lineages = parse_paths(paths)
    rows = torch.arange(len(paths))
    codes = torch.from_numpy(lineages.codes)
    return Table(rows, torch.from_numpy(lineages.node), torch.zeros_like(rows), codes, place)


def logits(count: int = len(PATHS)) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, count, generator=random, dtype=torch.float64) * 3


def test_relations_and_hops_are_those_of_the_lineages() -> None:
    lineages = parse_paths(PATHS)
    assert related(tree(), tree()).tolist() == related_lineages(lineages, lineages).related.tolist()
    assert distances(tree(), tree()).tolist() == hops(lineages, lineages).tolist()


def test_distances_of_places_are_euclidean() -> None:
    place = torch.tensor([[0.0, 0], [3, 4], [0, 1]])
    table = tree(["a", "b", "c"], place)
    expected = torch.tensor([[0.0, 5, 1], [5, 0, math.sqrt(18)], [1, math.sqrt(18), 0]])
    torch.testing.assert_close(distances(table, table), expected)


def test_related_pairs_are_told_from_unrelated_columns_pair_by_pair() -> None:
    values, paths = logits(), [path.split("/") for path in PATHS]

    def kin(i: int, j: int) -> bool:
        short, long = sorted((paths[i], paths[j]), key=len)
        return long[: len(short)] == short

    terms = []
    for i in range(len(PATHS)):
        others = [math.exp(values[i, q]) for q in range(len(PATHS)) if not kin(i, q)]
        for p in range(len(PATHS)):
            if p != i and kin(i, p):
                terms.append(math.log1p(sum(others) / math.exp(values[i, p])))
    expected = sum(terms) / len(terms)
    assert related_pairs(values, tree(), tree()).item() == pytest.approx(expected, rel=1e-12)


def test_a_row_that_is_related_to_all_has_no_loss_and_a_finite_gradient() -> None:
    values = logits(3).requires_grad_()
    chain = tree(["a", "a/b", "a/b/c"])
    loss = related_pairs(values, chain, chain)
    loss.backward()
    assert loss.item() == 0
    assert values.grad is not None
    assert values.grad.abs().max() == 0


def test_strangers_alone_are_refused() -> None:
    strangers = tree(["a", "b", "c"])
    with pytest.raises(ValueError, match="found no row with a positive"):
        related_pairs(logits(3), strangers, strangers)


def test_tables_without_paths_are_refused() -> None:
    rows = torch.arange(3)
    with pytest.raises(ValueError, match="table: found no paths"):
        related(Table(rows, rows, rows), tree())


@pytest.mark.parametrize("geometry", [cosine(), Geometry([Flat(1, None)], [1], 0.5)])
def test_the_regression_is_the_relative_stress_of_an_affine_map(geometry: Geometry) -> None:
    random = torch.Generator().manual_seed(1)
    features = torch.randn(len(PATHS), 3, generator=random)
    loss = DistanceRegression(2.5)
    loss.factor.data.fill_(0.7)
    points = geometry.place(features)
    found = loss(geometry, features, points, tree())
    similarity, known = geometry.similarity(points, points), distances(tree(), tree())
    errors = [
        (float(2.5 - 0.7 * similarity[i, j] - known[i, j]) / float(known[i, j])) ** 2
        for i in range(len(PATHS))
        for j in range(len(PATHS))
        if known[i, j] > 0
    ]
    assert found.item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert loss.learned() == pytest.approx({"offset": 2.5, "factor": 0.7})


def test_only_distances_start_without_an_offset() -> None:
    ball = Ball(1.0, 1.0, None)
    assert Geometry([ball], [1], 1).is_distance
    assert Geometry([Flat(1, None)], [1], 1).is_distance
    assert not Geometry([Sphere(), ball], [1, 1], 1).is_distance
    assert not cosine().is_distance
