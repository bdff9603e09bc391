"""Spaces: where embeddings are placed, and how similar two placed points are.

A space turns features (N, D) into points, and two sets of points into similarities (N, M), larger
for closer. Features may be of any floating type. Points of the sphere are unit vectors; points of
the flat space and of the ball are the scaled and
clipped features themselves, float64: tangent vectors at the origin (see distances.py). Curvature is
c > 0 everywhere: sectional curvature -c, a ball of radius 1 / sqrt(c).
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from geomix.geometry.tangent import Ball, Flat, unit


class Space(Protocol):
    """What a geometry needs of a space."""

    def place(self, features: Tensor) -> Tensor:
        """Turn features (N, D) into points (N, D)."""

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
        onto: Tensor | None = None,
    ) -> Tensor:
        """Compare all pairs: points (N, D) and (M, D) -> (N, M) of a dtype, larger is closer, times
        a factor.

        With `onto` the result is added to that tensor, in place and without gradient.
        """

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare points that stand beside each other: (..., D) and (..., D) -> (...), from explicit differences."""

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give vectors of queries and of gallery, (N, E) each, whose inner product orders as the
        similarity does.

        For one query; between queries the products differ by a constant.
        """

    def resolution(self, points: Tensor) -> float:
        """Bound the error of a similarity in float32 between such points."""

    def lowest(self) -> float:
        """Give the lowest similarity that there can be, minus infinity without a bound."""

    def radii(self, points: Tensor) -> Tensor | None:
        """Give the radii (N,) of points, or None where the space has none."""

    def learned(self) -> dict[str, float]:
        """Give by name the quantities that training changes."""

    def keep_in_range(self) -> None:
        """Bring what training changes back into its range; call it after each step."""

    def describe(self) -> dict[str, Any]:
        """Say in plain numbers what the space became, for geometry.json; `space_from` reads it."""


class Sphere(nn.Module):
    """Cosine: points are unit vectors, similarity is their inner product, in [-1, 1].

    Accuracy:
        Within 1e-16 (D + 2) of float64 features and a result in float64; within 6e-8 (D + 2) else,
        in float32.

    Source:
        Sph-ViT in Ermolov et al. 2022 (arXiv:2203.10833).
    """

    def place(self, features: Tensor) -> Tensor:
        """Divide by the norm, in float64; a zero vector stays zero. float64 stays, all else becomes float32."""
        return unit(features.double()).to(
            features.dtype if features.dtype == torch.float64 else torch.float32
        )

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
        onto: Tensor | None = None,
    ) -> Tensor:
        """Give the cosines of all pairs, (N, M), times a factor."""
        steps = torch.float32 if dtype == torch.float32 else x.dtype  # the product too
        with torch.autocast(x.device.type, enabled=False):
            if onto is not None:
                return onto.addmm_((x * factor).to(onto.dtype), y.to(onto.dtype).T)
            return ((x * factor).to(steps) @ y.to(steps).T).to(dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give the cosines of pairs, (...)."""
        return (x * y).sum(-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give the points themselves, twice."""
        return points, points

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a product of D terms, of at most 1, and of the result and its sum with others."""
        return (points.shape[1] + 6) * 2.0**-24

    def lowest(self) -> float:
        """Give -1, the cosine of opposite vectors."""
        return -1.0

    def radii(self, points: Tensor) -> Tensor | None:
        """Give None: on a sphere no radius differs between points."""
        return None

    def learned(self) -> dict[str, float]:
        """Give nothing: a sphere has no parameter."""
        return {}

    def keep_in_range(self) -> None:
        """Do nothing."""

    def describe(self) -> dict[str, Any]:
        """Say that this is the sphere."""
        return {"space": "sphere"}


def space_from(description: dict[str, Any]) -> Space:
    """Build a space from what `describe` said of it."""
    kinds: dict[str, type[Sphere | Flat | Ball]] = {"sphere": Sphere, "flat": Flat, "ball": Ball}
    settings = {key: value for key, value in description.items() if key != "space"}
    return kinds[description["space"]](**settings)
