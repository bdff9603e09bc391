"""A geometry is a weighted sum of spaces over one temperature: logits(x, y) = sum_k weight_k * similarity_k(x, y) / tau.

Nothing outside this file and spaces.py asks which space it is in.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.model.spaces import Ball, Flat, Space, Sphere, space_from

Points = list[Tensor]  # one tensor (N, D) for each space
CLIPPED = 1 - 1e-6  # share of the clip radius from which a point counts as clipped


class Geometry(nn.Module):
    """Spaces with weights, and a temperature."""

    def __init__(self, spaces: Sequence[Space], weights: Sequence[float], tau: float) -> None:
        """Build a geometry.

        Args:
            spaces: K spaces.
            weights: K positive weights.
            tau: Temperature, positive.

        Raises:
            InputError: If there is no space, or a number is not positive.
        """
        super().__init__()
        if not spaces or len(spaces) != len(weights):
            raise InputError(f"geometry: found {len(spaces)} spaces and {len(weights)} weights, expected as many, at least 1")
        for name, value in (("tau", tau), *(("weight", weight) for weight in weights)):
            if not 0 < value < math.inf:
                raise InputError(f"geometry: {name}: found {value}, expected a positive number")
        self.spaces = nn.ModuleList(cast(Sequence[nn.Module], spaces))
        self.weights = tuple(float(weight) for weight in weights)
        self.tau = float(tau)

    @property
    def parts(self) -> list[tuple[Space, float]]:
        """Give the spaces with their weights."""
        return list(zip(cast(list[Space], list(self.spaces)), self.weights, strict=True))

    def place(self, features: Tensor) -> Points:
        """Place features (N, D) in every space."""
        return [space.place(features) for space, _ in self.parts]

    def similarity(self, x: Points, y: Points) -> Tensor:
        """Sum the weighted similarities of all pairs, (N, M), larger is closer; float64 where a space computes so."""
        terms = [weight * space.similarity(a, b) for (space, weight), a, b in zip(self.parts, x, y, strict=True)]
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]

    def paired_similarity(self, x: Points, y: Points) -> Tensor:
        """Sum the weighted similarities of points side by side, (...)."""
        terms = [weight * space.paired_similarity(a, b) for (space, weight), a, b in zip(self.parts, x, y, strict=True)]
        return torch.stack(terms).sum(0)

    def logits(self, x: Points, y: Points) -> Tensor:
        """Give similarities over temperature, (N, M), float32."""
        return (self.similarity(x, y) / self.tau).float()

    def radii(self, features: Tensor) -> Tensor | None:
        """Give the norms (N,) of the clipped features in the first space that has a radius, or None."""
        return next((radii for space, _ in self.parts if (radii := space.radii(features)) is not None), None)

    @property
    def clip_radius(self) -> float | None:
        """Give the clip radius of that space, or None where it clips nothing or there is no such space."""
        return next((part["clip_radius"] for part in self.describe()["spaces"] if "clip_radius" in part), None)

    def describe(self) -> dict[str, Any]:
        """Say in plain numbers what the geometry became, for geometry.json; `geometry_from` reads it."""
        return {"tau": self.tau, "spaces": [{"weight": weight, **space.describe()} for space, weight in self.parts]}


def cosine() -> Geometry:
    """Give plain cosine, the yardstick beside each geometry's own similarity."""
    return Geometry([Sphere()], [1.0], 1.0)


def build_geometry(
    parts: Mapping[str, Mapping[str, Any]], *, tau: float, curvature: float | None, lam: float | None, dimensions: int
) -> Geometry:
    """Build a geometry as params.yaml describes it.

    Args:
        parts: An entry of section `geometry`: by name the space, weight, scale and clip radius of each part.
        tau: Temperature.
        curvature: c >= 0 of the balls; at 0 a ball becomes its limit, the flat space. None where there is no ball.
        lam: What the weight `lam` stands for. None where no weight is `lam`.
        dimensions: D of the embeddings; a learned scale starts at 1 / sqrt(D).

    Raises:
        InputError: If a number is missing or out of range.
    """
    if curvature is None and any(part["space"] == "ball" for part in parts.values()):
        raise InputError("geometry: found no curvature, expected one for a ball (--curvature)")
    if lam is None and any(part["weight"] == "lam" for part in parts.values()):
        raise InputError("geometry: found no lam, expected one for a weight lam (--lam)")
    spaces: list[Space] = []
    for part in parts.values():
        if part["space"] == "sphere":
            spaces.append(Sphere())
            continue
        learned = part["scale"] == "learned"
        scale = 1 / math.sqrt(dimensions) if learned else part["scale"]
        if part["space"] == "flat" or not curvature:
            spaces.append(Flat(scale, part["clip_radius"], learned))
        else:
            spaces.append(Ball(curvature, scale, part["clip_radius"], learned))
    weights = [lam or 0.0 if part["weight"] == "lam" else part["weight"] for part in parts.values()]
    return Geometry(spaces, weights, tau)


def geometry_from(description: Mapping[str, Any]) -> Geometry:
    """Build a geometry from what `Geometry.describe` said of it: all numbers fixed."""
    parts = description["spaces"]
    spaces = [space_from({key: value for key, value in part.items() if key != "weight"}) for part in parts]
    return Geometry(spaces, [part["weight"] for part in parts], description["tau"])


def describe_radii(radii: Tensor | None, clip_radius: float | None) -> dict[str, float]:
    """Give the share of points at the clip radius, and mean and s.d. of the radii; NaN without a radius.

    Args:
        radii: From `Geometry.radii`, (N,).
        clip_radius: From `Geometry.clip_radius`.
    """
    if radii is None:
        return {"clipped_share": math.nan, "radius_mean": math.nan, "radius_sd": math.nan}
    return {
        "clipped_share": float((radii >= CLIPPED * (clip_radius or math.inf)).double().mean()),
        "radius_mean": float(radii.mean()),
        "radius_sd": float(radii.std(correction=0)),
    }
