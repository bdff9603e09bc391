"""How exact distances are in the logits: the largest relative error against explicit differences in float64."""

import math

import torch
from torch import Tensor

from bench import inputs, released
from bench.inputs import RADIUS
from bench.measure import DEFINITION, Row

CURVATURES = (0.1, 1.0, 3.0)
NEAR = (
    1.1e-3,
    1.1e-2,
)  # true distances of the constructed pairs, about; float32 embeddings leave some percent open
BANDS = ((1e-3, 2e-3), (2e-3, 2e-2), (2e-2, math.inf))


def ball_point(z: Tensor, curvature: float) -> tuple[Tensor, Tensor]:
    """Clip embeddings (..., D), float64, and map them into the ball; give the points and 1 - c |x|^2, which never rounds."""
    norms = z.norm(dim=-1, keepdim=True)
    t = math.sqrt(curvature) * norms.clamp_max(RADIUS)
    return z / norms * t.tanh() / math.sqrt(curvature), 1 / t.cosh().square().squeeze(-1)


def exact_distance(x: Tensor, y: Tensor, curvature: float) -> Tensor:
    """Give the distance of embeddings that stand beside each other, (..., D) -> (...), from explicit differences."""
    (a, room_a), (b, room_b) = ball_point(x, curvature), ball_point(y, curvature)
    gap = 2 * curvature * (a - b).square().sum(-1) / (room_a * room_b)
    return torch.log1p(gap + (gap * (gap + 2)).sqrt()) / math.sqrt(curvature)


def draw_pairs(count: int, curvature: float) -> tuple[Tensor, Tensor]:
    """Draw embeddings within and beyond the clip radius, and near copies of them, float32, (N, 128) and (3 N, 128)."""
    random = torch.Generator().manual_seed(4)
    x = torch.randn(count, 128, generator=random, dtype=torch.float64)
    x = (
        x
        / x.norm(dim=1, keepdim=True)
        * torch.linspace(0.05, 1.5 * RADIUS, count, dtype=torch.float64).unsqueeze(1)
    )
    x = x.float().double()
    copies = [torch.randn(count, 128, generator=random, dtype=torch.float64) / 8]
    for target in NEAR:
        step = torch.randn(count, 128, generator=random, dtype=torch.float64) * 1e-6
        for _ in range(3):  # distance is nearly linear in so small a step
            step = step * (target / exact_distance(x, x + step, curvature)).unsqueeze(1)
        copies.append(x + step)
    return x.float(), torch.cat(copies).float()


def accuracy_rows(quick: bool) -> list[Row]:
    """Give a row for each curvature, band of distances and implementation: the largest relative error, and of how many pairs."""
    rows = []
    for curvature in CURVATURES:
        x, y = draw_pairs(8 if quick else 200, curvature)
        exact = torch.stack([exact_distance(one.double(), y.double(), curvature) for one in x])
        geometry = inputs.hyperbolic(curvature=curvature)
        with torch.no_grad():
            logits = geometry.logits(geometry.place(x), geometry.place(y)).double()
            a, b = (released.expmap0(released.clip(z, RADIUS), curvature) for z in (x, y))
            found = {
                "geomix": -geometry.tau * logits,
                "released formula": released.distances(a, b, curvature).double(),
            }
        for low, high in BANDS:
            inside = (exact >= low) & (exact < high)
            case = f"c = {curvature:g}, d from {low:g}" + (
                f" to {high:g}" if high < math.inf else ""
            )
            for name, distances in found.items():
                row: Row = {
                    "table": "accuracy",
                    "case": case,
                    "implementation": name,
                    "baseline": DEFINITION,
                }
                error = ((distances - exact).abs() / exact)[inside].max()
                rows.append(row | {"difference": float(error), "pairs": int(inside.sum())})
    return rows
