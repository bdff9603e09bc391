"""Kinds: a curvature alone does not make a geometry curved, and free norms are not a distance."""

import math

import pandas as pd
import pytest

from geomix.config.stages import PageParams
from geomix.report.kinds import add_kinds, mark_curved, name_kind

FREE = {"radius_mean": 2.0, "radius_sd": 0.2, "clipped_share": 0.0}
ONE = {"radius_mean": 2.3, "radius_sd": 0.0, "clipped_share": 1.0}
NONE = dict.fromkeys(FREE, math.nan)


@pytest.mark.parametrize(
    ("geometry", "curved", "relative", "radii", "kind"),
    [
        ("euclidean", False, math.nan, NONE, "cosine"),
        ("power", True, math.nan, NONE, "power"),
        ("chord", False, math.nan, ONE, "chord"),
        ("flat", False, math.nan, ONE, "chord"),  # clipped
        ("flat", False, math.nan, FREE, "flat"),
        ("dot", False, math.nan, FREE, "inner"),
        ("dot", False, math.nan, ONE, "inner"),
        ("hybrid_flat", False, math.nan, FREE, "flat"),
        ("hyperbolic", True, 0.7, ONE, "curved"),
        ("hyperbolic_free", True, 0.7, FREE, "curved"),
        ("hyperbolic_free", False, math.nan, FREE, "flat"),  # at curvature 0
        ("hybrid_free", True, 0.7, FREE, "curved"),
        ("unheard_of", False, math.nan, FREE, "uncurved"),
        ("unheard_of", False, math.nan, NONE, "cosine"),
    ],
)
def test_a_geometry_is_what_its_spaces_and_its_points_show(
    params: PageParams,
    geometry: str,
    curved: bool,
    relative: float,
    radii: dict[str, float],
    kind: str,
) -> None:
    row = {"geometry": geometry, "curved": curved, "radius_relative": relative, "bend": math.nan}
    rows = mark_curved(pd.DataFrame([row | radii]))
    (found,) = add_kinds(rows, params.geometry).to_dict("records")
    assert found["kind"] == kind
    assert bool(found["curved"]) == (kind == "curved")


def test_a_hybrid_of_cosine_and_kernel_is_not_curved() -> None:
    row = {"curved": 0.0, "kernel": True, "radius_mean": math.nan, "fixed": True}
    assert name_kind(row, None) == "power"


@pytest.mark.parametrize(
    ("clipped", "radius_sd", "bend", "use"),
    [
        (1.0, 0.0, 0.3, "forced"),  # a kernel bends too
        (0.9995, 0.001, 0.3, "forced"),
        (0.5, 0.2, 0.3, "used"),
        (0.0, 0.0, 0.3, "forced"),  # unit vectors
        (0.0, 0.2, 0.049, "unused"),
    ],
)
def test_curvature_is_forced_unused_or_used(
    clipped: float, radius_sd: float, bend: float, use: str
) -> None:
    row = {"geometry": "ball", "curved": 1.0, "clipped_share": clipped, "radius_sd": radius_sd}
    row |= {"radius_mean": 2.0, "radius_relative": 1.0, "bend": bend}
    (found,) = add_kinds(mark_curved(pd.DataFrame([row])), {}).to_dict("records")
    assert found["use"] == use
