"""Geometries: weighted sums over one temperature, features of any type, descriptions."""

import json
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn.functional import normalize

from geomix.config import sections
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, build_geometry, cosine, describe_radii, geometry_from
from geomix.geometry.spaces import Ball, Flat, Inner, Power, Sphere

TAU = 0.1
ENTRY = TypeAdapter(sections.Geometry)
PARTS: dict[str, dict[str, Any]] = {
    "cosine": {"space": "sphere", "weight": 1},
    "distance": {"space": "ball", "weight": "lam", "scale": "learned", "clip_radius": 2.3},
}
MIXTURE: dict[str, dict[str, Any]] = {
    "wide": {"space": "ball", "weight": 1, "scale": 1, "clip_radius": 2.3, "curvature": 0.01},
    "cell": {
        "space": "ball",
        "weight": "lam",
        "scale": 0.5,
        "clip_radius": None,
        "normalize": True,
    },
    "bent": {
        "space": "ball",
        "weight": 0.5,
        "scale": "learned",
        "clip_radius": 1,
        "curvature": 3,
        "learn_curvature": True,
    },
    "flat": {"space": "flat", "weight": 2, "scale": 1, "clip_radius": 2.3, "normalize": False},
    "cosine": {"space": "sphere", "weight": 0.25},
}
TWO_HEADS: dict[str, dict[str, Any]] = {
    "cosine": {"space": "sphere", "weight": 1, "outputs": {"start": 0, "stop": 2}},
    "distance": PARTS["distance"] | {"outputs": {"start": 2, "stop": 6}},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "kernel": {"space": "power", "weight": "lam", "radius": 1.5},
    "own": {"space": "power", "weight": 0.5, "radius": 2.3, "curvature": 3},
    "product": {"space": "inner", "weight": 2, "scale": "learned", "clip_radius": 1.2},
}
LEARNED = {name: part | {"learn_weight": name != "flat"} for name, part in MIXTURE.items()}
SINGLE_SPACES = [
    Sphere(),
    Flat(0.7, 2.3),
    Ball(0.1, 1, 2.3),
    Ball(3.0, 1, 2.3),
    Ball(1.0, 0.9, None, normalize=True),
    Inner(0.7, 2.3),
    Inner(0.5, None),
    Power(0.1, 2.3),
    Power(3.0, 2.3),
]


def build(parts: dict[str, dict[str, Any]], **settings: Any) -> Geometry:
    """Build a geometry from an entry of params.yaml as it is written."""
    return build_geometry(ENTRY.validate_python(parts), **settings)


