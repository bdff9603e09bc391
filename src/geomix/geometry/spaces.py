"""Spaces: where embeddings are placed, and how similar two placed points are.

A space turns features (N, D) into points, and two sets of points into similarities (N, M), larger
for closer. Features may be of any floating type. Points of the sphere and of the power distance are
unit vectors. All others are tangent vectors at the origin (see distances.py): the features
themselves, scaled and clipped, in float64. Curvature is c > 0 everywhere: sectional curvature -c, a
ball of radius 1 / sqrt(c).
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.geometry.distances import (
    FLAT,
    HYPERBOLIC,
    POWER,
    flat_distance,
    hyperbolic_distance,
    paired_flat_distance,
    paired_hyperbolic_distance,
    paired_power_distance,
    positive_curvature,
    power_distance,
    power_scale,
)
from geomix.geometry.learned import bring_into_range, limited_ratio
from geomix.geometry.pairwise import NEAR, Kernel

STEPS = 2e-6  # relative error of a similarity that float32 steps after the product leave
FARTHEST = 170  # sqrt(c) |v|: float64 ends at 177
LONGEST = 1e18  # norms up to here have products that float32 holds, with a factor of 100


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
    ) -> Tensor:
        """Compare all pairs: points (N, D) and (M, D) -> (N, M), larger is closer.

        The result is multiplied by the factor and has the given dtype.
        """

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare points side by side: (..., D) and (..., D) -> (...), by explicit differences."""

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors whose inner product orders a gallery as the similarity does.

        Returns:
            Vectors of queries and of gallery items, (N, E) each. Between two queries the products
            differ by a constant.
        """

    def index_metric(self) -> str | None:
        """Name the metric of an ordinary index that orders embeddings, as they are, alike.

        One of cosine, Euclidean distance and inner product; None if none of them does.
        """

    def resolution(self, points: Tensor) -> float:
        """Bound the error of a similarity in float32 between such points."""

    def lowest(self) -> float:
        """Return the lowest possible similarity, minus infinity if there is no bound."""

    def radii(self, points: Tensor) -> Tensor | None:
        """Return the radii (N,) of points, or None if the space has none."""

    def learned(self) -> dict[str, float]:
        """Return by name the quantities that training changes."""

    def keep_in_range(self) -> None:
        """Bring what training changes back into its range; call it after each step."""

    def describe(self) -> dict[str, Any]:
        """Describe the space in plain numbers for geometry.json; `space_from` reads it."""


class Directions(nn.Module):
    """Unit vectors: points without radii, in a space without parameters."""

    def index_metric(self) -> str | None:
        """Return the cosine: similarities rise with it."""
        return "cosine"

    def radii(self, points: Tensor) -> Tensor | None:
        """Return None: all points have the same radius."""
        return None

    def learned(self) -> dict[str, float]:
        """Return nothing: there is no parameter."""
        return {}

    def keep_in_range(self) -> None:
        """Do nothing."""


class Sphere(Directions):
    """Cosine: points are unit vectors, similarity is their inner product, in [-1, 1].

    Accuracy:
        Within 1e-16 (D + 2) for float64 features and a float64 result; within 6e-8 (D + 2) in
        float32.

    Source:
        Sph-ViT in Ermolov et al. 2022 (arXiv:2203.10833).
    """

    def place(self, features: Tensor) -> Tensor:
        """Divide by the norm, in float64; a zero vector stays zero.

        float64 features give float64 points, all others float32.
        """
        kept = features.dtype == torch.float64
        return unit(features.double()).to(torch.float64 if kept else torch.float32)

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return the cosines of all pairs, (N, M), times a factor."""
        steps = torch.float32 if dtype == torch.float32 else x.dtype  # the product too
        with torch.autocast(x.device.type, enabled=False):
            return ((x * factor).to(steps) @ y.to(steps).T).to(dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the cosines of pairs, (...)."""
        return (x * y).sum(-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points themselves, twice."""
        return points, points

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a product of D terms of at most 1, and of its sum with others."""
        return (points.shape[1] + 6) * 2.0**-24

    def lowest(self) -> float:
        """Return -1, the cosine of opposite vectors."""
        return -1.0

    def describe(self) -> dict[str, Any]:
        """Name the space."""
        return {"space": "sphere"}


class Power(Directions):
    """Minus the Poincare distance of points at one radius: a kernel of the cosine.

        -arcosh(1 + S (1 - cos)) / sqrt(c),  S = sinh(2 sqrt(c) radius)^2

    What a ball is whose points all lie at its clip radius: the control that separates this kernel
    from radii that differ. For large S, exp(similarity / tau) is a power of the cosine's distance
    from 1, (1 - cos)^(-1 / (tau sqrt(c))) up to a factor.

    Args:
        curvature: c > 0.
        radius: Of all points, as tangent vectors at the origin.

    Raises:
        InputError: On c <= 0, or a radius that is not positive or so large that float64 cannot hold
            cosh of its distances; the limit c = 0 is `Flat` of unit vectors with scale = radius.

    Accuracy:
        See `power_distance`.
    """

    def __init__(self, curvature: float, radius: float) -> None:
        super().__init__()
        if not 0 < radius < math.inf:
            raise InputError(f"radius: found {radius}, expected a positive number")
        farthest = math.sqrt(positive_curvature(curvature)) * radius
        if farthest > FARTHEST:
            found = f"a radius of {farthest:.3g} radii of curvature"
            raise InputError(f"power: found {found}, expected at most {FARTHEST}")
        self.curvature, self.radius = curvature, radius

    def place(self, features: Tensor) -> Tensor:
        """Divide by the norm, in float64; a zero vector stays zero, 1 away from unit vectors."""
        return unit(features.double())

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return minus the distance for all pairs, (N, M), times a factor."""
        return power_distance(x, y, self.curvature, self.radius, -factor, dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return minus the distance of pairs, (...)."""
        return -paired_power_distance(x, y, self.curvature, self.radius)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of the flat space: the distance rises with |x - y|, of a zero vector too."""
        return _inner_product(points, FLAT, 1.0)

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a distance."""
        scale = power_scale(self.curvature, self.radius)
        return _rounding(points, POWER, scale, 1 / math.sqrt(self.curvature))

    def lowest(self) -> float:
        """Return minus the distance of opposite points, twice the sum of their radii."""
        return -4 * self.radius

    def describe(self) -> dict[str, Any]:
        """Describe the space in plain numbers."""
        return {"space": "power", "curvature": self.curvature, "radius": self.radius}


class TangentSpace(nn.Module):
    """Features times a scale, fixed or learned, with norms clipped to a radius.

    Args:
        scale: Factor on the features, positive; if learned, its start. It is kept as its logarithm
            and starts at 1 / sqrt(D), as in MERU (Desai et al. 2023): the head's outputs have norms
            near sqrt(D), so without it every point of a trained network lies at the clip radius.
        clip_radius: Longest norm of the scaled features, or None to clip nothing.
        learned: Whether the scale is a parameter.
        normalize: Whether features are first divided by their norms, as in HypMix: all radii are
            then equal.

    Raises:
        InputError: If a number is not positive.
    """

    unclipped_metric: str | None = None
    """The metric of an ordinary index on embeddings, which a scale does not change."""

    def __init__(
        self,
        scale: float = 1.0,
        clip_radius: float | None = None,
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
            log_scale = torch.tensor(math.log(scale), dtype=torch.float64)
            self.register_buffer("log_scale", log_scale, persistent=False)
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

    def index_metric(self) -> str | None:
        """Return the cosine where all radii are equal, and else that of unclipped embeddings."""
        if self.normalize:
            return "cosine"
        return self.unclipped_metric if self.clip_radius is None else None

    def lowest(self) -> float:
        """Return minus the distance of opposite points at the largest radius.

        It is twice the sum of their radii, in the flat space and in the ball.
        """
        return -4 * self.largest_radius()

    def largest_radius(self) -> float:
        """Return the largest possible norm of a point, infinity if there is no bound."""
        norm = float(self.log_scale.detach().exp()) if self.normalize else math.inf
        return min(norm, self.clip_radius or math.inf)

    def radii(self, points: Tensor) -> Tensor:
        """Return the norms of points, (N,), in [0, clip_radius]."""
        return torch.linalg.vector_norm(points, dim=-1)

    def learned(self) -> dict[str, float]:
        """Return the scale, if it is learned."""
        return {"scale": self._scale()} if self.log_scale.requires_grad else {}

    def keep_in_range(self) -> None:
        """Do nothing: every scale is in range."""

    def describe(self) -> dict[str, Any]:
        """Return the scale, the clip radius and whether features are normalised."""
        return {
            "scale": self._scale(),
            "clip_radius": self.clip_radius,
            "normalize": self.normalize,
        }

    def _scale(self) -> float:
        return math.exp(float(self.log_scale.detach()))


class Flat(TangentSpace):
    """Minus twice the Euclidean distance: the ball's limit for curvature 0, with the same points.

    The control that separates curvature from the kernel. The metric of the ball near the origin is
    4 |dx|^2, hence the 2.
    """

    unclipped_metric = "Euclidean distance"

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return -2 |x - y| for all pairs, (N, M), times a factor; see `flat_distance`."""
        return flat_distance(x, y, -factor, dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return -2 |x - y| for pairs, (...)."""
        return -paired_flat_distance(x, y)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return (-1, x) and (|y|^2 / 2, y): their product is (|x|^2 - |x - y|^2) / 2."""
        return _inner_product(points, FLAT, 1.0)

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a distance."""
        return _rounding(points, FLAT, 1.0, 2.0)

    def describe(self) -> dict[str, Any]:
        """Describe the space in plain numbers."""
        return {"space": "flat", **super().describe()}


class Inner(TangentSpace):
    """The inner product of points, which keep their norms.

    The control that separates curvature from free norms: the longer a point, the nearer it is to
    all points on its side of the origin, without a curved space.

    Accuracy:
        Within 1e-16 (D + 2) |x| |y|; a float32 result adds 6e-8 of itself.
    """

    unclipped_metric = "inner product"

    def place(self, features: Tensor) -> Tensor:
        """Scale and clip as in the flat space, (N, D).

        Raises:
            InputError: If a point is so long that float32 cannot hold its products.
        """
        points = super().place(features)
        longest = float(self.radii(points.detach()).max())
        if longest > LONGEST:
            expected = f"at most {LONGEST:g}: set a clip_radius or a smaller scale"
            raise InputError(f"inner: found a point of norm {longest:.3g}, expected {expected}")
        return points

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return the inner products of all pairs, (N, M), times a factor."""
        with torch.autocast(x.device.type, enabled=False):
            return ((x * factor) @ y.T).to(dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the inner products of pairs, (...)."""
        return (x * y).sum(-1)

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points themselves, twice."""
        return points, points

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a product to float32, and of its sum with others.

        The product itself is float64. float32 rounds products below 1e-37 to 0, hence the 1e-30.
        """
        longest = float(self.radii(points).max())
        return STEPS * max(1e-30, longest**2)

    def lowest(self) -> float:
        """Return the inner product of opposite points at the largest radius."""
        return -(self.largest_radius() ** 2)

    def describe(self) -> dict[str, Any]:
        """Describe the space in plain numbers."""
        return {"space": "inner", **super().describe()}


class Ball(TangentSpace):
    """Minus the Poincare distance of features, taken as tangent vectors at the origin of the ball.

        d(expmap0(x), expmap0(y)),  x, y = clip(scale * features)

    Args:
        curvature: c > 0; if learned, its start. A learned one is kept as the logarithm of its ratio
            to the start and stays within a factor of 10.
        scale: As for `TangentSpace`, as are clip_radius, learned (of the scale) and normalize.
        learn_curvature: Whether the curvature is a parameter.

    Raises:
        InputError: On c <= 0; the limit c = 0 is `Flat`.

    Source:
        Hyp-ViT, Ermolov et al. 2022 (arXiv:2203.10833), eqs. 1-5; without their projection.
    """

    def __init__(
        self,
        curvature: float,
        scale: float = 1.0,
        clip_radius: float | None = None,
        learned: bool = False,
        normalize: bool = False,
        learn_curvature: bool = False,
    ) -> None:
        super().__init__(scale, clip_radius, learned, normalize)
        self.start = positive_curvature(curvature)
        self.log_ratio = nn.Parameter(torch.zeros(())) if learn_curvature else None

    @property
    def curvature(self) -> float:
        """Return the current curvature."""
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
            expected = f"at most {FARTHEST}: set a clip_radius or a smaller scale"
            raise InputError(f"ball: found {found}, expected {expected}")
        return points

    def similarity(
        self,
        x: Tensor,
        y: Tensor,
        factor: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return minus the distance for all pairs, (N, M), times a factor.

        See `hyperbolic_distance` for its accuracy.
        """
        return hyperbolic_distance(x, y, self._curvature(), -factor, dtype)

    def paired_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return minus the distance of pairs, (...)."""
        return -paired_hyperbolic_distance(x, y, self._curvature())

    def as_inner_product(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates on the hyperboloid.

        Queries are (-cosh a, sinh(a) e), gallery items (cosh(b) - 1, sinh(b) e). The product is a
        constant of the query minus cosh(sqrt(c) d). Subtracting 1 from the gallery's time
        coordinate keeps float32 from losing the order near the origin.
        """
        return _inner_product(points, HYPERBOLIC, 2 * math.sqrt(self.curvature))

    def resolution(self, points: Tensor) -> float:
        """Bound the rounding of a distance."""
        root = math.sqrt(self.curvature)
        return _rounding(points, HYPERBOLIC, 2 * root, 1 / root)

    def learned(self) -> dict[str, float]:
        """Return the scale and the curvature, if they are learned."""
        return super().learned() | ({} if self.log_ratio is None else {"curvature": self.curvature})

    def keep_in_range(self) -> None:
        """Bring a learned curvature back within a factor of 10 of its start."""
        if self.log_ratio is not None:
            bring_into_range(self.log_ratio)

    def describe(self) -> dict[str, Any]:
        """Describe the space in plain numbers."""
        return {"space": "ball", "curvature": self.curvature, **super().describe()}


def space_from(description: dict[str, Any]) -> Space:
    """Build a space from the result of `describe`."""
    kinds: dict[str, type[Sphere | Flat | Inner | Ball | Power]] = {
        "sphere": Sphere,
        "flat": Flat,
        "inner": Inner,
        "ball": Ball,
        "power": Power,
    }
    settings = {key: value for key, value in description.items() if key != "space"}
    return kinds[description["space"]](**settings)


def unit(vectors: Tensor) -> Tensor:
    """Divide by norms, (..., D); a zero vector stays zero, and its gradient is finite."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1)


def _inner_product(points: Tensor, kernel: Kernel, scale: float) -> tuple[Tensor, Tensor]:
    """Return vectors whose product is minus the gap, up to a term that is constant for a query."""
    norms = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    height, stretch = kernel.lift(norms, points.new_tensor(scale))
    place = points * stretch
    return torch.cat([-1 - kernel.bend * height, place], -1), torch.cat([height, place], -1)


def _rounding(points: Tensor, kernel: Kernel, scale: float, factor: float) -> float:
    """Bound the error of distances between points, which are `pairwise` of scale and factor.

    A gap g from a product is off by (D + 20) eps of its largest terms, and moves the distance by
    that times its slope. The slope falls with g, and gaps below NEAR of those terms come from
    explicit differences. What the steps in float32 add is a share of the largest distance.
    """
    radius = torch.linalg.vector_norm(points, dim=-1).max()
    terms = kernel.widest(2 * scale * radius).view(1, 1)
    inverse = torch.empty_like(terms)
    kernel.measure(terms * NEAR, inverse)
    error = (points.shape[1] + 20) * 2.0**-53 * terms
    product = error * kernel.slope / inverse.clamp_min(1e-300)
    largest = kernel.unit * kernel.measure(terms, torch.empty_like(terms))
    return factor * float(product + STEPS * largest)
