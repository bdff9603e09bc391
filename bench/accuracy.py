"""How exact distances in logits are, beside explicit differences in float64."""

import math

import torch
from torch import Tensor

from bench import inputs, released
from bench.inputs import RADIUS
from bench.measure import DEFINITION, Row

CURVATURES = (0.1, 1.0, 3.0)
# Distances of near pairs, about: rounding embeddings to float32 changes them by some percent.
NEAR = (1.1e-3, 1.1e-2)
BANDS = ((1e-3, 2e-3), (2e-3, 2e-2), (2e-2, math.inf))


def ball_point(z: Tensor, curvature: float) -> tuple[Tensor, Tensor]:
    """Clip embeddings (..., D), float64, and map them into the ball.

    Returns:
        The points, and 1 - c |x|^2 (...), which never rounds.
    """
    norms = z.norm(dim=-1, keepdim=True)
    t = math.sqrt(curvature) * norms.clamp_max(RADIUS)
    return z / norms * t.tanh() / math.sqrt(curvature), 1 / t.cosh().square().squeeze(-1)


def exact_distance(x: Tensor, y: Tensor, curvature: float) -> Tensor:
    """Return the distances of embeddings side by side, (..., D) -> (...)."""
    (a, room_a), (b, room_b) = ball_point(x, curvature), ball_point(y, curvature)
    gap = 2 * curvature * (a - b).square().sum(-1) / (room_a * room_b)
    return torch.log1p(gap + (gap * (gap + 2)).sqrt()) / math.sqrt(curvature)


def draw_pairs(count: int, curvature: float) -> tuple[Tensor, Tensor]:
    """Draw embeddings within and beyond the clip radius, and others both near to them and not.

    Returns:
        float32, (N, 128) and (3 N, 128).
    """
    random = torch.Generator().manual_seed(4)
    x = torch.randn(count, 128, generator=random, dtype=torch.float64)
    radii = torch.linspace(0.05, 1.5 * RADIUS, count, dtype=torch.float64).unsqueeze(1)
    x = (x / x.norm(dim=1, keepdim=True) * radii).float().double()
    others = [torch.randn(count, 128, generator=random, dtype=torch.float64) / 8]
    for target in NEAR:
        step = torch.randn(count, 128, generator=random, dtype=torch.float64) * 1e-6
        for _ in range(3):  # distance is nearly linear in so small a step
            step = step * (target / exact_distance(x, x + step, curvature)).unsqueeze(1)
        others.append(x + step)
    return x.float(), torch.cat(others).float()


def find_distances(x: Tensor, y: Tensor, curvature: float) -> dict[str, Tensor]:
    """Return all distances as each implementation computes them, float64 (N, M)."""
    geometry = inputs.hyperbolic(curvature=curvature)
    with torch.no_grad():
        logits = geometry.logits(geometry.place(x), geometry.place(y))
        a, b = (released.expmap0(released.clip(z, RADIUS), curvature) for z in (x, y))
        return {
            "geomix": -geometry.tau * logits.double(),
            "released formula": released.distances(a, b, curvature).double(),
        }


def accuracy_rows(quick: bool) -> list[Row]:
    """Return the largest relative error for each curvature, band of distances, implementation."""
    rows: list[Row] = []
    for curvature in CURVATURES:
        x, y = draw_pairs(8 if quick else 200, curvature)
        exact = torch.stack([exact_distance(one.double(), y.double(), curvature) for one in x])
        found = find_distances(x, y, curvature)
        for low, high in BANDS:
            inside = (exact >= low) & (exact < high)
            upper = "" if high == math.inf else f" to {high:g}"
            for name, distances in found.items():
                row = {
                    "table": "accuracy",
                    "case": f"c = {curvature:g}, d from {low:g}{upper}",
                    "implementation": name,
                    "baseline": DEFINITION,
                    "difference": float(((distances - exact).abs() / exact)[inside].max()),
                    "pairs": int(inside.sum()),
                }
                rows.append(row)
    return rows
