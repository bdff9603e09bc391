"""A geometry is a weighted sum of spaces over one temperature: logits(x, y) = sum_k weight_k *
similarity_k(x, y) / tau.

Nothing outside this file and spaces.py asks which space it is in.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.geometry.learned import Weight
from geomix.geometry.spaces import Space, Sphere, space_from
from geomix.geometry.tangent import Ball, Flat

Points = list[Tensor]  # one tensor (N, D) for each space
Columns = tuple[int, int]  # of the features, from the first to before the last
CLIPPED = 1 - 1e-6  # share of the clip radius from which a point counts as clipped


class Geometry(nn.Module):
    """Spaces with weights, and a temperature."""

    def __init__(
        self,
        spaces: Sequence[Space],
        weights: Sequence[float],
        tau: float,
        names: Sequence[str] | None = None,
        columns: Sequence[Columns | None] | None = None,
        learn_weights: Sequence[bool] | None = None,
    ) -> None:
        """Build a geometry.

        Args:
            spaces: K spaces.
            weights: K positive weights; of a learned one, its start.
            tau: Temperature, positive.
            names: K names of the spaces, for what is said of them; their numbers where there are
                none.
            columns: For each space which of the features are its own, or None for all: a head for
                each space where the columns are apart. None: all for all.
            learn_weights: For each space whether its weight is a parameter, kept within a factor of
                10 of its start. With one space alone it is a learned temperature. None: no weight
                is.

        Raises:
            InputError: If there is no space, or a number is not positive.
        """
        super().__init__()
        if not spaces or len(spaces) != len(weights):
            raise InputError(
                f"geometry: found {len(spaces)} spaces and {len(weights)} weights, expected as many, at least 1"
            )
        for name, value in (("tau", tau), *(("weight", weight) for weight in weights)):
            if not 0 < value < math.inf:
                raise InputError(f"geometry: {name}: found {value}, expected a positive number")
        self.spaces = nn.ModuleList(cast(Sequence[nn.Module], spaces))
        self.tau = float(tau)
        self.names = tuple(names or (str(number) for number in range(len(spaces))))
        self.columns = tuple(columns or [None] * len(spaces))
        learn = tuple(learn_weights or [False] * len(spaces))
        for what, given in (
            ("names", self.names),
            ("columns", self.columns),
            ("learn_weights", learn),
        ):
            if len(given) != len(spaces):
                raise InputError(
                    f"geometry: found {len(given)} {what} for {len(spaces)} spaces, expected as many"
                )
        self.weights = nn.ModuleList(
            Weight(weight, learned) for weight, learned in zip(weights, learn, strict=True)
        )

    @property
    def parts(self) -> list[tuple[Space, float]]:
        """Give the spaces with their weights as they are now."""
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
            InputError: If they are not finite numbers of shape (N, D).
        """
        if features.ndim != 2 or not features.is_floating_point() or 0 in features.shape:
            found = f"{tuple(features.shape)} {features.dtype}"
            raise InputError(
                f"features: found {found}, expected floating-point numbers (N, D) with N, D > 0"
            )
        if not torch.isfinite(features).all():
            raise InputError("features: found values that are not finite, expected finite ones")
        with torch.autocast(features.device.type, enabled=False):
            return [
                space.place(features if own is None else features[:, slice(*own)])
                for (space, _), own in zip(self._weighted, self.columns, strict=True)
            ]

    def similarity(self, x: Points, y: Points, dtype: torch.dtype = torch.float64) -> Tensor:
        """Sum the weighted similarities of all pairs, (N, M) of a dtype, larger is closer."""
        return self._sum(x, y, 1.0, dtype)

    @torch.no_grad()
    def write_similarity(self, x: Points, y: Points, out: Tensor) -> Tensor:
        """Write the similarities of all pairs into a tensor (N, M), in steps of its type and with no other of its size."""
        out.zero_()
        for (space, weight), a, b in zip(self.parts, x, y, strict=True):
            space.similarity(a, b, weight, out.dtype, out)
        return out

    def logits(self, x: Points, y: Points) -> Tensor:
        """Give similarities over temperature, (N, M), float32. The same object as x for y costs
        half.

        Accuracy:
            A distance is relatively within 2e-5 of float64's, however near the points; see
            `hyperbolic_distance`. A cosine is within 6e-8 (D + 2). Both hold inside autocast too.
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
        """Give the radii (N,) of points in the first space that has radii, or None."""
        found = (
            space.radii(placed) for (space, _), placed in zip(self._weighted, points, strict=True)
        )
        return next((radii for radii in found if radii is not None), None)

    @property
    def clip_radius(self) -> float | None:
        """Give the clip radius of that space, or None where it clips nothing or there is no such space."""
        return next(
            (part["clip_radius"] for part in self.describe()["spaces"] if "clip_radius" in part),
            None,
        )

    @property
    def lowest_logit(self) -> float:
        """Give the lowest logit that there can be, minus infinity without a bound."""
        return sum(weight * space.lowest() for space, weight in self.parts) / self.tau

    @property
    def is_cosine(self) -> bool:
        """Say whether this is the cosine alone."""
        return len(self.spaces) == 1 and isinstance(self.spaces[0], Sphere)

    def learned(self) -> dict[str, float]:
        """Give what training changes, as `<name of the space>.<quantity>`."""
        parts = zip(self.names, self._weighted, strict=True)
        found = ((name, space.learned() | weight.learned()) for name, (space, weight) in parts)
        return {
            f"{name}.{quantity}": value
            for name, learned in found
            for quantity, value in learned.items()
        }

    def keep_in_range(self) -> None:
        """Bring what training changes back into its range; call it after each step."""
        for space, weight in self._weighted:
            space.keep_in_range()
            weight.keep_in_range()

    def describe(self) -> dict[str, Any]:
        """Say in plain numbers what the geometry became, for geometry.json; `geometry_from` reads it."""
        spaces = []
        for name, (space, weight), own in zip(self.names, self.parts, self.columns, strict=True):
            spaces.append(
                {"name": name, "weight": weight, **space.describe()}
                | ({"columns": list(own)} if own else {})
            )
        return {"tau": self.tau, "spaces": spaces}


def cosine() -> Geometry:
    """Give plain cosine, the yardstick beside each geometry's own similarity."""
    return Geometry([Sphere()], [1.0], 1.0)


