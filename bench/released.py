"""What the published systems compute, written plainly: what we compare with.

Formulas of Hyp-ViT and HypMix as their code runs them: one similarity matrix for each pair of
views, a (C, C, D) tensor for each Moebius addition, 1e-5 in its denominator and in the norm of the
clip, a projection to 0.999 of the ball, artanh clamped at 1 - 1e-5, a sum over ordered pairs of
views; search row by row. Statistics that the released loops print are left out. tests/bench
compares this file with arrays that the released code wrote.

Source:
    Ermolov et al. 2022 (arXiv:2203.10833); Yue et al. 2024 (arXiv:2404.15523).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, normalize

SMALL = 1e-5  # in denominators and norms
INSIDE = 1e-3  # of the radius, kept free by the projection
MASKED = 1e9  # taken off the logit of an anchor with itself

Points = tuple[Tensor, ...]  # of one view: a tensor (C, D) for each space


@dataclass(frozen=True)
class System:
    """How a published system places embeddings and compares points.

    Attributes:
        place: Turns embeddings (..., D) into points of each space.
        logits: Compares the points of two views, (C, D) and (C, D) of each space -> (C, C), over
            temperature.
    """

    place: Callable[[Tensor], Points]
    logits: Callable[[Points, Points], Tensor]


def clip(z: Tensor, radius: float) -> Tensor:
    """Shorten to a radius: min(1, r / (|z| + 1e-5)) z."""
    norms = z.norm(dim=-1, keepdim=True) + SMALL
    return z * (radius / norms).clamp_max(1.0)


def expmap0(v: Tensor, curvature: float) -> Tensor:
    """Map tangent vectors of the origin into the ball, then project to 0.999 of its radius."""
    root = math.sqrt(curvature)
    norms = v.norm(dim=-1, keepdim=True).clamp_min(SMALL)
    points = (root * norms).clamp(-15, 15).tanh() * v / (root * norms)
    norms = points.norm(dim=-1, keepdim=True).clamp_min(SMALL)
    longest = (1 - INSIDE) / root
    return torch.where(norms > longest, points / norms * longest, points)


def distances(x: Tensor, y: Tensor, curvature: float) -> Tensor:
    """Return 2 / sqrt(c) artanh(sqrt(c) |(-x) (+) y|) for all pairs, (N, D), (M, D) -> (N, M)."""
    x = -x
    products = x @ y.T  # (N, M)
    squares_x = x.square().sum(-1, keepdim=True)  # (N, 1)
    squares_y = y.square().sum(-1, keepdim=True).T  # (1, M)
    factors = 1 + 2 * curvature * products + curvature * squares_y
    numerator = factors.unsqueeze(2) * x.unsqueeze(1)  # (N, M, D)
    numerator = numerator + (1 - curvature * squares_x).unsqueeze(2) * y
    denominator = 1 + 2 * curvature * products + curvature**2 * squares_x * squares_y
    sums = numerator / (denominator.unsqueeze(2) + SMALL)
    root = math.sqrt(curvature)
    arguments = root * sums.norm(dim=-1)
    result: Tensor = _Artanh.apply(arguments)
    return 2 / root * result


class _Artanh(torch.autograd.Function):
    """Artanh clamped to 1 - 1e-5, whose gradient takes no notice of the clamp."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clamp(-1 + SMALL, 1 - SMALL)
        ctx.save_for_backward(x)
        return (torch.log(1 + x) - torch.log(1 - x)) * 0.5

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = grad / (1 - x.square())
        return result


def sphere(tau: float) -> System:
    """Sph-ViT: the cosine."""
    return System(lambda z: (normalize(z, dim=-1),), lambda x, y: x[0] @ y[0].T / tau)


def ball(tau: float, curvature: float, radius: float, scale: float = 1.0) -> System:
    """Hyp-ViT: minus the distance in the ball of clipped embeddings; their scale is 1."""
    return System(
        lambda z: (expmap0(clip(z * scale, radius), curvature),),
        lambda x, y: -distances(x[0], y[0], curvature) / tau,
    )


def flat(tau: float, radius: float) -> System:
    """Minus twice the Euclidean distance in the same loop.

    No system was released with it: torch.cdist is our choice.
    """
    return System(lambda z: (clip(z, radius),), lambda x, y: -2 * torch.cdist(x[0], y[0]) / tau)


def hybrid(
    tau_sphere: float,
    tau_ball: float,
    lam: float,
    curvature: float,
    radius: float,
    scale: float = 1.0,
    unit: bool = False,
) -> System:
    """HypMix: the cosine plus lam times the ball's.

    As released the ball takes unit vectors, which clip never shortens.

    Args:
        tau_sphere: Temperature of the cosine.
        tau_ball: Temperature of the ball.
        lam: Weight of the ball.
        curvature: c > 0.
        radius: Clip radius.
        scale: Factor on what the ball takes.
        unit: Whether it takes unit vectors, as released, or else the embeddings.
    """
    flank, dome = sphere(tau_sphere), ball(tau_ball, curvature, radius, scale)

    def place(z: Tensor) -> Points:
        directions = flank.place(z)
        return *directions, *dome.place(directions[0] if unit else z)

    def logits(x: Points, y: Points) -> Tensor:
        return flank.logits(x[:1], y[:1]) + lam * dome.logits(x[1:], y[1:])

    return System(place, logits)


def summed_loss(embeddings: Tensor, system: System) -> Tensor:
    """Sum the pairwise cross-entropy over the n(n-1) ordered pairs of views.

    Args:
        embeddings: As the head returns them, view by view, (n, C, D).
        system: How they are compared.

    Returns:
        Scalar, in nats; each term is a mean over C anchors.
    """
    views = list(zip(*system.place(embeddings), strict=True))
    device = embeddings.device
    itself = torch.eye(embeddings.shape[1], dtype=embeddings.dtype, device=device) * MASKED
    target = torch.arange(embeddings.shape[1], device=device)
    loss = embeddings.new_zeros(())
    for i, anchors in enumerate(views):
        for j, positives in enumerate(views):
            if i != j:
                own = system.logits(anchors, anchors) - itself
                logits = torch.cat([system.logits(anchors, positives), own], 1)  # (C, 2C)
                loss = loss + cross_entropy(logits - logits.amax(1, keepdim=True).detach(), target)
    return loss


def rank_row_by_row(points: Tensor, curvature: float, k: int, rows: int) -> Tensor:
    """Find the k nearest others of the first points.

    Distances are computed a row at a time; then comes topk over the matrix.

    Args:
        points: In the ball, (N, D).
        curvature: c > 0.
        k: Neighbours of each.
        rows: How many of the points are queries; the released code takes all N.

    Returns:
        Rows of the points, closest first, (rows, k). The first of the k + 1 found is taken for the
        query itself.
    """
    matrix = torch.empty(rows, len(points))
    for row in range(rows):
        matrix[row : row + 1] = distances(points[row : row + 1], points, curvature)
    return matrix.topk(k + 1, largest=False).indices[:, 1:]
