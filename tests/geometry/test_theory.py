"""What docs/theory.md says of scale, curvature and kernels, and that its tests are there."""

import math
import re

import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Flat, Power
from tests.conftest import ROOT


def draw_vectors(count: int = 9) -> Tensor:
    random = torch.Generator().manual_seed(2)
    vectors = torch.randn(count, 4, generator=random, dtype=torch.float64)
    return vectors * torch.linspace(0.2, 1.1, count, dtype=torch.float64).unsqueeze(1)


def logits(geometry: Geometry, vectors: Tensor) -> Tensor:
    points = geometry.place(vectors)
    return geometry.similarity(points, points) / geometry.tau


@pytest.mark.parametrize(("c", "tau"), [(9.0, 0.3), (4.0, 1.7)])
def test_far_out_the_kernel_is_a_power_of_one_minus_the_cosine(c: float, tau: float) -> None:
    space = Power(c, 6.0)
    points = space.place(draw_vectors())
    cosines = points @ points.T
    unlike = ~torch.eye(len(points), dtype=torch.bool)
    weights = space.similarity(points, points)[unlike] / tau
    powers = -(1 - cosines[unlike]).log() / (tau * math.sqrt(c))
    torch.testing.assert_close(weights - weights[0], powers - powers[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_a_scale_of_the_flat_distance_is_a_temperature(scale: float) -> None:
    scaled = Geometry([Flat(scale, None)], [1.0], 0.4)
    warmer = Geometry([Flat(1.0, None)], [1.0], 0.4 / scale)
    torch.testing.assert_close(logits(scaled, draw_vectors()), logits(warmer, draw_vectors()))


@pytest.mark.parametrize("c", [0.1, 7.0])
def test_curvature_is_a_scale_and_a_temperature(c: float) -> None:
    curved = Geometry([Ball(c, 1.0, None)], [1.0], 0.4)
    scaled = Geometry([Ball(1.0, math.sqrt(c), None)], [1.0], 0.4 * math.sqrt(c))
    torch.testing.assert_close(logits(curved, draw_vectors()), logits(scaled, draw_vectors()))


@pytest.mark.parametrize(("c", "radius"), [(0.1, 2.3), (1.0, 1.2)])
def test_in_a_narrow_cone_curvature_is_a_factor(c: float, radius: float) -> None:
    cone = torch.tensor([[10.0, 0, 0, 0]]).double() + 1e-4 * draw_vectors()
    curved = Geometry([Ball(c, 1.0, radius)], [1.0], 1.0)
    flat = Geometry([Flat(1.0, radius)], [1.0], 1.0)
    unlike = ~torch.eye(len(cone), dtype=torch.bool)
    ratios = (logits(curved, cone) / logits(flat, cone))[unlike]
    side = 2 * math.sqrt(c) * radius
    torch.testing.assert_close(ratios, torch.full_like(ratios, math.sinh(side) / side))


def test_the_page_of_theory_names_tests_that_there_are() -> None:
    page = (ROOT / "docs/theory.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    code = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 15
    assert not [name for name in named if f"def {name}(" not in code]
