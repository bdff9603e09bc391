"""A geometry is a weighted sum of spaces over one temperature.

    logits(x, y) = ( sum_k  weight_k * similarity_k(x, y) ) / tau

Only this file and spaces.py ask which space it is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from geomix.config import sections
from geomix.errors import InputError
from geomix.geometry.learned import Weight
from geomix.geometry.spaces import (
    Ball,
    Flat,
    Inner,
    Power,
    Space,
    Sphere,
    TangentSpace,
    space_from,
)

Points = list[Tensor]  # one tensor (N, D) for each space
Outputs = tuple[int, int]  # of the head: first, and one past the last
CLIPPED = 1 - 1e-6  # share of the clip radius from which a point counts as clipped


class Geometry(nn.Module):
    """Spaces with weights, and a temperature."""

    def __init__(
        self,
        spaces: Sequence[Space],
        weights: Sequence[float] | None = None,
        tau: float = 1.0,
        names: Sequence[str] | None = None,
        outputs: Sequence[Outputs | None] | None = None,
        learn_weights: Sequence[bool] | None = None,
    ) -> None:
        """Build a geometry.

        Args:
            spaces: K spaces.
            weights: K positive weights; of a learned one, its start. None: all are 1.
            tau: Temperature, positive.
            names: K names of the spaces for reports; None numbers them.
            outputs: For each space which of the head's outputs it uses, or None for all. With
                disjoint ones each space has a head of its own. None: all outputs for all.
            learn_weights: For each space whether its weight is a parameter, kept within a factor of
                10 of its start. The learned weight of a single space is a learned temperature.
                None: no weight is learned.

        Raises:
            InputError: If a number is not positive.
            ValueError: If there is no space, or the arguments differ in length.
        """
        super().__init__()
        weights = [1.0] * len(spaces) if weights is None else weights
        for name, value in (("tau", tau), *(("weight", weight) for weight in weights)):
            if not 0 < value < math.inf:
                raise InputError(f"geometry: {name}: found {value}, expected a positive number")
        self.spaces = nn.ModuleList(cast(Sequence[nn.Module], spaces))
        self.tau = float(tau)
        self.names = tuple(names or map(str, range(len(spaces))))
        self.outputs = tuple(outputs or [None] * len(spaces))
        learn = tuple(learn_weights or [False] * len(spaces))
        lengths = [len(part) for part in (spaces, weights, self.names, self.outputs, learn)]
        if not spaces or len(set(lengths)) > 1:
            found = "{} spaces, {} weights, {} names, {} outputs, {} learn_weights".format(*lengths)
            raise ValueError(f"geometry: found {found}, expected the same number, at least 1")
        self.weights = nn.ModuleList(map(Weight, weights, learn))

    @property
    def parts(self) -> list[tuple[Space, float]]:
        """Return the spaces with their current weights."""
        return [(space, weight.value) for space, weight in self._weighted]

    @property
    def _weighted(self) -> list[tuple[Space, Weight]]:
        return list(
            zip(
                cast(list[Space], list(self.spaces)),
                cast(list[Weight], list(self.weights)),
                strict=True,
            )
        )

    def place(self, features: Tensor) -> Points:
        """Place features (N, D), of any floating type, in every space.

        Raises:
            InputError: If they are not finite.
            ValueError: On another shape or type.
        """
        if features.ndim != 2 or not features.is_floating_point() or 0 in features.shape:
            found = f"{tuple(features.shape)} {features.dtype}"
            expected = "floating-point numbers (N, D) with N, D > 0"
            raise ValueError(f"features: found {found}, expected {expected}")
        if not torch.isfinite(features).all():
            raise InputError("features: found values that are not finite, expected finite ones")
        with torch.autocast(features.device.type, enabled=False):
            return [
                space.place(features if outputs is None else features[:, slice(*outputs)])
                for (space, _), outputs in zip(self._weighted, self.outputs, strict=True)
            ]

    def similarity(self, x: Points, y: Points, dtype: torch.dtype = torch.float64) -> Tensor:
        """Sum the weighted similarities of all pairs, (N, M), larger is closer."""
        return self._sum(x, y, 1.0, dtype)

    def distances(self, x: Points, y: Points) -> Tensor:
        """Return how far apart all pairs are, (N, M), float64, smaller is closer.

        It is minus the similarity, with 1 - cosine for a cosine: at least 0, and 0 for a point and
        itself, unless a space is an inner product. Passing x itself as y about halves the work,
        but of cosines and inner products.

        Accuracy:
            1 - cosine is within 6e-8 (D + 2) for float32 features, within 2e-16 (D + 2) for float64
            ones: that of a point and itself may be so far from 0, and negative.
        """
        return self.closest - self.similarity(x, y)

    def logits(self, x: Points, y: Points) -> Tensor:
        """Return similarities over temperature, (N, M), float32.

        Passing x itself as y about halves the work, but of cosines and inner products.

        Accuracy:
            A distance is within 2e-5 of float64, relatively, however near the points; see
            `hyperbolic_distance`. A cosine is within 6e-8 (D + 2), an inner product within 6e-8 of
            itself and 1e-16 (D + 2) |x| |y|. All hold inside autocast too.
        """
        return self._sum(x, y, 1 / self.tau, torch.float32)

    def _sum(self, x: Points, y: Points, factor: float, dtype: torch.dtype) -> Tensor:
        parts = zip(self._weighted, x, y, strict=True)
        terms = (
            weight.trace(space.similarity(a, b, weight.value * factor, dtype))
            for (space, weight), a, b in parts
        )
        total = next(terms)
        for term in terms:
            total = total + term
        return total

    def paired_similarity(self, x: Points, y: Points) -> Tensor:
        """Sum the weighted similarities of points side by side, (...)."""
        parts = zip(self._weighted, x, y, strict=True)
        terms = [
            weight.trace(weight.value * space.paired_similarity(a, b))
            for (space, weight), a, b in parts
        ]
        return torch.stack(terms).sum(0)

    def radii(self, points: Points) -> Tensor | None:
        """Return the radii (N,) of points in the first space that has radii, or None."""
        found = (
            space.radii(placed) for (space, _), placed in zip(self._weighted, points, strict=True)
        )
        return next((radii for radii in found if radii is not None), None)

    @property
    def clip_radius(self) -> float | None:
        """Return the clip radius of that space; None if it clips nothing or there is none."""
        spaces = (space for space, _ in self._weighted if isinstance(space, TangentSpace))
        return next((space.clip_radius for space in spaces), None)

    @property
    def lowest_logit(self) -> float:
        """Return the lowest possible logit, minus infinity if there is no bound."""
        return sum(weight * space.lowest() for space, weight in self.parts) / self.tau

    @property
    def closest(self) -> float:
        """Return what `distances` counts similarities from: the weight of the cosines."""
        return sum(weight for space, weight in self.parts if isinstance(space, Sphere))

    @property
    def is_distance(self) -> bool:
        """Return whether the similarity is minus a distance, or a sum of distances."""
        return all(isinstance(space, (Flat, Ball, Power)) for space in self.spaces)

    @property
    def is_cosine(self) -> bool:
        """Return whether this is the cosine alone."""
        return len(self.spaces) == 1 and isinstance(self.spaces[0], Sphere)

    def learned(self) -> dict[str, float]:
        """Return what training changes, as `<name of the space>.<quantity>`."""
        return {
            f"{name}.{quantity}": value
            for name, (space, weight) in zip(self.names, self._weighted, strict=True)
            for quantity, value in (space.learned() | weight.learned()).items()
        }

    def keep_in_range(self) -> None:
        """Bring what training changes back into its range; call it after each step."""
        for space, weight in self._weighted:
            space.keep_in_range()
            weight.keep_in_range()

    def describe(self) -> dict[str, Any]:
        """Describe the geometry in plain numbers for geometry.json; `geometry_from` reads it."""
        spaces = []
        for name, (space, weight), outputs in zip(
            self.names, self.parts, self.outputs, strict=True
        ):
            described = {"name": name, "weight": weight, **space.describe()}
            spaces.append(described | ({"outputs": list(outputs)} if outputs else {}))
        return {"tau": self.tau, "spaces": spaces}


def cosine() -> Geometry:
    """Return the plain cosine, the yardstick beside each geometry's own similarity."""
    return Geometry([Sphere()], [1.0], 1.0)


