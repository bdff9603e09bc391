"""Spaces: released values, definitions, laws, the flat limit, inner products, learned numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from geomix.errors import InputError
from geomix.geometry.distances import expmap0, logmap0
from geomix.geometry.learned import RANGE
from geomix.geometry.spaces import Ball, Flat, Inner, Power, Sphere, space_from

AnySpace = Sphere | Flat | Inner | Ball | Power
REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")
SPACES: dict[str, AnySpace] = {
    "sphere": Sphere(),
    "flat": Flat(0.7, 2.3),
    "ball": Ball(0.3, 0.7, 2.3),
    "unclipped ball": Ball(2.0, 0.5, None),
    "unit-fed ball": Ball(0.3, 0.7, 2.3, normalize=True),
    "inner": Inner(0.7, 2.3),
    "unclipped inner": Inner(0.5, None),
    "power": Power(0.3, 2.3),
    "strong power": Power(10.0, 2.3),
}
UNBOUNDED = [SPACES["unclipped ball"], SPACES["unclipped inner"]]
ALL = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
DISTANCES = {name: space for name, space in SPACES.items() if not isinstance(space, Sphere | Inner)}


def features(count: int, dimensions: int = 7, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) * scale


def reference(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def compare(space: AnySpace, x: Tensor, y: Tensor) -> Tensor:
    return space.similarity(space.place(x), space.place(y))


def test_clip_and_expmap0_equal_the_released_code() -> None:
    placed = Ball(0.1, 1, 2.3).place(reference("clip/tangent"))
    torch.testing.assert_close(
        expmap0(placed, 0.1), reference("clip/clip_r=2.3,c=0.1"), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("clip_radius", [2.3, 0.4])
@pytest.mark.parametrize("c", [0.1, 3.0])
def test_a_unit_fed_ball_holds_the_points_of_hypmix(c: float, clip_radius: float) -> None:
    vectors = features(6) * torch.tensor(
        [[1e-3], [0.1], [1.0], [2.0], [10.0], [1e4]], dtype=torch.float64
    )
    placed = expmap0(Ball(c, 1, clip_radius, normalize=True).place(vectors), c)
    length = math.tanh(math.sqrt(c) * min(1, clip_radius)) / math.sqrt(c)
    torch.testing.assert_close(
        placed, length * vectors / vectors.norm(dim=-1, keepdim=True), rtol=1e-12, atol=1e-14
    )


@ALL
def test_similarity_equals_its_definition_pair_by_pair(space: AnySpace) -> None:
    x, y = space.place(features(6)), space.place(features(4, seed=1))
    expected = torch.stack([torch.stack([space.paired_similarity(a, b) for b in y]) for a in x])
    torch.testing.assert_close(space.similarity(x, y), expected, rtol=1e-9, atol=1e-12)
    half = space.similarity(x, y, 0.5, torch.float32)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, 0.5 * expected.float(), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("space", DISTANCES.values(), ids=DISTANCES)
def test_distances_are_symmetric_and_obey_the_triangle(space: AnySpace) -> None:
    points = space.place(features(9))
    distances = -space.similarity(points, points.clone())
    torch.testing.assert_close(distances, distances.T, rtol=1e-9, atol=0)
    detours = distances.unsqueeze(2) + distances.unsqueeze(0)  # (i, k, j)
    assert (distances.unsqueeze(1) <= detours + 1e-12).all()


@ALL
def test_rotations_change_nothing(space: AnySpace) -> None:
    rotation = torch.linalg.qr(features(7, seed=5)).Q
    before = compare(space, features(5), features(4, seed=1))
    after = compare(space, features(5) @ rotation, features(4, seed=1) @ rotation)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0])
def test_the_ball_at_curvature_1e_6_is_the_flat_space(scale: float) -> None:
    x, y = features(8, scale=scale), features(5, seed=1, scale=scale)
    # d = 2 |x - y| (1 + O(c r^2)): c r^2 is 5e-6 here
    curved, flat = compare(Ball(1e-6, 0.8, 2.3), x, y), compare(Flat(0.8, 2.3), x, y)
    torch.testing.assert_close(curved, flat, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("c", [0.01, 0.1, 3.0])
@pytest.mark.parametrize("normalize", [False, True])
def test_at_one_radius_distance_is_a_function_of_the_cosine(c: float, normalize: bool) -> None:
    x = features(6, scale=10)
    ball = Ball(c, 2.0, 2.3, normalize=normalize)
    strength = math.sinh(2 * math.sqrt(c) * (2.0 if normalize else 2.3)) ** 2
    expected = -torch.arccosh(
        1 + strength * (1 - compare(Sphere(), x, x).clamp(max=1))
    ) / math.sqrt(c)
    off = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(compare(ball, x, x)[off], expected[off], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("radius", [0.1, 1.0, 2.3])
@pytest.mark.parametrize("c", [1e-3, 0.1, 1.0, 10.0])
def test_a_ball_whose_points_are_all_clipped_is_power(c: float, radius: float) -> None:
    upstream = features(9, 8, seed=2)
    found = []
    for space in (Power(c, radius), Ball(c, 5.0, radius)):
        x = features(9, scale=3).requires_grad_()
        points, others = space.place(x), space.place(features(8, seed=1, scale=3))
        exact = space.similarity(points, others)
        logits = space.similarity(points, others, 1.0, torch.float32)
        (slope,) = torch.autograd.grad((exact * upstream).sum(), x, retain_graph=True)
        (rough,) = torch.autograd.grad((logits * upstream.float()).sum(), x)
        found.append((exact, slope, logits, rough))
    (exact, slope, logits, rough), (of_ball, slope_of_ball, logits_of_ball, rough_of_ball) = found
    torch.testing.assert_close(exact, of_ball, rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, slope_of_ball, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(logits, logits_of_ball, rtol=1e-6, atol=0)
    torch.testing.assert_close(rough, rough_of_ball, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("c", "smallest"), [(1e-10, 1e-13), (1e-80, 1e-14)])
def test_power_at_a_tiny_curvature_is_the_flat_space_of_unit_vectors(
    c: float, smallest: float
) -> None:
    x, y = features(8), features(5, seed=1)
    y[0] = x[0] * (1 + 1e-9)
    power, chord = Power(c, 2.3), Flat(2.3, None, normalize=True)
    # 2 rho |x - y| (1 + O(c rho^2))
    torch.testing.assert_close(compare(power, x, y), compare(chord, x, y), rtol=1e-8, atol=1e-14)
    found, expected = (
        space.similarity(space.place(x), space.place(y), dtype=torch.float32)
        for space in (power, chord)
    )
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=smallest)


@pytest.mark.parametrize("clip_radius", [2.3, None])
def test_inner_is_the_plain_product_of_features(clip_radius: float | None) -> None:
    space, upstream = Inner(0.7, clip_radius), features(6, 4, seed=2)
    x, y = (features(*given, scale=2).requires_grad_() for given in ((6, 7, 0), (4, 7, 1)))
    longest = clip_radius or math.inf
    first, second = (
        [0.7 * v if 0.7 * v.norm() <= longest else longest * v / v.norm() for v in rows]
        for rows in (x, y)
    )
    expected = torch.stack([torch.stack([(a * b).sum() for b in second]) for a in first])
    points, others = space.place(x), space.place(y)
    found = space.similarity(points, others)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)
    slopes, expected_slopes = (
        torch.autograd.grad((value * upstream).sum(), (x, y), retain_graph=True)
        for value in (found, expected)
    )
    torch.testing.assert_close(slopes, expected_slopes, rtol=1e-12, atol=1e-13)
    logits = space.similarity(points, others, 3.0, torch.float32)
    torch.testing.assert_close(logits.double(), 3 * found, rtol=6e-8, atol=1e-14)


def test_free_norms_change_what_an_inner_product_finds_first() -> None:
    query = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    gallery = torch.tensor([[1.0, 0.1], [5.0, 5.0]], dtype=torch.float64)
    assert compare(Inner(1, None), query, gallery).argmax() == 1
    assert compare(Inner(1, None, normalize=True), query, gallery).argmax() == 0


def test_a_learned_scale_of_an_inner_product_is_trained_and_described() -> None:
    space, vectors = Inner(0.25, None, learned=True), features(3).float()
    total = compare(space, vectors, vectors).sum()
    (slope,) = torch.autograd.grad(total, space.log_scale)
    torch.testing.assert_close(float(slope), 2 * float(total.detach()), rtol=1e-6, atol=0)
    assert space.learned() == {"scale": pytest.approx(0.25)}
    assert space.describe()["scale"] == pytest.approx(0.25)


def test_an_inner_product_refuses_points_whose_products_float32_cannot_hold() -> None:
    vectors = torch.tensor([[3e18, 4e18], [1.0, 0.0]])
    with pytest.raises(
        InputError,
        match=r"inner: found a point of norm 5e\+18, expected at most 1e\+18: set a clip",
    ):
        Inner(1, None).place(vectors)
    space = Inner(0.2, None)
    points = space.place(vectors)
    assert torch.isfinite(space.similarity(points, points, 100.0, torch.float32)).all()


def test_power_orders_zero_vectors_as_its_inner_products_do() -> None:
    space, vectors = Power(0.5, 1.0), features(30, 3)
    vectors[4] = 0
    points = space.place(vectors)
    queries, gallery = space.as_inner_product(points)
    similarity = space.similarity(points[:4], points)
    assert torch.equal((queries[:4] @ gallery.T).argsort(1), similarity.argsort(1))
    places = similarity.argsort(1).argsort(1)[:, 4]
    assert ((places > 5) & (places < 28)).all()  # neither first nor last


@pytest.mark.parametrize(
    ("c", "radius", "message"),
    [
        (0.0, 2.3, "curvature: found 0.0, expected c > 0"),
        (-1.0, 2.3, "curvature: found -1.0, expected c > 0"),
        (math.nan, 2.3, "curvature: found nan, expected c > 0"),
        (0.1, 0.0, "radius: found 0.0, expected a positive number"),
        (0.1, -1.0, "radius: found -1.0, expected a positive number"),
        (0.1, math.inf, "radius: found inf, expected a positive number"),
        (4.0, 85.5, "power: found a radius of 171 radii of curvature, expected at most 170"),
    ],
)
def test_power_refuses_what_it_cannot_compute(c: float, radius: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Power(c, radius)


@ALL
def test_inner_products_order_as_the_similarity(space: AnySpace) -> None:
    points, others = space.place(features(20)), space.place(features(30, seed=1))
    queries, _ = space.as_inner_product(points)
    _, gallery = space.as_inner_product(others)
    assert torch.equal(
        (queries @ gallery.T).argsort(1), space.similarity(points, others).argsort(1)
    )


def test_inner_products_keep_the_order_in_float32_near_the_origin() -> None:
    ball = Ball(1e-3, 1, None)
    points = ball.place(0.003 * features(200, 16))
    queries, gallery = (vectors.float() for vectors in ball.as_inner_product(points))
    found = (queries @ gallery.T).topk(10).indices
    exact = ball.similarity(points, points).topk(10).indices
    shared = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, exact, strict=True)]
    assert sum(shared) / len(shared) > 9.9  # with the whole time coordinate it is below 9


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-8, 3e-5, 1e-4, 1e-2, 1.0])
@ALL
def test_similarities_in_float32_are_within_the_stated_resolution(
    space: AnySpace, gap: float
) -> None:
    x = features(40, scale=3)
    points, others = space.place(x), space.place(x + gap * features(40, seed=1))
    resolution = space.resolution(torch.cat([points, others]))
    found = space.similarity(points, others, dtype=torch.float32).double()
    exact = space.paired_similarity(points.unsqueeze(1), others)
    assert (found - exact).abs().max() <= resolution
    assert resolution <= 1e-5 * exact.abs().max()


@ALL
def test_the_lowest_similarity_is_that_of_opposite_points(space: AnySpace) -> None:
    ends = torch.tensor([[30.0, 40.0], [-30.0, -40.0]], dtype=torch.float64)
    bounded = not any(space is one for one in UNBOUNDED)
    lowest = float(compare(space, ends, ends).min()) if bounded else -math.inf
    assert space.lowest() == pytest.approx(lowest)
    assert compare(space, features(30, scale=9), features(30, seed=1)).min() >= space.lowest()
    assert Flat(0.5, None, learned=True, normalize=True).lowest() == pytest.approx(-2)
    assert Flat(0.5, None, learned=True).lowest() == -math.inf
    assert Inner(0.5, 2.3, learned=True, normalize=True).lowest() == pytest.approx(-0.25)


@pytest.mark.parametrize("scale", [0.0, 1e-15, 1e-6, 1.0, 3.0])
@ALL
def test_gradients_are_finite_at_the_origin_and_where_points_coincide(
    space: AnySpace, scale: float
) -> None:
    vectors = features(5, scale=scale)
    vectors[1] = vectors[0]
    vectors[4] = 0
    vectors.requires_grad_()
    points = space.place(vectors)
    similarity = space.similarity(points, points)
    assert torch.isfinite(similarity).all()
    (slope,) = torch.autograd.grad((similarity * features(5, 5, seed=1)).sum(), vectors)
    assert torch.isfinite(slope).all()
    assert scale == 0 or slope[:4].any(1).all()


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "space",
    [*(space for space in SPACES.values() if space not in UNBOUNDED), Flat(1, None)],
    ids=repr,
)
def test_huge_and_tiny_features_give_finite_values_and_gradients(
    space: AnySpace, dtype: torch.dtype, scale: float
) -> None:
    vectors = (features(5).float() * scale).requires_grad_()
    points = space.place(vectors)
    similarity = space.similarity(points, points, 10.0, dtype)
    assert torch.isfinite(similarity).all()
    (slope,) = torch.autograd.grad((similarity * features(5, 5, seed=1).to(dtype)).sum(), vectors)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize(
    "space",
    [
        Sphere(),
        SPACES["unit-fed ball"],
        Flat(1, 2.3, normalize=True),
        Inner(1, 2.3, normalize=True),
        SPACES["power"],
    ],
    ids=repr,
)
def test_a_zero_vector_stays_zero_where_features_are_normalised(space: AnySpace) -> None:
    vectors = features(3)
    vectors[1] = 0
    vectors.requires_grad_()
    points = space.place(vectors)
    assert not points[1].any()
    similarity = space.similarity(points, points)
    assert torch.isfinite(similarity).all()
    (slope,) = torch.autograd.grad(similarity[0].sum(), vectors)
    assert torch.isfinite(slope).all()


@ALL
def test_a_space_is_rebuilt_from_its_description(space: AnySpace) -> None:
    twin = space_from(space.describe())
    assert twin.describe() == space.describe()
    x = features(4)
    expected = compare(space, x, x)
    torch.testing.assert_close(twin.similarity(twin.place(x), twin.place(x)), expected)
    assert not twin.learned()


def test_radii_are_clipped_norms() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    for space, expected in (
        (Ball(1, 2, 2.3), [2.3, 1, 0]),
        (Ball(1, 2, None), [10, 1, 0]),
        (Flat(2, 1.5, normalize=True), [1.5, 1.5, 0]),
        (Inner(2, 2.3), [2.3, 1, 0]),
    ):
        radii = space.radii(space.place(vectors))
        torch.testing.assert_close(
            radii, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0
        )
        x = expmap0(space.place(vectors), 0.5)
        torch.testing.assert_close(logmap0(x, 0.5).norm(dim=-1), radii, rtol=1e-5, atol=0)
    assert Sphere().radii(vectors) is None
    assert Power(1, 2.3).radii(vectors) is None


def learning_ball(start: float, ratio: float) -> Ball:
    """Return a ball whose learned curvature is a ratio times its start."""
    ball = Ball(start, 1, 2.3, learn_curvature=True)
    assert ball.log_ratio is not None
    with torch.no_grad():
        ball.log_ratio.fill_(math.log(ratio))
    return ball


def fixed_twin(ball: Ball) -> Ball:
    """Return the ball that a description rebuilds."""
    twin = space_from(ball.describe())
    assert isinstance(twin, Ball)
    return twin


def slope_of_curvature(ball: Ball) -> float:
    """Return the slope of a sum of distances over the logarithm of a learned curvature."""
    assert ball.log_ratio is not None
    (slope,) = torch.autograd.grad(
        -compare(ball, features(6), features(4, seed=1)).sum(), ball.log_ratio
    )
    return float(slope)


def test_float32_features_keep_near_pairs_apart() -> None:
    x = normalize(features(1).float(), dim=-1) * 2.3
    y = x * (1 - 1e-6)
    ball = Ball(3.0, 1, 2.3)
    found = float(ball.similarity(ball.place(x), ball.place(y), dtype=torch.float32))
    exact = float(ball.paired_similarity(ball.place(x), ball.place(y)))
    assert exact < -1e-6
    assert found == pytest.approx(exact, rel=1e-5)  # in float32 the product finds 0 here


@pytest.mark.parametrize(
    "start",
    [Flat(0.25, None, learned=True), Ball(0.3, 0.25, None, learned=True)],
    ids=["flat", "ball"],
)
def test_a_learned_scale_is_trained_and_described(start: Flat | Ball) -> None:
    vectors = features(3).float()
    (slope,) = torch.autograd.grad(-compare(start, vectors, vectors).sum(), start.log_scale)
    assert slope > 0  # a larger scale parts the points
    assert start.learned() == {"scale": pytest.approx(0.25)}
    assert start.describe()["scale"] == pytest.approx(0.25)
    assert not type(start)(**{k: v for k, v in start.describe().items() if k != "space"}).learned()


@pytest.mark.parametrize("ratio", [0.3, 1.0, 5.0])
def test_a_learned_curvature_is_trained_and_described(ratio: float) -> None:
    ball, step = learning_ball(0.2, ratio), 1e-4
    assert ball.curvature == pytest.approx(0.2 * ratio)
    assert ball.learned() == {"curvature": pytest.approx(0.2 * ratio)}
    assert ball.describe()["curvature"] == pytest.approx(0.2 * ratio)
    fixed = [
        -compare(Ball(ball.curvature * math.exp(s), 1, 2.3), features(6), features(4, seed=1)).sum()
        for s in (step, -step)
    ]
    assert slope_of_curvature(ball) == pytest.approx(
        float(fixed[0] - fixed[1]) / (2 * step), rel=1e-6
    )
    torch.testing.assert_close(
        compare(ball, features(6), features(4, seed=1)),
        compare(fixed_twin(ball), features(6), features(4, seed=1)),
    )


@pytest.mark.parametrize("power", [3.0, -3.0])
def test_a_learned_curvature_stays_within_a_factor_of_10_and_can_return(power: float) -> None:
    ball = learning_ball(0.2, 10**power)
    bound = 0.2 * RANGE ** math.copysign(1, power)
    assert ball.curvature == pytest.approx(bound, rel=1e-12)
    assert RANGE == 10
    ball.keep_in_range()
    assert ball.log_ratio is not None
    assert abs(float(ball.log_ratio.detach())) == pytest.approx(math.log(10), rel=1e-5)
    assert ball.curvature == pytest.approx(bound, rel=1e-4)
    assert slope_of_curvature(ball) != 0  # torch's clamp has no gradient at the bound itself
    inside = learning_ball(0.2, 2.0)
    inside.keep_in_range()
    assert inside.curvature == pytest.approx(0.4)


@pytest.mark.parametrize("c", [0.1, 9.0])
def test_points_too_far_out_for_float64_are_refused_and_nearer_ones_are_right(c: float) -> None:
    ball, ends = (
        Ball(c, 1, None),
        torch.tensor([[3.0, 4.0], [-3.0, -4.0]], dtype=torch.float64) / (5 * math.sqrt(c)),
    )
    with pytest.raises(
        InputError, match="a point at 171 radii of curvature from the origin, expected at most 170"
    ):
        ball.place(171 * ends)
    points = ball.place(169 * ends).requires_grad_()
    found = ball.similarity(points, points, dtype=torch.float32)
    assert float(found[0, 1].detach()) == pytest.approx(-4 * 169 / math.sqrt(c), rel=1e-5)
    (slope,) = torch.autograd.grad(found.sum(), points)
    torch.testing.assert_close(slope, -4 * normalize(points.detach(), dim=-1), rtol=1e-5, atol=1e-5)
    paired = ball.paired_similarity(points[0], points[1]).detach()
    assert float(paired) == pytest.approx(-4 * 169 / math.sqrt(c), rel=1e-12)


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan, math.inf])
def test_curvature_must_be_positive(curvature: float) -> None:
    with pytest.raises(InputError, match="curvature: found .*expected c > 0"):
        Ball(curvature, 1, 2.3)


@pytest.mark.parametrize(
    ("scale", "clip"), [(0.0, 2.3), (1.0, -1.0), (math.nan, None), (1.0, math.inf)]
)
def test_scale_and_clip_radius_must_be_positive(scale: float, clip: float | None) -> None:
    for refused in (
        lambda: Flat(scale, clip),
        lambda: Inner(scale, clip),
        lambda: Ball(1.0, scale, clip),
    ):
        with pytest.raises(InputError, match="expected a positive number"):
            refused()
