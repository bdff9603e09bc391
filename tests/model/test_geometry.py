"""Geometries: weighted sums, one temperature, descriptions that rebuild them."""

import math
from typing import Any

import pytest
import torch

from geomix.errors import InputError
from geomix.model.geometry import Geometry, build_geometry, cosine, describe_radii, geometry_from
from geomix.model.spaces import Ball, Flat, Sphere

PARTS: dict[str, dict[str, Any]] = {
    "cosine": {"space": "sphere", "weight": 1},
    "distance": {"space": "ball", "weight": "lam", "scale": "learned", "clip_radius": 2.3},
}


def features(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_logits_are_the_weighted_sum_over_tau() -> None:
    x, y = features(5), features(3, 1)
    sphere, ball = Sphere(), Ball(0.4, 0.5, 2.3)
    geometry = Geometry([sphere, ball], [0.7, 2.0], tau=0.2)
    cosines = sphere.similarity(sphere.place(x), sphere.place(y))
    distances = -ball.similarity(ball.place(x), ball.place(y))
    found = geometry.logits(geometry.place(x), geometry.place(y))
    torch.testing.assert_close(found, ((0.7 * cosines - 2.0 * distances) / 0.2).float())
    assert found.dtype == torch.float32


def test_flat_and_hyperbolic_at_curvature_1e_6_give_the_same_logits() -> None:
    part = {"weight": 1, "scale": 1, "clip_radius": 2.3}
    x, y = 3 * features(7), 3 * features(4, 1)
    flat, curved = (
        build_geometry({"distance": part | {"space": space}}, tau=0.1, curvature=1e-6, lam=1, dimensions=6)
        for space in ("flat", "ball")
    )
    torch.testing.assert_close(
        curved.logits(curved.place(x), curved.place(y)), flat.logits(flat.place(x), flat.place(y)), rtol=1e-5, atol=0
    )


def test_curvature_zero_makes_a_ball_flat() -> None:
    geometry = build_geometry(PARTS, tau=0.1, curvature=0, lam=2, dimensions=16)
    assert [part["space"] for part in geometry.describe()["spaces"]] == ["sphere", "flat"]


def test_a_learned_scale_starts_at_one_over_root_dimensions_and_lam_is_a_weight() -> None:
    description = build_geometry(PARTS, tau=0.1, curvature=0.3, lam=2, dimensions=16).describe()
    assert description["spaces"][1]["scale"] == pytest.approx(0.25)
    assert [part["weight"] for part in description["spaces"]] == [1, 2]


def test_a_geometry_is_rebuilt_from_its_description() -> None:
    geometry = build_geometry(PARTS, tau=0.15, curvature=0.3, lam=2, dimensions=6)
    twin = geometry_from(geometry.describe())
    x = features(5)
    torch.testing.assert_close(twin.logits(twin.place(x), twin.place(x)), geometry.logits(geometry.place(x), geometry.place(x)))
    assert not list(twin.parameters())


def test_pairs_side_by_side_equal_the_matrix() -> None:
    geometry = build_geometry(PARTS, tau=0.15, curvature=0.3, lam=2, dimensions=6)
    x, y = geometry.place(features(5).double()), geometry.place(features(5, 1).double())
    torch.testing.assert_close(geometry.paired_similarity(x, y), geometry.similarity(x, y).diagonal())


def test_radii_are_described_with_the_share_that_is_clipped() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.5]])
    geometry = Geometry([Sphere(), Flat(1, 2.0)], [1, 1], 0.1)
    found = describe_radii(geometry.radii(vectors), geometry.clip_radius)
    radii = torch.tensor([2.0, 1.0, 0.5])
    assert found["clipped_share"] == pytest.approx(1 / 3)
    assert found["radius_mean"] == pytest.approx(float(radii.mean()))
    assert found["radius_sd"] == pytest.approx(float(radii.std(correction=0)))


def test_radii_are_nan_without_a_radius() -> None:
    assert all(math.isnan(value) for value in describe_radii(cosine().radii(features(3)), cosine().clip_radius).values())


def test_the_clip_radius_is_that_of_the_radii() -> None:
    geometry = Geometry([Flat(1, None), Flat(1, 2.0)], [1, 1], 0.1)
    assert geometry.clip_radius is None
    assert describe_radii(geometry.radii(features(5)), geometry.clip_radius)["clipped_share"] == 0


@pytest.mark.parametrize(
    ("given", "name"), [({"curvature": None, "lam": 1}, "curvature"), ({"curvature": 1, "lam": None}, "lam")]
)
def test_a_missing_number_is_named(given: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=f"found no {name}, expected one"):
        build_geometry(PARTS, tau=0.1, dimensions=6, **given)


@pytest.mark.parametrize("tau", [0.0, -0.1, math.nan, math.inf])
def test_tau_must_be_positive(tau: float) -> None:
    with pytest.raises(InputError, match="tau: found .*expected a positive number"):
        Geometry([Sphere()], [1.0], tau)


def test_a_geometry_needs_as_many_weights_as_spaces() -> None:
    with pytest.raises(InputError, match="found 1 spaces and 2 weights"):
        Geometry([Sphere()], [1.0, 1.0], 0.1)
