"""What acted: each quantity by its definition in loops, its limits, and what must not change it."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from geomix.evaluate.acted import (
    ANCHORS,
    CORRELATED,
    NEGATIVES,
    compare_curved,
    describe_acted,
    describe_points,
    effective_number,
    other_class,
    radius_in_curvature,
    spread_degrees,
    weigh_negatives,
)
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Power, Sphere
from geomix.retrieval.metrics import rank_correlation

LABELS = np.repeat(np.arange(7), [3, 5, 2, 4, 3, 6, 2])
ALL = np.arange(len(LABELS))
GEOMETRIES = {
    "ball": Geometry([Ball(1.0, 0.7, None)], [1], 0.4),
    "weighted": Geometry([Ball(0.5, 1, 2.3)], [3], 0.6),
    "hybrid": Geometry([Sphere(), Flat(1, None), Ball(2.0, 0.5, None)], [1, 0.5, 0.8], 0.3),
    "two balls": Geometry(
        [Ball(2.0, 1, None), Ball(0.5, 1, None)], [1, 0.5], 0.5, outputs=[(0, 3), (3, 5)]
    ),
}


def embeddings(scale: float = 1.0, dimensions: int = 5) -> torch.Tensor:
    """Return vectors of varied lengths, (25, dimensions)."""
    random = np.random.default_rng(3)
    lengths = random.uniform(0.5, 2.0, (len(LABELS), 1))
    return torch.from_numpy(scale * lengths * random.normal(size=(len(LABELS), dimensions)))


def describe(geometry: Geometry, vectors: torch.Tensor) -> dict[str, float]:
    return describe_acted(geometry, vectors, other_class(LABELS), ALL, ALL)


def pairs_by_definition(
    geometry: Geometry, vectors: torch.Tensor
) -> list[list[tuple[float, list[float], list[float]]]]:
    """Return by anchor its negatives: weight, and for each ball logit and flat logit, negated."""
    points, anchors = geometry.place(vectors), []
    for i in ALL:
        negatives = []
        for j in ALL[LABELS[i] != LABELS]:
            logit, curved, flat = 0.0, [], []
            for (space, weight), placed in zip(geometry.parts, points, strict=True):
                similarity = weight * float(space.paired_similarity(placed[i], placed[j]))
                logit += similarity / geometry.tau
                if isinstance(space, Ball):
                    gap = 2 * float(torch.linalg.vector_norm(placed[i] - placed[j]))
                    curved.append(-similarity / geometry.tau)
                    flat.append(weight * gap / geometry.tau)
            negatives.append((math.exp(logit), curved, flat))
        total = sum(weight for weight, *_ in negatives)
        anchors.append([(weight / total, curved, flat) for weight, curved, flat in negatives])
    return anchors


def centred_rows(
    anchors: list[list[tuple[float, list[float], list[float]]]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sqrt(p) times deviations from an anchor's mean, of distances (n,) and of flat (n, B).

    And sqrt(p) times those of all steps of each flat distance, (n, steps).
    """
    steps = [
        (ball, level)
        for ball in range(len(anchors[0][0][2]))
        for level in sorted({flat[ball] for negatives in anchors for _, _, flat in negatives})
    ]
    sides = [], [], []  # type: ignore[var-annotated]
    for negatives in anchors:
        p = np.array([weight for weight, *_ in negatives])
        columns = (
            [[sum(curved)] for _, curved, _ in negatives],
            [flat for *_, flat in negatives],
            [[float(flat[ball] >= level) for ball, level in steps] for *_, flat in negatives],
        )
        for side, column in zip(sides, map(np.array, columns), strict=True):
            side.append(np.sqrt(p)[:, None] * (column - p @ column))
    curved, flat, stairs = map(np.concatenate, sides)
    return curved[:, 0], flat, stairs


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_bend_is_the_deviation_that_no_factor_undoes(name: str) -> None:
    geometry, vectors = GEOMETRIES[name], embeddings()
    anchors = pairs_by_definition(geometry, vectors)
    curved, flat, _ = centred_rows(anchors)
    expected = nnls(flat, curved)[1] / math.sqrt(len(anchors))
    assert describe(geometry, vectors)["bend"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_beyond_the_kernel_is_what_no_increasing_function_undoes(name: str) -> None:
    geometry, vectors = GEOMETRIES[name], embeddings()
    anchors = pairs_by_definition(geometry, vectors)
    curved, _, stairs = centred_rows(anchors)
    least = nnls(stairs, curved, maxiter=20 * stairs.shape[1])[1] / math.sqrt(len(anchors))
    found = describe(geometry, vectors)
    assert 0.5 < least < 0.98 * found["bend"]
    assert (1 - 1e-9) * least <= found["bend_beyond_kernel"] < 1.03 * least


@pytest.mark.parametrize(
    ("geometry", "scale"),
    [
        (Geometry([Ball(1e-8, 1, None)], [1], 0.1), 1.0),
        (Geometry([Ball(1.0, 1, None)], [1], 1e-5), 1e-4),
        (Geometry([Sphere(), Ball(1e-8, 1, None)], [1, 2], 0.1), 1.0),
    ],
)
def test_a_ball_near_its_flat_limit_does_not_bend(geometry: Geometry, scale: float) -> None:
    found = describe(geometry, embeddings(scale))
    assert 1 < found["effective_negatives"] < found["negatives"]
    assert 0 <= found["bend_beyond_kernel"] <= found["bend"] < 1e-5


def test_a_narrow_cone_at_one_radius_does_not_bend() -> None:
    """There the ball is the flat space times sinh(a) / a, which a temperature undoes."""
    centre = torch.tensor([[5.0, 0, 0, 0, 0]]).double()
    cone = Geometry([Ball(1.0, 1, 1.5)], [1], 1e-3)
    found = describe(cone, centre + embeddings(1e-3))
    assert 1 < found["effective_negatives"] < 18
    assert found["bend"] < 1e-4


def test_at_a_common_radius_the_bend_is_all_of_the_kernel() -> None:
    for clipped in (
        Geometry([Ball(1.0, 100, 1.5)], [1], 0.5),
        Geometry([Sphere(), Ball(1.0, 100, 1.5)], [1, 2], 0.5),
        Geometry([Ball(1.0, 100, 1.5), Ball(0.5, 100, 1)], [1, 2], 0.5, outputs=[(0, 3), (3, 5)]),
    ):
        found = describe(clipped, embeddings())
        assert found["bend"] > 0.1
        assert found["bend_beyond_kernel"] < 1e-6


def test_a_kernel_at_one_radius_bends_as_the_ball_with_all_points_there() -> None:
    ball, kernel = (
        Geometry([space], [1.3], 0.5) for space in (Ball(0.8, 100, 1.5), Power(0.8, 1.5))
    )
    expected, found = (describe(geometry, embeddings()) for geometry in (ball, kernel))
    assert found["bend"] > 0.1
    assert found["bend"] == pytest.approx(expected["bend"], rel=1e-9)
    assert found["bend_beyond_kernel"] < 1e-6
    assert math.isnan(found["radius_relative"])


def test_with_free_radii_some_of_the_bend_is_beyond_the_kernel() -> None:
    found = describe(Geometry([Ball(1.0, 1, None)], [1], 0.5), embeddings())
    assert found["bend_beyond_kernel"] > 0.1


def test_equal_flat_distances_get_one_value() -> None:
    """Two negatives at one flat distance, at different radii: no function tells them apart."""
    vectors = torch.tensor([[1.0, 0], [2, 0], [1, 1]]).double()
    ball = Geometry([Ball(1.0, 1, None)], [1], 1.0)
    labels = np.arange(3)
    found = describe_acted(ball, vectors, other_class(labels), np.array([0]), np.array([1, 2]))
    points = ball.place(vectors)[0]
    near, far = (-float(ball.paired_similarity([points[0]], [points[j]])) for j in (1, 2))
    p = 1 / (1 + math.exp(near - far))  # of the first
    expected = math.sqrt(p * (1 - p)) * abs(near - far)
    assert expected > 0.1
    assert found["bend_beyond_kernel"] == pytest.approx(expected, rel=1e-9)


def test_only_curvature_times_radius_squared_matters() -> None:
    """Distances of curvature c are those of 1 at sqrt(c) times the radius, over sqrt(c)."""
    vectors = embeddings()
    one = describe(Geometry([Ball(1.0, 0.6, None)], [1], 0.5), vectors)
    four = describe(Geometry([Ball(4.0, 0.3, None)], [1], 0.25), vectors)
    assert one == pytest.approx(four, rel=1e-9)
    other = describe(Geometry([Ball(4.0, 0.6, None)], [1], 0.25), vectors)
    assert abs(other["bend"] - one["bend"]) > 0.05
    weighted = describe(Geometry([Ball(1.0, 0.6, None)], [3], 1.5), vectors)
    assert one == pytest.approx(weighted, rel=1e-9)


def test_a_flat_kernel_of_another_temperature_has_no_bend_to_undo() -> None:
    for flat in (cosine(), Geometry([Flat(1, 2.3)], [1], 0.2)):
        found = describe(flat, embeddings())
        for name in ("bend", "bend_beyond_kernel", "radius_relative"):
            assert math.isnan(found[name])
        assert found["effective_negatives"] > 1


def test_the_radius_is_that_of_the_first_ball_in_its_radii_of_curvature() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0]]).double()
    geometry = Geometry(
        [Sphere(), Flat(7, None), Ball(4.0, 0.5, 1.5), Ball(9, 1, None)], [1, 1, 1, 1], 0.1
    )
    assert radius_in_curvature(geometry, geometry.place(vectors)) == pytest.approx(2 * 1.0)