def build_geometry(
    parts: Mapping[str, sections.Space],
    *,
    tau: float,
    curvature: float | None,
    lam: float | None,
    dimensions: int,
) -> Geometry:
    """Build a geometry from its entry of section `geometry`.

    Args:
        parts: The spaces by name.
        tau: Temperature.
        curvature: c >= 0 of balls and power distances without one of their own; at 0 such a space
            becomes its limit, the flat space. None if there is no such space.
        lam: The value of the weight `lam`. None if no weight is `lam`.
        dimensions: D of the embeddings; a learned scale starts at 1 / sqrt(outputs of the space),
            and one that is given as a radius is radius / sqrt(outputs of the space).

    Raises:
        InputError: If a number is missing or out of range.
    """
    outputs = [_outputs_of(name, part, dimensions) for name, part in parts.items()]
    spaces: list[Space] = []
    weights: list[float] = []
    for part, own in zip(parts.values(), outputs, strict=True):
        spaces.append(_build_space(part, curvature, own[1] - own[0] if own else dimensions))
        weight = lam if part.weight == "lam" else part.weight
        if weight is None:
            raise InputError("geometry: found no lam, expected one for a weight lam (--lam)")
        weights.append(weight)
    learned = [part.learn_weight for part in parts.values()]
    return Geometry(spaces, weights, tau, list(parts), outputs, learned)