def features(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def compare(geometry: Geometry, x: Tensor, y: Tensor) -> Tensor:
    return geometry.logits(geometry.place(x), geometry.place(y))


def crowd() -> Tensor:
    """Return float32 features of many radii, each with others at relative gaps of 1e-6 to 0.1."""
    origins = normalize(features(12), dim=-1) * torch.tensor(
        [0.01, 0.3, 1.0, 2.0, 2.299, 5.0]
    ).repeat(2).unsqueeze(1)
    near = [
        origins + gap * origins.norm(dim=-1, keepdim=True) * features(12, 1)
        for gap in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
    ]
    return torch.cat(
        [origins, *near, *(origins * (1 - gap) for gap in (1e-6, 1e-4, 1e-2)), -origins]
    )


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("c", [0.0, 1e-4, 0.1, 1.0, 3.0])
def test_a_distance_from_a_thousandth_on_is_right_to_four_digits(c: float, same: bool) -> None:
    geometry = Geometry([Ball(c, 1, 2.3) if c else Flat(1, 2.3)], [1.0], TAU)
    x = geometry.place(crowd())
    y = x if same else geometry.place(crowd())
    found = -TAU * geometry.logits(x, y).double()
    exact = -geometry.paired_similarity(
        [x[0].unsqueeze(1)], [y[0].unsqueeze(0)]
    )  # from explicit differences
    counted = exact >= 1e-3
    assert (exact[counted] < 1e-2).sum() > 10
    torch.testing.assert_close(found[counted], exact[counted], rtol=1e-4, atol=0)
    torch.testing.assert_close(
        found, exact, rtol=2.1e-5, atol=1e-12
    )  # what is stated, for all others too


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("space", SINGLE_SPACES, ids=repr)
def test_logits_and_gradients_are_those_of_the_same_features_in_float64(
    space: Sphere | Flat | Inner | Ball | Power, dtype: torch.dtype, autocast: bool
) -> None:
    geometry = Geometry([space], [1.5], TAU)
    x, y = (crowd()[start::stop].to(dtype).requires_grad_() for start, stop in ((0, 1), (3, 4)))
    a, b = (vectors.detach().double().requires_grad_() for vectors in (x, y))
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        found = geometry.logits(geometry.place(x), geometry.place(y))
    exact = geometry.similarity(geometry.place(a), geometry.place(b)) / TAU
    assert (found.dtype, exact.dtype) == (torch.float32, torch.float64)
    rtol, atol = 2.1e-5, 1e-12
    if isinstance(space, Sphere):
        rtol, atol = 0, 6e-8 * (6 + 2) * 1.5 / TAU
    if isinstance(space, Inner):
        rtol, atol = 6e-8, 1e-16 * (6 + 2) * 25 * 1.5 / TAU
    torch.testing.assert_close(found.double(), exact, rtol=rtol, atol=atol)
    upstream = (
        torch.randn(exact.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        / exact.numel()
    )
    slopes = torch.autograd.grad((found * upstream.float()).sum(), (x, y))
    exact_slopes = torch.autograd.grad((exact * upstream).sum(), (a, b))
    for slope, expected in zip(slopes, exact_slopes, strict=True):
        assert slope.dtype == dtype
        error = (slope.double() - expected).norm(dim=-1)
        assert (
            error <= 4 * (torch.finfo(dtype).eps + 2.1e-5) * expected.norm(dim=-1).clamp_min(1e-2)
        ).all()


def test_logits_are_the_weighted_sum_over_tau() -> None:
    x, y = features(5).double(), features(3, 1).double()
    sphere, ball = Sphere(), Ball(0.4, 0.5, 2.3)
    geometry = Geometry([sphere, ball], [0.7, 2.0], tau=0.2)
    cosines = sphere.similarity(sphere.place(x), sphere.place(y))
    distances = -ball.similarity(ball.place(x), ball.place(y))
    found = compare(geometry, x, y)
    torch.testing.assert_close(
        found, ((0.7 * cosines - 2.0 * distances) / 0.2).float(), rtol=2e-6, atol=1e-5
    )
    assert found.dtype == torch.float32
    summed = geometry.similarity(geometry.place(x), geometry.place(y))
    torch.testing.assert_close(summed, 0.7 * cosines - 2.0 * distances, rtol=1e-12, atol=1e-12)


def test_a_mixture_of_balls_is_the_sum_of_its_parts_built_by_hand() -> None:
    geometry = build(MIXTURE, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    x, y = features(7).double(), features(4, 1).double()
    by_hand: list[tuple[float, Sphere | Flat | Ball]] = [
        (1, Ball(0.01, 1, 2.3)),
        (4, Ball(0.3, 0.5, None, normalize=True)),
        (0.5, Ball(3, 6**-0.5, 1)),
        (2, Flat(1, 2.3)),
        (0.25, Sphere()),
    ]
    expected = sum(
        weight * space.similarity(space.place(x), space.place(y)) for weight, space in by_hand
    )
    found = geometry.similarity(geometry.place(x), geometry.place(y))
    torch.testing.assert_close(
        found, expected, rtol=1e-6, atol=1e-6
    )  # a learned scale is kept in float32
    torch.testing.assert_close(
        compare(geometry, x, y), (found / TAU).float(), rtol=2.1e-5, atol=1e-5
    )
    described = geometry.describe()["spaces"]
    assert [part["name"] for part in described] == list(MIXTURE)
    assert [part.get("curvature") for part in described] == [
        0.01,
        0.3,
        pytest.approx(3),
        None,
        None,
    ]
    assert [part.get("normalize") for part in described] == [False, True, False, False, None]
    assert geometry.learned() == {
        "bent.scale": pytest.approx(6**-0.5),
        "bent.curvature": pytest.approx(3),
    }
    assert len(list(geometry.parameters())) == 2


def test_what_is_learned_gets_a_gradient_and_comes_back_into_range() -> None:
    geometry = build(MIXTURE, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    compare(geometry, features(7), features(4, 1)).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad != 0 for parameter in geometry.parameters()
    )
    bent = geometry.spaces[2]
    assert isinstance(bent, Ball)
    assert bent.log_ratio is not None
    with torch.no_grad():
        bent.log_ratio.fill_(5.0)
    geometry.keep_in_range()
    assert float(bent.log_ratio.detach()) == pytest.approx(math.log(10), rel=1e-5)
    assert geometry.learned()["bent.curvature"] == pytest.approx(30, rel=1e-4)


def with_learned_weights(**ratios: float) -> Geometry:
    """Return the mixture with learned weights, which have moved from their starts by ratios."""
    geometry = build(LEARNED, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    with torch.no_grad():
        for name, ratio in ratios.items():
            geometry.get_parameter(f"weights.{geometry.names.index(name)}.log_ratio").fill_(
                math.log(ratio)
            )
    return geometry


def test_learned_weights_start_where_fixed_ones_are_to_the_byte() -> None:
    geometry = with_learned_weights()
    fixed = build(MIXTURE, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    x, y = features(7), features(4, 1)
    assert torch.equal(compare(geometry, x, y), compare(fixed, x, y))
    assert (geometry.describe(), geometry.lowest_logit) == (fixed.describe(), fixed.lowest_logit)
    assert {name for name in geometry.learned() if name.endswith("weight")} == {
        f"{name}.weight" for name in ("wide", "cell", "bent", "cosine")
    }
    assert len(list(geometry.parameters())) == 6


@pytest.mark.parametrize("exact", [False, True], ids=["logits", "similarity"])
@pytest.mark.parametrize("same", [True, False])
def test_learned_weights_have_the_gradient_of_the_sum_by_its_definition(
    same: bool, exact: bool
) -> None:
    ratios = {"wide": 0.5, "cell": 3.0, "bent": 1.0, "cosine": 0.2}
    geometry = with_learned_weights(**ratios)
    x = features(7).double().requires_grad_()
    y = x if same else features(4, 1).double()
    placed = geometry.place(x)
    others = placed if same else geometry.place(y)
    found = geometry.similarity(placed, others) / TAU if exact else geometry.logits(placed, others)
    upstream = torch.randn(
        found.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    ).fill_diagonal_(0)
    learned = [
        geometry.get_parameter(f"weights.{geometry.names.index(name)}.log_ratio") for name in ratios
    ]
    slopes = torch.autograd.grad((found * upstream).sum(), [x, *learned])

    logarithms = {
        name: parameter.detach().double().requires_grad_()
        for name, parameter in zip(ratios, learned, strict=True)
    }
    starts = {"wide": 1, "cell": 4, "bent": 0.5, "flat": 2, "cosine": 0.25}
    apart = (
        ~torch.eye(len(x), len(y), dtype=torch.bool)
        if same
        else torch.ones(len(x), len(y), dtype=torch.bool)
    )
    i, j = apart.nonzero(as_tuple=True)
    total = torch.zeros(len(i), dtype=torch.float64)
    for (name, start), (space, _) in zip(starts.items(), geometry.parts, strict=True):
        weight = start * logarithms[name].exp() if name in logarithms else start
        total = total + weight * space.paired_similarity(space.place(x)[i], space.place(y)[j]) / TAU
    tolerance = 1e-6 if exact else 1e-4
    torch.testing.assert_close(found[i, j].double(), total, rtol=tolerance, atol=tolerance)
    expected = torch.autograd.grad((total * upstream[i, j]).sum(), [x, *logarithms.values()])
    for slope, by_definition in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope.double(), by_definition, rtol=tolerance, atol=tolerance)


def test_pairs_side_by_side_give_what_is_learned_the_gradient_of_the_matrix() -> None:
    geometry = with_learned_weights(wide=0.5, cell=3.0, cosine=0.2)
    x, y = geometry.place(features(5).double()), geometry.place(features(5, 1).double())
    learned = list(geometry.parameters())
    slopes = torch.autograd.grad(geometry.paired_similarity(x, y).sum(), learned, retain_graph=True)
    expected = torch.autograd.grad(geometry.similarity(x, y).diagonal().sum(), learned)
    torch.testing.assert_close(slopes, expected, rtol=1e-5, atol=1e-6)


def test_what_reads_a_learned_weight_reads_it_as_it_is_now() -> None:
    geometry = with_learned_weights(wide=0.5, cell=3.0, bent=100.0, cosine=0.2)
    weights = {
        "wide": 0.5,
        "cell": 12.0,
        "bent": 5.0,
        "flat": 2.0,
        "cosine": 0.05,
    }  # bent at its bound
    assert {
        part["name"]: part["weight"] for part in geometry.describe()["spaces"]
    } == pytest.approx(weights)
    learned = {name: value for name, value in geometry.learned().items() if name.endswith("weight")}
    assert learned == pytest.approx(
        {f"{name}.weight": value for name, value in weights.items() if name != "flat"}
    )
    assert geometry.lowest_logit == pytest.approx(
        -(4 * 2.3 * 0.5 + 2 * 12 + 4 * 5 + 4 * 2.3 * 2 + 0.05) / TAU
    )
    x, y = geometry.place(features(5)), geometry.place(features(4, 1))
    expected = sum(
        weights[name] * space.similarity(a, b)
        for name, (space, _), a, b in zip(weights, geometry.parts, x, y, strict=True)
    )
    torch.testing.assert_close(geometry.similarity(x, y), expected, rtol=1e-6, atol=1e-6)
    geometry.keep_in_range()
    assert float(geometry.get_parameter("weights.2.log_ratio").detach()) == pytest.approx(
        math.log(10), rel=1e-6
    )


def test_a_learned_weight_of_a_space_alone_is_a_learned_temperature() -> None:
    parts = {"cosine": {"space": "sphere", "weight": 1, "learn_weight": True}}
    geometry = build(parts, tau=TAU, curvature=None, lam=None, dimensions=6)
    with torch.no_grad():
        geometry.get_parameter("weights.0.log_ratio").fill_(math.log(4))
    colder = Geometry([Sphere()], [1.0], TAU / 4)
    torch.testing.assert_close(
        compare(geometry, features(5), features(3, 1)), compare(colder, features(5), features(3, 1))
    )


def test_spaces_with_outputs_of_their_own_see_nothing_of_the_others() -> None:
    geometry = build(TWO_HEADS, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    x, y = features(7).double(), features(4, 1).double()
    sphere, ball = Sphere(), Ball(0.3, 4**-0.5, 2.3)
    cosines = sphere.similarity(sphere.place(x[:, :2]), sphere.place(y[:, :2]))
    distances = ball.similarity(ball.place(x[:, 2:]), ball.place(y[:, 2:]))
    found = geometry.similarity(geometry.place(x), geometry.place(y))
    torch.testing.assert_close(found, cosines + 4 * distances, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("start", "stop"), [(2, 7), (6, 8)])
def test_outputs_that_the_head_lacks_are_refused(start: int, stop: int) -> None:
    parts = {"cosine": TWO_HEADS["cosine"] | {"outputs": {"start": start, "stop": stop}}}
    with pytest.raises(
        InputError, match=f"cosine.outputs: found {start} to {stop}, expected some of the 6"
    ):
        build(parts, tau=TAU, curvature=None, lam=None, dimensions=6)


@pytest.mark.parametrize(
    "parts",
    [PARTS, MIXTURE, TWO_HEADS, CONTROLS],
    ids=["hybrid", "mixture", "two heads", "controls"],
)
def test_a_geometry_is_rebuilt_from_its_description(parts: dict[str, dict[str, Any]]) -> None:
    geometry = build(parts, tau=0.15, curvature=0.3, lam=2, dimensions=6)
    twin = geometry_from(json.loads(json.dumps(geometry.describe())))
    x = features(5)
    torch.testing.assert_close(compare(twin, x, x), compare(geometry, x, x))
    assert twin.describe() == geometry.describe()
    assert not list(twin.parameters())
    assert not twin.learned()


def test_learned_weights_are_saved_as_they_are_and_loaded_equal() -> None:
    geometry = with_learned_weights(wide=0.5, cell=3.0, bent=1.7, cosine=0.2)
    twin = geometry_from(json.loads(json.dumps(geometry.describe())))
    assert [weight for _, weight in twin.parts] == [weight for _, weight in geometry.parts]
    assert not list(twin.parameters())
    points = geometry.place(features(5))
    torch.testing.assert_close(
        twin.similarity(points, points), geometry.similarity(points, points), rtol=1e-14, atol=1e-14
    )


def test_flat_and_hyperbolic_at_curvature_1e_6_give_the_same_logits() -> None:
    part = {"weight": 1, "scale": 1, "clip_radius": 2.3}
    flat, curved = (
        build({"distance": part | {"space": space}}, tau=TAU, curvature=1e-6, lam=1, dimensions=6)
        for space in ("flat", "ball")
    )
    x, y = 3 * features(7), 3 * features(4, 1)
    torch.testing.assert_close(compare(curved, x, y), compare(flat, x, y), rtol=1e-5, atol=0)


def test_curvature_zero_makes_a_ball_flat() -> None:
    geometry = build(PARTS, tau=TAU, curvature=0, lam=2, dimensions=16)
    assert [part["space"] for part in geometry.describe()["spaces"]] == ["sphere", "flat"]
    own = {"distance": MIXTURE["bent"] | {"curvature": None, "normalize": True}}
    (described,) = build(own, tau=TAU, curvature=0, lam=2, dimensions=16).describe()["spaces"]
    assert described == {
        "name": "distance",
        "weight": 0.5,
        "space": "flat",
        "scale": pytest.approx(0.25),
        "clip_radius": 1,
        "normalize": True,
    }


def test_curvature_zero_makes_power_the_flat_space_of_unit_vectors() -> None:
    geometry = build(CONTROLS, tau=TAU, curvature=0, lam=2, dimensions=6)
    kernel, own, _ = geometry.describe()["spaces"]
    assert kernel == {
        "name": "kernel",
        "weight": 2,
        "space": "flat",
        "scale": pytest.approx(1.5),
        "clip_radius": None,
        "normalize": True,
    }
    assert own == {"name": "own", "weight": 0.5, "space": "power", "curvature": 3, "radius": 2.3}


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("hyperbolic", "flat"),
        ("hyperbolic_free", "flat_free"),
        ("one_ball", "flat_free"),
        ("hybrid_free", "hybrid_flat"),
        ("power", "chord"),
    ],
)
def test_params_yaml_names_the_limit_of_a_curved_geometry(
    raw: dict[str, Any], name: str, limit: str
) -> None:
    found, expected = (
        build(raw["geometry"][key], tau=TAU, curvature=0, lam=2, dimensions=64)
        for key in (name, limit)
    )
    assert found.describe() == expected.describe()
    assert found.learned() == expected.learned()
    curved = build(raw["geometry"][name], tau=TAU, curvature=1e-6, lam=2, dimensions=64)
    assert any(part.get("curvature") == 1e-6 for part in curved.describe()["spaces"])
    x = torch.randn(9, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        compare(curved, x, x.clone()), compare(expected, x, x.clone()), rtol=1e-4, atol=1e-6
    )


def test_controls_are_the_sum_of_their_parts_built_by_hand() -> None:
    geometry = build(CONTROLS, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    x, y = features(7).double(), features(4, 1).double()
    by_hand: list[tuple[float, Inner | Power]] = [
        (4, Power(0.3, 1.5)),
        (0.5, Power(3, 2.3)),
        (2, Inner(6**-0.5, 1.2)),
    ]
    expected = sum(
        weight * space.similarity(space.place(x), space.place(y)) for weight, space in by_hand
    )
    found = geometry.similarity(geometry.place(x), geometry.place(y))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert geometry.lowest_logit == pytest.approx(-(4 * 6 + 0.5 * 9.2 + 2 * 1.44) / TAU)
    assert geometry.clip_radius == 1.2
    radii = geometry.radii(geometry.place(x))
    torch.testing.assert_close(radii, (x.norm(dim=-1) * 6**-0.5).clamp(max=1.2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("space", ["ball", "flat", "inner"])
def test_a_scale_given_as_a_radius_takes_outputs_of_variance_one_there(space: str) -> None:
    part = {"space": space, "weight": 1, "scale": {"radius": 2}, "clip_radius": None}
    entry = ENTRY.validate_python({"part": part | {"outputs": {"start": 0, "stop": 400}}})
    geometry = build_geometry(entry, tau=TAU, curvature=1, lam=None, dimensions=500)
    assert geometry.describe()["spaces"][0]["scale"] == pytest.approx(0.1)
    outputs = torch.randn(300, 500, generator=torch.Generator().manual_seed(0))
    radii = geometry.radii(geometry.place(outputs))
    assert radii is not None
    assert float(radii.mean()) == pytest.approx(2, rel=0.01)


def test_a_learned_scale_starts_at_one_over_root_dimensions_and_lam_is_a_weight() -> None:
    geometry = build(PARTS, tau=TAU, curvature=0.3, lam=2, dimensions=16)
    description = geometry.describe()
    assert description["spaces"][1]["scale"] == pytest.approx(0.25)
    assert [part["weight"] for part in description["spaces"]] == [1, 2]
    assert geometry.learned() == {"distance.scale": pytest.approx(0.25)}


def test_the_lowest_logit_is_that_of_the_parts() -> None:
    clipped = {name: MIXTURE[name] for name in ("wide", "cell", "cosine")}
    geometry = build(clipped, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    assert geometry.lowest_logit == pytest.approx(-(4 * 2.3 + 4 * 4 * 0.5 + 0.25) / TAU)
    ends = 50 * torch.eye(6)[:1] * torch.tensor([[1.0], [-1.0]])
    assert float(compare(geometry, ends, ends).min()) == pytest.approx(
        geometry.lowest_logit, rel=1e-6
    )
    assert (cosine().is_cosine, geometry.is_cosine) == (True, False)


def test_the_same_points_twice_give_what_a_copy_gives() -> None:
    geometry = build(MIXTURE, tau=TAU, curvature=0.3, lam=4, dimensions=6)
    points = geometry.place(features(8))
    copies = [placed.clone() for placed in points]
    torch.testing.assert_close(
        geometry.logits(points, points), geometry.logits(points, copies), rtol=2e-6, atol=1e-5
    )


def test_pairs_side_by_side_equal_the_matrix() -> None:
    geometry = build(MIXTURE, tau=0.15, curvature=0.3, lam=2, dimensions=6)
    x, y = geometry.place(features(5).double()), geometry.place(features(5, 1).double())
    torch.testing.assert_close(
        geometry.paired_similarity(x, y), geometry.similarity(x, y).diagonal()
    )


@pytest.mark.parametrize(
    ("vectors", "found"),
    [
        (torch.zeros(6), r"\(6,\) torch.float32"),
        (torch.zeros(2, 3, 6), r"\(2, 3, 6\) torch.float32"),
        (torch.zeros(0, 6), r"\(0, 6\) torch.float32"),
        (torch.zeros(5, 0), r"\(5, 0\) torch.float32"),
        (torch.zeros(5, 6, dtype=torch.int64), r"\(5, 6\) torch.int64"),
        (torch.zeros(5, 6, dtype=torch.complex64), r"\(5, 6\) torch.complex64"),
        (torch.tensor([[1.0, math.nan]]), "values that are not finite"),
        (torch.tensor([[1.0, -math.inf]], dtype=torch.float16), "values that are not finite"),
    ],
)
def test_features_that_cannot_be_placed_are_refused(vectors: Tensor, found: str) -> None:
    error = InputError if "finite" in found else ValueError
    with pytest.raises(error, match=f"features: found {found}, expected") as caught:
        cosine().place(vectors)
    assert caught.type is error


def test_radii_are_described_with_the_share_that_is_clipped() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.5]])
    geometry = Geometry([Sphere(), Flat(1, 2.0), Ball(1, 1, 3.0)], [1, 1, 1], TAU)
    radii = geometry.radii(geometry.place(vectors))
    torch.testing.assert_close(radii, torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64))
    found = describe_radii(radii, geometry.clip_radius)
    expected = {
        "clipped_share": 1 / 3,
        "radius_mean": 3.5 / 3,
        "radius_sd": math.sqrt(5.25 / 3 - (3.5 / 3) ** 2),
    }
    assert found == pytest.approx(expected)


def test_radii_are_nan_without_a_radius() -> None:
    radii = cosine().radii(cosine().place(features(3)))
    assert radii is None
    assert all(math.isnan(value) for value in describe_radii(radii, cosine().clip_radius).values())


def test_the_clip_radius_is_that_of_the_radii() -> None:
    geometry = Geometry([Flat(1, None), Flat(1, 2.0)], [1, 1], TAU)
    assert geometry.clip_radius is None
    assert (
        describe_radii(geometry.radii(geometry.place(features(5))), geometry.clip_radius)[
            "clipped_share"
        ]
        == 0
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [({"curvature": None, "lam": 1}, "curvature"), ({"curvature": 1, "lam": None}, "lam")],
)
def test_a_missing_number_is_named(given: dict[str, Any], name: str) -> None:
    for parts in (PARTS, MIXTURE, CONTROLS):
        with pytest.raises(InputError, match=f"found no {name}, expected one"):
            build(parts, tau=TAU, dimensions=6, **given)


def test_no_number_is_missing_where_nothing_uses_it() -> None:
    parts = {name: MIXTURE[name] for name in ("wide", "bent", "flat", "cosine")}
    parts |= {name: CONTROLS[name] for name in ("own", "product")}
    assert build(parts, tau=TAU, curvature=None, lam=None, dimensions=6).names == tuple(parts)


@pytest.mark.parametrize("number", [-0.1, math.nan, math.inf])
def test_numbers_that_cannot_be_are_refused(number: float) -> None:
    for parts in (PARTS, CONTROLS):
        with pytest.raises(InputError, match="curvature: found"):
            build(parts, tau=TAU, curvature=number, lam=1, dimensions=6)
    with pytest.raises(InputError, match="weight: found .*expected a positive number"):
        build(PARTS, tau=TAU, curvature=1, lam=number, dimensions=6)
    with pytest.raises(InputError, match="tau: found .*expected a positive number"):
        Geometry([Sphere()], [1.0], number)


def test_a_geometry_needs_as_many_weights_as_spaces() -> None:
    with pytest.raises(ValueError, match="found 1 spaces, 2 weights"):
        Geometry([Sphere()], [1.0, 1.0], TAU)
    with pytest.raises(ValueError, match="found 0 spaces, 0 weights"):
        Geometry([], [], TAU)
    with pytest.raises(ValueError, match="found 1 spaces, .* 2 learn_weights"):
        Geometry([Sphere()], [1.0], TAU, learn_weights=[True, False])
    assert Geometry([Sphere(), Flat(1, 2.3)], [1.0, 1.0], TAU).names == ("0", "1")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("space", [one for one in SINGLE_SPACES if not isinstance(one, Inner)])
def test_a_point_is_as_far_from_itself_as_stated(
    space: Sphere | Flat | Ball | Power, dtype: torch.dtype
) -> None:
    geometry = Geometry([space], [1.0], 0.5)
    points = geometry.place(features(200).to(dtype))
    found = geometry.distances(points, points)
    stated = {torch.float32: 6e-8, torch.float64: 2e-16}[dtype] * (6 + 2)
    allowed = stated if geometry.is_cosine else 0.0
    assert found.diagonal().abs().max() <= allowed
    assert found.min() >= -allowed
