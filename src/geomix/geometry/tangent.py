"""Flat space and ball: their points are tangent vectors at the origin, features scaled and clipped (see distances.py)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.geometry.distances import (
    FLAT,
    HYPERBOLIC,
    flat_distance,
    hyperbolic_distance,
    positive_curvature,
)
from geomix.geometry.learned import bring_into_range, limited_ratio
from geomix.geometry.pairwise import NEAR, Kernel

STEPS = 2e-6  # relative error of a distance that float32 steps after the product leave
FARTHEST = 170  # sqrt(c) |v|: float64 ends at 177


class TangentSpace(nn.Module):
    """Features times a scale, fixed or learned, with norms clipped to a radius.

    Args:
        scale: Factor on the features, positive; where it is learned, its start. It is kept as its
            logarithm and starts at 1 / sqrt(D), as in MERU (Desai et al. 2023): the head's outputs
            have norms near sqrt(D), so without it every point of a trained network lies at the clip
            radius.
        clip_radius: Longest norm of the scaled features, or None to clip nothing.
        learned: Whether the scale is a parameter.
        normalize: Whether features are first divided by their norms, as HypMix does: all radii are
            then equal.
    """

    def __init__(
        self,
        scale: float,
        clip_radius: float | None,
        learned: bool = False,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("clip_radius", clip_radius)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name}: found {value}, expected a positive number")
        self.log_scale: Tensor
        if learned:
            self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        else:
            self.register_buffer(
                "log_scale", torch.tensor(math.log(scale), dtype=torch.float64), persistent=False
            )
        self.clip_radius = clip_radius
        self.normalize = normalize

    def place(self, features: Tensor) -> Tensor:
        """Scale and clip in float64: min(1, r / |z|) z for z = scale * features, (N, D)."""
        features = unit(features.double()) if self.normalize else features.double()
        scale = self.log_scale.double().exp()
        if self.clip_radius is None:
            return features * scale
        norms = torch.linalg.vector_norm(features, dim=-1, keepdim=True) * scale
        return features * (scale * self.clip_radius / norms.clamp_min(self.clip_radius))

    def lowest(self) -> float:
        """Give minus the distance of opposite points at the largest radius: twice the sum of the radii in both spaces."""
        norm = float(self.log_scale.detach().exp()) if self.normalize else math.inf
        return -4 * min(norm, self.clip_radius or math.inf)

    def radii(self, points: Tensor) -> Tensor:
        """Give the norms of points, (N,), in [0, clip_radius]."""
        return torch.linalg.vector_norm(points, dim=-1)

    def learned(self) -> dict[str, float]:
        """Give the scale, if it is learned."""
        return (
            {"scale": math.exp(float(self.log_scale.detach()))}
            if self.log_scale.requires_grad
            else {}
        )

    def keep_in_range(self) -> None:
        """Do nothing: every scale will do."""

    def describe(self) -> dict[str, Any]:
        """Give scale, clip radius and whether features are normalised."""
        scale = math.exp(float(self.log_scale.detach()))
        return {"scale": scale, "clip_radius": self.clip_radius, "normalize": self.normalize}


class Flat(TangentSpace):
    """Minus twice the Euclidean distance: the ball's limit for curvature 0, with the same points.

    The control that tells curvature from kernel: near the origin the metric of the ball is 4
    |dx|^2, hence the 2.
    """

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
        onto: Tensor | None = None,
    ) -> Tensor:
        """Give -2 |x - y| for all pairs, (N, M), times a factor; accuracy as in `flat_distance`."""
        return flat_distance(x, y, -factor, dtype, onto)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give -2 |x - y| for pairs, (...)."""
        return -2 * torch.linalg.vector_norm(x - y, dim=-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give (-1, x) and (|y|^2 / 2, y): their product is (|x|^2 - |x - y|^2) / 2."""
        return _inner_product(points, FLAT, 1.0)

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a distance."""
        return _rounding(points, FLAT, 2.0)

    def describe(self) -> dict[str, Any]:
        """Say what the space became."""
        return {"space": "flat", **super().describe()}


class Ball(TangentSpace):
    """Minus the distance in the Poincare ball of features mapped there from the origin's tangent
    space.

        d(expmap0(x), expmap0(y)),  expmap0(v) = tanh(sqrt(c) |v|) v / (sqrt(c) |v|),  x, y =
        clip(scale * features)

    Args:
        curvature: c > 0; where it is learned, its start. A learned one is kept as the logarithm of
            its ratio to the start and stays within a factor of 10.
        scale: As for `Flat`, as are clip_radius, learned (of the scale) and normalize.
        learn_curvature: Whether the curvature is a parameter.

    Raises:
        InputError: On c <= 0; the limit c = 0 is `Flat`.

    Source:
        Hyp-ViT, Ermolov et al. 2022 (arXiv:2203.10833), eqs. 1-5; without their projection.
    """

    def __init__(
        self,
        curvature: float,
        scale: float,
        clip_radius: float | None,
        learned: bool = False,
        normalize: bool = False,
        learn_curvature: bool = False,
    ) -> None:
        super().__init__(scale, clip_radius, learned, normalize)
        self.start = positive_curvature(curvature)
        self.log_ratio = nn.Parameter(torch.zeros(())) if learn_curvature else None

    @property
    def curvature(self) -> float:
        """Give the curvature as it is now."""
        with torch.no_grad():
            return float(self._curvature())

    def _curvature(self) -> float | Tensor:
        if self.log_ratio is None:
            return self.start
        return self.start * limited_ratio(self.log_ratio)

    def place(self, features: Tensor) -> Tensor:
        """Scale and clip as in the flat space, (N, D).

        Raises:
            InputError: If a point lies so far out that float64 cannot hold cosh of its distances.
        """
        points = super().place(features)
        farthest = float(self.radii(points.detach()).max()) * math.sqrt(self.curvature)
        if farthest > FARTHEST:
            found = f"a point at {farthest:.3g} radii of curvature from the origin"
            raise InputError(
                f"ball: found {found}, expected at most {FARTHEST}: set a clip_radius or a smaller scale"
            )
        return points

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
        onto: Tensor | None = None,
    ) -> Tensor:
        """Give minus the distance for all pairs, (N, M), times a factor; accuracy as in `hyperbolic_distance`."""
        return hyperbolic_distance(x, y, self._curvature(), -factor, dtype, onto)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Give minus the distance of pairs, (...)."""
        curvature = self._curvature()
        root = curvature.sqrt() if isinstance(curvature, Tensor) else math.sqrt(curvature)
        gaps = HYPERBOLIC.gap(x, y, torch.as_tensor(2 * root, dtype=x.dtype, device=x.device))
        return -torch.log1p(gaps + gaps.sqrt() * (gaps + 2).sqrt()) / root

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Give coordinates on the hyperboloid: queries (-cosh a, sinh(a) e), gallery (cosh(b) - 1,
        sinh(b) e).

        The product is a constant of the query less cosh(sqrt(c) d). Taking 1 off the gallery's time
        coordinate keeps float32 from losing the order near the origin.
        """
        return _inner_product(points, HYPERBOLIC, 2 * math.sqrt(self.curvature))

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a distance."""
        return _rounding(points, HYPERBOLIC, 2 * math.sqrt(self.curvature))

    def learned(self) -> dict[str, float]:
        """Give scale and curvature, if they are learned."""
        return super().learned() | ({} if self.log_ratio is None else {"curvature": self.curvature})

    def keep_in_range(self) -> None:
        """Bring a learned curvature back within a factor of 10 of its start."""
        if self.log_ratio is not None:
            bring_into_range(self.log_ratio)

    def describe(self) -> dict[str, Any]:
        """Say what the space became."""
        return {"space": "ball", "curvature": self.curvature, **super().describe()}


def unit(vectors: Tensor) -> Tensor:
    """Divide by norms, (..., D); a zero vector stays zero, and its gradient is finite."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1)


def _inner_product(points: Tensor, kernel: Kernel, scale: float) -> tuple[Tensor, Tensor]:
    """Regroup the coordinates whose product is the gap: minus it, less the term that is constant for a query."""
    norms = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    height, stretch = kernel.lift(norms, points.new_tensor(scale))
    place = points * stretch
    return torch.cat([-1 - kernel.bend * height, place], -1), torch.cat([height, place], -1)


def _rounding(points: Tensor, kernel: Kernel, scale: float) -> float:
    """Bound the error of distances between points.

    A gap g from a product is off by (D + 20) eps of its largest terms, and moves the distance by
    that times its slope. The slope falls with g, and smaller gaps than NEAR of those terms come
    from explicit differences.
    """
    radius = torch.linalg.vector_norm(points, dim=-1).max()
    terms = kernel.widest(2 * scale * radius).view(1, 1)
    inverse = torch.empty_like(terms)
    kernel.measure(terms * NEAR, inverse)
    product = (
        (points.shape[1] + 20)
        * 2.0**-53
        * terms
        * kernel.slope
        * (2 / scale)
        / inverse.clamp_min(1e-300)
    )
    return float(product) + STEPS * float(4 * radius)
