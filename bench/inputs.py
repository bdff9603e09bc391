"""Inputs of the benchmarks: clustered Gaussians, tables of a batch, geometries; seeds are fixed."""

import torch
from torch import Tensor

from bench import ROOT
from geomix.config.read import load
from geomix.config.stages import ProposeParams
from geomix.geometry.geometry import Geometry, build_geometry
from geomix.geometry.spaces import Ball, Flat, Sphere
from geomix.losses.table import Table

CURVATURE, RADIUS = 0.1, 2.3  # of Hyp-ViT
# Of Sph-ViT, Hyp-ViT and HypMix.
TAU_SPHERE, TAU_BALL, TAU_SPHERE_HYBRID, LAM = 0.1, 0.2, 0.05, 3.0
SPREAD = 0.3  # s.d. of the logarithm of an embedding's length


def draw_clusters(labels: Tensor, dimensions: int, noise: float, seed: int = 0) -> Tensor:
    """Draw embeddings: the centre of the class plus noise, times a length of its own.

    Args:
        labels: Classes 0, 1, ..., (N,).
        dimensions: D.
        noise: S.d. of the noise; that of the centres is 1.
        seed: Of the draw.

    Returns:
        float32, (N, D), of norm about sqrt(D (1 + noise^2)).
    """
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(int(labels.max()) + 1, dimensions, generator=random)
    embeddings = torch.randn(len(labels), dimensions, generator=random) * noise + centres[labels]
    return embeddings * (torch.randn(len(labels), 1, generator=random) * SPREAD).exp()


def draw_batch(classes: int, views: int, dimensions: int) -> Tensor:
    """Draw the embeddings of a batch, float32, (n C, D): all of view 0, all of view 1, ..."""
    return draw_clusters(torch.arange(classes).repeat(views), dimensions, noise=2.0)


def batch_table(classes: int, views: int) -> Table:
    """Return the table of such a batch."""
    label = torch.arange(classes).repeat(views)
    view = torch.arange(views).repeat_interleave(classes)
    return Table(torch.arange(classes * views), label, view)


def draw_gallery(items: int, classes: int, dimensions: int = 128) -> tuple[Tensor, Tensor]:
    """Draw embeddings (N, D), float32, and labels (N,).

    Classes are of nearly one size, in random order.
    """
    order = torch.randperm(items, generator=torch.Generator().manual_seed(1))
    labels = (torch.arange(items) % classes)[order]
    return draw_clusters(labels, dimensions, noise=2.0), labels


def free_scale(dimensions: int) -> float:
    """Return the scale at which radii differ: 1 / sqrt(D), where a learned scale starts."""
    return dimensions**-0.5


def cosine(tau: float = TAU_SPHERE) -> Geometry:
    """Return Sph-ViT's geometry."""
    return Geometry([Sphere()], [1.0], tau)


def flat() -> Geometry:
    """Return the flat control."""
    return Geometry([Flat(1.0, RADIUS)], [1.0], TAU_BALL)


def hyperbolic(scale: float = 1.0, curvature: float = CURVATURE) -> Geometry:
    """Return Hyp-ViT's geometry."""
    return Geometry([Ball(curvature, scale, RADIUS)], [1.0], TAU_BALL)


def hybrid(scale: float) -> Geometry:
    """Return HypMix's geometry with real radii.

    Its logits are cosine / tau_e - lam distance / tau_h, over one temperature.
    """
    weight = LAM * TAU_SPHERE_HYBRID / TAU_BALL
    return Geometry([Sphere(), Ball(CURVATURE, scale, RADIUS)], [1.0, weight], TAU_SPHERE_HYBRID)


def tuned(dimensions: int) -> dict[str, Geometry]:
    """Return the geometries that params.yaml tunes, by name, for embeddings of D dimensions."""
    params = load(ProposeParams, path=ROOT / "params.yaml")
    return {
        name: build_geometry(
            params.geometry[name],
            tau=TAU_BALL,
            curvature=CURVATURE,
            lam=LAM,
            dimensions=dimensions,
        )
        for name in params.tune.geometries
    }