def build_geometry(
    parts: Mapping[str, Mapping[str, Any]],
    *,
    tau: float,
    curvature: float | None,
    lam: float | None,
    dimensions: int,
) -> Geometry:
    """Build a geometry as params.yaml describes it.

    Args:
        parts: An entry of section `geometry`: by name what each part is, in the terms of
            params.yaml.
        tau: Temperature.
        curvature: c >= 0 of the balls without one of their own; at 0 such a ball becomes its limit,
            the flat space. None where there is no such ball.
        lam: What the weight `lam` stands for. None where no weight is `lam`.
        dimensions: D of the embeddings; a learned scale starts at 1 / sqrt(D), D being those of the
            space.

    Raises:
        InputError: If a number is missing or out of range.
    """
    if curvature is None and any(
        part["space"] == "ball" and part.get("curvature") is None for part in parts.values()
    ):
        raise InputError("geometry: found no curvature, expected one for a ball (--curvature)")
    if lam is None and any(part["weight"] == "lam" for part in parts.values()):
        raise InputError("geometry: found no lam, expected one for a weight lam (--lam)")
    columns = [_own_columns(name, part, dimensions) for name, part in parts.items()]
    widths = [dimensions if own is None else own[1] - own[0] for own in columns]
    spaces = [
        _build_space(part, curvature, width)
        for part, width in zip(parts.values(), widths, strict=True)
    ]
    weights = [lam or 0.0 if part["weight"] == "lam" else part["weight"] for part in parts.values()]
    learned = [part.get("learn_weight", False) for part in parts.values()]
    return Geometry(spaces, weights, tau, list(parts), columns, learned)


def _own_columns(name: str, part: Mapping[str, Any], dimensions: int) -> Columns | None:
    own = part.get("columns")
    if own is None:
        return None
    if not 0 <= own["start"] < own["stop"] <= dimensions:
        found = f"{own['start']} to {own['stop']}"
        raise InputError(
            f"geometry: {name}.columns: found {found}, expected some of the {dimensions} of head.outputs"
        )
    return own["start"], own["stop"]


def _build_space(part: Mapping[str, Any], curvature: float | None, dimensions: int) -> Space:
    if part["space"] == "sphere":
        return Sphere()
    learned = part["scale"] == "learned"
    scale = 1 / math.sqrt(dimensions) if learned else part["scale"]
    clip_radius, normalize = part["clip_radius"], part.get("normalize", False)
    own = part.get("curvature")
    bend = curvature if own is None else own
    if part["space"] == "flat" or not bend:
        return Flat(scale, clip_radius, learned, normalize)
    return Ball(bend, scale, clip_radius, learned, normalize, part.get("learn_curvature", False))


def geometry_from(description: Mapping[str, Any]) -> Geometry:
    """Build a geometry from what `Geometry.describe` said of it: all numbers fixed."""
    parts = description["spaces"]
    others = ("name", "weight", "columns")
    spaces = [
        space_from({key: value for key, value in part.items() if key not in others})
        for part in parts
    ]
    columns = [tuple(part["columns"]) if "columns" in part else None for part in parts]
    return Geometry(
        spaces,
        [part["weight"] for part in parts],
        description["tau"],
        [part["name"] for part in parts],
        columns,
    )


def describe_radii(radii: Tensor | None, clip_radius: float | None) -> dict[str, float]:
    """Give the share of points at the clip radius, and mean and s.d. of the radii; NaN without a
    radius.

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