def _outputs_of(name: str, part: sections.Space, dimensions: int) -> Outputs | None:
    if part.outputs is None:
        return None
    start, stop = part.outputs.start, part.outputs.stop
    if not 0 <= start < stop <= dimensions:
        expected = f"some of the {dimensions} of head.outputs"
        raise InputError(f"geometry: {name}.outputs: found {start} to {stop}, expected {expected}")
    return start, stop


def _build_space(part: sections.Space, curvature: float | None, dimensions: int) -> Space:
    if isinstance(part, sections.Sphere):
        return Sphere()
    if isinstance(part, sections.Power):
        bend = _curvature_of(part, curvature)
        return Power(bend, part.radius) if bend else Flat(part.radius, None, normalize=True)
    scale = _scale_of(part.scale, dimensions)
    scaling = (scale, part.clip_radius, part.scale == "learned", part.normalize)
    if isinstance(part, sections.Inner):
        return Inner(*scaling)
    if isinstance(part, sections.Ball):
        bend = _curvature_of(part, curvature)
        if bend:
            return Ball(bend, *scaling, part.learn_curvature)
    return Flat(*scaling)


def _scale_of(scale: float | str | sections.Radius, dimensions: int) -> float:
    """Return the factor on embeddings, of a learned one its start."""
    if isinstance(scale, int | float):
        return scale
    # outputs of variance 1 have a norm near the root of their number
    radius = scale.radius if isinstance(scale, sections.Radius) else 1
    return radius / math.sqrt(dimensions)


def _curvature_of(part: sections.Ball | sections.Power, curvature: float | None) -> float:
    """Return the curvature of a part: its own, else that of the cell."""
    bend = curvature if part.curvature is None else part.curvature
    if bend is None:
        expected = f"one for space {part.space} (--curvature)"
        raise InputError(f"geometry: found no curvature, expected {expected}")
    return bend


def geometry_from(description: Mapping[str, Any]) -> Geometry:
    """Build a geometry from the result of `Geometry.describe`: all numbers are fixed."""
    parts = description["spaces"]
    others = ("name", "weight", "outputs")
    return Geometry(
        [
            space_from({key: value for key, value in part.items() if key not in others})
            for part in parts
        ],
        [part["weight"] for part in parts],
        description["tau"],
        [part["name"] for part in parts],
        [tuple(part["outputs"]) if "outputs" in part else None for part in parts],
    )


def describe_radii(radii: Tensor | None, clip_radius: float | None) -> dict[str, float]:
    """Return the share of points at the clip radius, and mean and s.d. of the radii.

    All three are NaN without radii.

    Args:
        radii: From `Geometry.radii`, (N,).
        clip_radius: From `Geometry.clip_radius`.
    """
    if radii is None:
        return dict.fromkeys(("clipped_share", "radius_mean", "radius_sd"), math.nan)
    return {
        "clipped_share": float((radii >= CLIPPED * (clip_radius or math.inf)).double().mean()),
        "radius_mean": float(radii.mean()),
        "radius_sd": float(radii.std(correction=0)),
    }
