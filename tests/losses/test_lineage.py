"""Losses of samples in a tree: each equals its definition, pair by pair."""

import math

import pytest
import torch
from torch import Tensor

from geomix.data.lineages import hops, parse_paths
from geomix.data.lineages import related as related_lineages
from geomix.geometry.distances import hyperbolic_distance
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Inner, Sphere
from geomix.losses.lineage import (
    DistanceRegression,
    distances,
    fit_affine,
    related,
    related_pairs,
)
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


def test_relations_of_any_rows_and_columns_are_those_of_their_paths() -> None:
    paths = torch.randint(3, (200, 6), generator=torch.Generator().manual_seed(0))
    depths = torch.randint(1, 7, (200,), generator=torch.Generator().manual_seed(1)).tolist()
    names = ["/".join(map(str, row[:end])) for row, end in zip(paths.tolist(), depths, strict=True)]
    rows, columns = tree(names)[torch.arange(0, 200, 3)], tree(names)[torch.arange(90)]
    parts = [name.split("/") for name in names]
    expected = [[a[: len(b)] == b or b[: len(a)] == a for b in parts[:90]] for a in parts[::3]]
    assert 0.05 < sum(map(sum, expected)) / (67 * 90) < 0.5
    assert related(rows, columns).tolist() == expected


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


SPACES = [cosine(), Geometry([Flat(1, None)], [1], 0.5), Geometry([Ball(1.0, 1.0, None)], [1], 1)]


def stress(affine: Tensor, similarity: Tensor, known: Tensor) -> Tensor:
    """Return the relative stress of all pairs that are apart, one by one."""
    terms = [
        ((affine[0] - affine[1] * similarity[i, j] - known[i, j]) / known[i, j]) ** 2
        for i in range(len(known))
        for j in range(len(known))
        if known[i, j] > 0
    ]
    return torch.stack(terms).mean()


@pytest.mark.parametrize("geometry", SPACES, ids=["cosine", "flat", "ball"])
def test_the_regression_is_the_least_relative_stress_of_an_affine_map(geometry: Geometry) -> None:
    features = torch.randn(len(PATHS), 3, generator=torch.Generator().manual_seed(1))
    features = features.double().requires_grad_()
    loss, points, known = DistanceRegression(), geometry.place(features), distances(tree(), tree())
    found = loss(geometry, features, points, tree())
    similarity = geometry.similarity(points, points)
    learned = loss.learned()
    affine = torch.tensor([learned["offset"], learned["factor"]], dtype=torch.float64)
    expected = stress(affine.requires_grad_(), similarity, known.double())
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    # a minimum: no slope, and more stress on all sides
    (slope,) = torch.autograd.grad(expected, affine)
    free = 1 if geometry.is_distance else 2
    assert free == 2 or learned["factor"] == 1
    assert slope[:free].abs().max() < 1e-5
    for step in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))[: 2 * free]:
        moved = affine.detach() + torch.tensor(step)
        assert stress(moved, similarity.detach(), known.double()) > expected
    # the gradient is that of the minimum, which moves along
    (slope,) = torch.autograd.grad(found, features)
    for row, column in ((0, 0), (4, 2), (9, 1)):
        ends = []
        for sign in (1e-3, -1e-3):
            nudged = features.detach().clone()
            nudged[row, column] += sign
            points = geometry.place(nudged)
            ends.append(loss(geometry, nudged, points, tree()).item())
        assert slope[row, column].item() == pytest.approx((ends[0] - ends[1]) / 2e-3, abs=2e-4)


def test_an_affine_map_is_found_again() -> None:
    known = distances(tree(), tree())
    known = known[known > 0]
    torch.testing.assert_close(
        fit_affine((3.5 - known.double()) / 0.7, known),
        torch.tensor([3.5, 0.7], dtype=torch.float64),
    )


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_a_factor_of_a_ball_is_a_change_of_its_curvature(factor: float) -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scaled = hyperbolic_distance(x, x, 0.7, factor)
    bent = hyperbolic_distance(factor * x, factor * x, 0.7 / factor**2)
    torch.testing.assert_close(scaled, bent)


def test_sums_of_distances_alone_are_distances() -> None:
    ball = Ball(1.0, 1.0, None)
    assert Geometry([ball], [1], 1).is_distance
    assert Geometry([Flat(1, None)], [1], 1).is_distance
    assert not Geometry([Sphere(), ball], [1, 1], 1).is_distance
    assert not Geometry([Inner(1, None)], [1], 1).is_distance


@pytest.mark.parametrize("value", [0.0, -1.0, 0.3, 1e6])
def test_equal_similarities_leave_the_factor_at_1(value: float) -> None:
    known = torch.tensor([1.0, 2.0, 4.0, 4.0])
    offset, factor = fit_affine(torch.full((4,), value), known).tolist()
    assert factor == 1
    # sum of 1 / t over sum of 1 / t^2
    assert offset - value == pytest.approx((1 + 0.5 + 0.5) / (1 + 0.25 + 0.125))


@pytest.mark.parametrize("geometry", SPACES, ids=["cosine", "flat", "ball"])
def test_embeddings_that_coincide_have_a_finite_stress_and_gradient(geometry: Geometry) -> None:
    features = torch.ones(len(PATHS), 3, requires_grad=True)
    loss = DistanceRegression()(geometry, features, geometry.place(features), tree())
    (slope,) = torch.autograd.grad(loss, features)
    assert torch.isfinite(loss)
    assert torch.isfinite(slope).all()