def test_effective_negatives_are_all_that_weigh_alike() -> None:
    differs = torch.tensor([[True, True, False, True, True], [True, False, False, False, True]])
    equal = weigh_negatives(torch.full((2, 5), -700.0).double(), differs)
    assert equal[0].tolist() == [0.25, 0.25, 0, 0.25, 0.25]
    assert effective_number(equal) == pytest.approx((4 + 2) / 2, rel=1e-12)
    single = torch.tensor([[0.0, 0, 900, 0, 800], [800, 0, 0, 900, 0]]).double()
    assert effective_number(weigh_negatives(single, differs)) == pytest.approx(1, rel=1e-12)
    tilted = weigh_negatives(torch.tensor([[1.0, 0, 9, 9, 3]]).double(), differs[1:])
    p = 1 / (1 + math.exp(2))
    expected = math.exp(-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert effective_number(tilted) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_negatives_are_of_other_classes_and_counted(name: str) -> None:
    geometry, vectors = GEOMETRIES[name], embeddings()
    found, anchors = describe(geometry, vectors), pairs_by_definition(geometry, vectors)
    numbers = [
        math.exp(-sum(p * math.log(p) for p, *_ in negatives if p > 0)) for negatives in anchors
    ]
    assert found["effective_negatives"] == pytest.approx(np.mean(numbers), rel=1e-9)
    assert found["negatives"] == pytest.approx(np.mean([len(one) for one in anchors]))


def test_queries_are_anchors_and_the_gallery_has_their_negatives() -> None:
    vectors, geometry = embeddings(), GEOMETRIES["hybrid"]
    queries, gallery = ALL[::3], ALL[1::2]
    found = describe_acted(geometry, vectors, other_class(LABELS), queries, gallery)
    numbers = [(LABELS[gallery] != LABELS[query]).sum() for query in queries]
    assert found["negatives"] == pytest.approx(np.mean(numbers))
    rows = np.concatenate([queries, gallery])
    places = np.arange(len(rows))
    again = describe_acted(
        geometry,
        vectors[rows],
        other_class(LABELS[rows]),
        places[: len(queries)],
        places[len(queries) :],
    )
    assert found["bend"] == pytest.approx(again["bend"], rel=1e-9)


def test_order_does_not_matter_where_all_are_anchors() -> None:
    order = np.random.default_rng(0).permutation(len(ALL))
    vectors, geometry = embeddings(), GEOMETRIES["hybrid"]
    turned = describe_acted(geometry, vectors[order], other_class(LABELS[order]), ALL, ALL)
    assert describe(geometry, vectors) == pytest.approx(turned, rel=1e-9)


def test_of_many_items_an_even_part_is_weighed() -> None:
    count = NEGATIVES + 1
    rows, labels = np.arange(count), np.arange(count)
    vectors, differs = torch.rand(count, 2).double(), other_class(labels)
    found = describe_acted(cosine(), vectors, differs, rows[-1:], rows)
    assert found["negatives"] == NEGATIVES - 1  # all that are taken but the anchor itself
    queries = rows[: ANCHORS + 1]
    labels[: ANCHORS + 1] = -1
    found = describe_acted(cosine(), vectors, differs, queries, rows)
    assert found["negatives"] == NEGATIVES - ANCHORS - 1


def test_of_classes_whose_images_have_one_order_all_kinds_are_anchors_and_negatives() -> None:
    """As of glyphs: letter by letter, each in 12 faces."""
    rows = np.arange(12 * 456)
    asked: list[np.ndarray] = []

    def differs(anchors: np.ndarray, items: np.ndarray) -> np.ndarray:
        asked.append(anchors)
        asked.append(items)
        return anchors[:, None] // 12 != items // 12

    vectors = torch.rand(len(rows), 2).double()
    describe_acted(cosine(), vectors, differs, rows, rows)
    for chosen in asked:
        assert np.bincount(chosen % 12).min() > 0.6 * len(chosen) / 12
    anchors = asked[0]
    assert (anchors[0], anchors[-1], len(anchors)) == (0, len(rows) - 1, ANCHORS)


def test_the_rank_correlation_is_of_the_whole_table() -> None:
    """The second half of the samples alone has an order that is not the cosine's."""
    random = np.random.default_rng(0)
    vectors = torch.from_numpy(random.normal(size=(2 * CORRELATED - 1, 3)))
    vectors[:CORRELATED] = vectors[0]
    vectors[:CORRELATED, 0] += torch.arange(CORRELATED) / 1e6
    found = describe_points(Geometry([Flat(1.0, None)], [1], 1.0), vectors)
    whole = [
        space.similarity(space.place(vectors), space.place(vectors)).numpy()
        for space in (Geometry([Flat(1.0, None)], [1], 1.0), cosine())
    ]
    expected = rank_correlation(*whole)
    front = rank_correlation(*(one[:CORRELATED] for one in whole))
    assert abs(found["rank_correlation"] - expected) < 0.01 < abs(front - expected)


def test_without_negatives_nothing_is_measured() -> None:
    one_class = other_class(np.zeros(len(ALL)))
    found = describe_acted(GEOMETRIES["ball"], embeddings(), one_class, ALL, ALL)
    assert found["radius_relative"] > 0
    assert {name for name, value in found.items() if math.isnan(value)} == {
        "bend",
        "bend_beyond_kernel",
        "effective_negatives",
        "negatives",
    }


def test_points_that_coincide_have_neither_bend_nor_preference() -> None:
    found = describe(GEOMETRIES["ball"], torch.ones(len(ALL), 5).double())
    assert found["effective_negatives"] == pytest.approx(found["negatives"], rel=0.01)
    assert found["bend"] == pytest.approx(0, abs=1e-9)
    assert found["bend_beyond_kernel"] == pytest.approx(0, abs=1e-9)


def test_balls_are_compared_with_the_flat_space_of_the_same_points() -> None:
    geometry, vectors = GEOMETRIES["weighted"], embeddings()
    points = geometry.place(vectors)
    ((curved, flat),) = compare_curved(geometry, points, points)
    assert float(geometry.radii(points).max()) == pytest.approx(2.3)  # type: ignore[union-attr]
    similarity = geometry.similarity(points, points) / geometry.tau
    torch.testing.assert_close(curved, -similarity)
    limit = Geometry([Flat(1, 2.3)], [3], 0.6)
    similarity = limit.similarity(points, points) / limit.tau
    torch.testing.assert_close(flat, -similarity)


@pytest.mark.parametrize(
    ("vectors", "degrees"),
    [
        ([[1.0, 0], [5, 0]], 0),
        ([[1.0, 0], [0, 3]], 45),
        ([[1.0, 0], [0, 0]], 60),
        ([[2.0, 0], [-1, 0]], 90),
        ([[0.0, 0], [0, 0]], 90),
        ([[1.0, 1e-3], [1, -1e-3]], math.degrees(math.atan(1e-3))),
        ([[1.0, 1e-6], [1, -1e-6]], math.degrees(1e-6)),
        ([[1.0, 1e-9], [1, -1e-9]], math.degrees(1e-9)),
    ],
)
def test_the_spread_is_the_angle_around_the_mean_direction(
    vectors: list[list[float]], degrees: float
) -> None:
    found = spread_degrees(torch.tensor(vectors).double())
    assert found == pytest.approx(degrees, rel=1e-6, abs=1e-14)


def test_the_spread_is_that_of_the_mean_cosine_and_ignores_lengths() -> None:
    vectors = embeddings().numpy() + 1
    units = [vector / math.sqrt((vector**2).sum()) for vector in vectors]
    mean = sum(units) / math.sqrt((sum(units) ** 2).sum())
    cosines = [float((one * mean).sum()) for one in units]
    expected = math.degrees(math.acos(sum(cosines) / len(cosines)))
    assert spread_degrees(torch.from_numpy(vectors)) == pytest.approx(expected, rel=1e-12)
    lengths = torch.linspace(1e-3, 1e3, len(vectors))[:, None]
    scaled = torch.from_numpy(vectors) * lengths
    assert spread_degrees(scaled) == pytest.approx(expected, rel=1e-12)
