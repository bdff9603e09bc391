"""Spaces: where embeddings are placed, and how similar two placed points are.

A space turns features (N, D) into points, and two sets of points into similarities (N, M), larger for closer. The flat
space and the ball compute in float64 whatever the features are (see distances.py). Curvature is c > 0 everywhere:
sectional curvature -c, a ball of radius 1 / sqrt(c).

Call everything here outside autocast.
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomix.errors import InputError
from geomix.model.distances import arcosh1p, ball_distance, boundary_gap, expmap0, flat_distance, positive_curvature


class Space(Protocol):
    """What a geometry needs of a space."""

    def place(self, features: Tensor) -> Tensor:
        """Turn features (N, D) into points (N, D)."""

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare all pairs: points (N, D) and (M, D) -> (N, M), larger is closer."""

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare points that stand beside each other: (..., D) and (..., D) -> (...), from explicit differences."""

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give vectors of queries and of gallery, (N, E) each, whose inner product orders as the similarity does.

        For one query; between queries the products differ by a constant.
        """

    def radii(self, features: Tensor) -> Tensor | None:
        """Give the norms (N,) of the clipped features, or None where the space has no radius."""

    def describe(self) -> dict[str, Any]:
        """Say in plain numbers what the space became, for geometry.json; `space_from` reads it."""


class Sphere(nn.Module):
    """Cosine: points are unit vectors, similarity is their inner product, in [-1, 1].

    Source:
        Sph-ViT in Ermolov et al. 2022 (arXiv:2203.10833).
    """

    def place(self, features: Tensor) -> Tensor:
        """Divide by the norm; a zero vector stays zero."""
        return functional.normalize(features, dim=-1, eps=torch.finfo(features.dtype).tiny)

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give the cosines of all pairs, (N, M)."""
        return x @ y.T

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give the cosines of pairs, (...)."""
        return (x * y).sum(-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give the points themselves, twice."""
        return points, points

    def radii(self, features: Tensor) -> Tensor | None:
        """Give None: on a sphere no radius differs between points."""
        return None

    def describe(self) -> dict[str, Any]:
        """Say that this is the sphere."""
        return {"space": "sphere"}


class _Scaled(nn.Module):
    """Features times a scale, fixed or learned, with norms clipped to a radius.

    A learned scale is kept as its logarithm and starts at 1 / sqrt(D), as in MERU (Desai et al. 2023): the head's
    outputs have norms near sqrt(D), so without it every point of a trained network lies at the clip radius.
    """

    def __init__(self, scale: float, clip_radius: float | None, learned: bool = False) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("clip_radius", clip_radius)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name}: found {value}, expected a positive number")
        self.log_scale: Tensor
        if learned:
            self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        else:
            self.register_buffer("log_scale", torch.tensor(math.log(scale), dtype=torch.float64), persistent=False)
        self.clip_radius = clip_radius

    def _clip(self, features: Tensor) -> Tensor:
        """Scale in float64 and clip: min(1, r / |z|) z, (N, D)."""
        scaled = features.double() * self.log_scale.double().exp()
        if self.clip_radius is None:
            return scaled
        norms = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
        return scaled * (self.clip_radius / norms.clamp_min(1e-300)).clamp_max(1.0)

    def radii(self, features: Tensor) -> Tensor:
        """Give the norms of the scaled and clipped features, (N,), in [0, clip_radius]."""
        return torch.linalg.vector_norm(self._clip(features), dim=-1)

    def describe(self) -> dict[str, Any]:
        """Give scale and clip radius."""
        return {"scale": math.exp(float(self.log_scale.detach())), "clip_radius": self.clip_radius}


class Flat(_Scaled):
    """Minus twice the Euclidean distance: the ball's limit for curvature 0, with the same scale and clip.

    The control that tells curvature from kernel: near the origin the metric of the ball is 4 |dx|^2, hence the 2.
    """

    def place(self, features: Tensor) -> Tensor:
        """Give the scaled and clipped features, float64, (N, D)."""
        return self._clip(features)

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give -2 |x - y| for all pairs, float64, (N, M)."""
        return -flat_distance(x, y)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give -2 |x - y| for pairs, (...)."""
        return -2 * torch.linalg.vector_norm(x - y, dim=-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give (1, x) and (-|y|^2 / 2, y): their product is (|x|^2 - |x - y|^2) / 2."""
        halves = points.square().sum(-1, keepdim=True) / 2
        return torch.cat([torch.ones_like(halves), points], -1), torch.cat([-halves, points], -1)

    def describe(self) -> dict[str, Any]:
        """Say what the space became."""
        return {"space": "flat", **super().describe()}


class Ball(_Scaled):
    """Minus the distance in the Poincare ball of features mapped there from the origin's tangent space.

        expmap0(v) = tanh(sqrt(c) |v|) v / (sqrt(c) |v|),  v = clip(scale * features)

    Points are float64: their distance to the boundary, 1 - c |x|^2, keeps 8 digits up to sqrt(c) |v| = 9.

    Raises:
        InputError: On c <= 0; the limit c = 0 is `Flat`.

    Source:
        Hyp-ViT, Ermolov et al. 2022 (arXiv:2203.10833), eqs. 1-5; without their projection.
    """

    def __init__(self, curvature: float, scale: float, clip_radius: float | None, learned: bool = False) -> None:
        super().__init__(scale, clip_radius, learned)
        self.curvature = positive_curvature(curvature)

    def place(self, features: Tensor) -> Tensor:
        """Map scaled and clipped features into the ball, float64, (N, D), norms below 1 / sqrt(c)."""
        return expmap0(self._clip(features), self.curvature)

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give minus the distance for all pairs, float64, (N, M)."""
        return -ball_distance(x, y, self.curvature)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give minus the distance of pairs, (...)."""
        c = self.curvature
        gap = (x - y).square().sum(-1)
        a = 2 * c * gap / (boundary_gap(x, c) * boundary_gap(y, c))
        return -arcosh1p(a) / math.sqrt(c)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give coordinates on the hyperboloid: queries (-x0, x), gallery (y0 - 1 / sqrt(c), y).

        The product is a constant of the query less cosh(sqrt(c) d) / c. Taking 1 / sqrt(c) off the gallery's time
        coordinate keeps float32 from losing the order near the origin.
        """
        c = self.curvature
        squares = points.square().sum(-1, keepdim=True)
        gap = boundary_gap(points, c).unsqueeze(-1)
        space = 2 * points / gap
        time = (1 + c * squares) / (gap * math.sqrt(c))
        return torch.cat([-time, space], -1), torch.cat([2 * math.sqrt(c) * squares / gap, space], -1)

    def describe(self) -> dict[str, Any]:
        """Say what the space became."""
        return {"space": "ball", "curvature": self.curvature, **super().describe()}


def space_from(description: dict[str, Any]) -> Space:
    """Build a space from what `describe` said of it."""
    kinds: dict[str, type[Sphere | Flat | Ball]] = {"sphere": Sphere, "flat": Flat, "ball": Ball}
    settings = {key: value for key, value in description.items() if key != "space"}
    return kinds[description["space"]](**settings)
