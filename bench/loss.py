"""Benchmark of the losses: from embeddings (N, D) to the loss and its gradient.

`python -m bench.loss`
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from pytorch_metric_learning import losses as peer
from torch import Tensor

from bench import inputs, released
from bench.accuracy import accuracy_rows
from bench.command import parse_options, run_benchmark
from bench.inputs import CURVATURE, LAM, RADIUS, TAU_BALL, TAU_SPHERE, TAU_SPHERE_HYBRID
from bench.measure import (
    COSINE,
    HYBRID,
    HYPERBOLIC,
    PEER,
    RELEASED,
    Call,
    Case,
    Implementation,
    Ratio,
    Size,
    with_gradient,
)
from bench.released import System, summed_loss
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import LogitLoss
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.proxy_anchor import proxy_anchor
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table
from stages import run

MARGIN, ALPHA = 0.1, 32.0  # of Proxy-Anchor
DIMENSIONS = 128
PRODUCT = "matrix product"
LARGEST_RELEASED = 900  # embeddings: above it the released loop takes minutes and tens of GB


def draw(size: Size, classes: int, views: int, dimensions: int) -> tuple[Tensor, int]:
    """Draw the embeddings of a batch, and return how many classes it has."""
    count = 3 if size == "tiny" else classes
    return inputs.draw_batch(count, views, dimensions).requires_grad_(), count


def ours(
    geometry: Callable[[int], Geometry],
    loss: LogitLoss,
    classes: int,
    views: int,
    dimensions: int = DIMENSIONS,
) -> Callable[[Size], Call]:
    """Return what builds a call of a loss of ours, in a geometry (of D)."""

    def build(size: Size) -> Call:
        embeddings, count = draw(size, classes, views, dimensions)
        table, space = inputs.batch_table(count, views), geometry(dimensions)

        def compute() -> Tensor:
            points = space.place(embeddings)
            return loss(space.logits(points, points), table, table)

        return with_gradient(compute, embeddings)

    return build


def theirs(
    system: Callable[[int], System], classes: int, views: int, dimensions: int = DIMENSIONS
) -> Callable[[Size], Call]:
    """Return what builds a call of the released formula of a system (of D).

    Its sum over pairs of views becomes a mean.
    """

    def build(size: Size) -> Call:
        embeddings, count = draw(size, classes, views, dimensions)
        used, pairs = system(dimensions), views * (views - 1)
        return with_gradient(
            lambda: summed_loss(embeddings.view(views, count, -1), used) / pairs, embeddings
        )

    return build


def peers(loss: Callable[[], torch.nn.Module], classes: int, views: int) -> Callable[[Size], Call]:
    """Return what builds a call of a loss of pytorch-metric-learning, for the cosine."""

    def build(size: Size) -> Call:
        embeddings, count = draw(size, classes, views, DIMENSIONS)
        labels, used = torch.arange(count).repeat(views), loss()
        return with_gradient(lambda: used(embeddings, labels), embeddings)

    return build


def our_proxies(classes: int, views: int) -> Callable[[Size], Call]:
    """Return what builds a call of our Proxy-Anchor; the proxies get a gradient too."""

    def build(size: Size) -> Call:
        embeddings, count = draw(size, classes, views, DIMENSIONS)
        rows, number = inputs.batch_table(count, views), torch.arange(count)
        columns, proxies = Table(-1 - number, number, number), draw_proxies(count)
        space = inputs.cosine(1 / ALPHA)

        def compute() -> Tensor:
            logits = space.logits(space.place(embeddings), space.place(proxies))
            return proxy_anchor(logits, rows, columns, margin=MARGIN * ALPHA)

        return with_gradient(compute, embeddings, proxies)

    return build


def peers_proxies(classes: int, views: int) -> Callable[[Size], Call]:
    """Return what builds a call of the peer's Proxy-Anchor, with the same proxies."""

    def build(size: Size) -> Call:
        embeddings, count = draw(size, classes, views, DIMENSIONS)
        labels = torch.arange(count).repeat(views)
        loss = peer.ProxyAnchorLoss(count, DIMENSIONS, margin=MARGIN, alpha=ALPHA)
        loss.proxies.data.copy_(draw_proxies(count).detach())
        return with_gradient(lambda: loss(embeddings, labels), embeddings, loss.proxies)

    return build


def draw_proxies(classes: int) -> Tensor:
    """Draw a proxy for each class, (C, 128)."""
    random = torch.Generator().manual_seed(2)
    return torch.randn(classes, DIMENSIONS, generator=random).requires_grad_()


def differ(a: tuple[float, Tensor], b: tuple[float, Tensor]) -> float:
    """Return how far losses and gradients differ.

    The one is relative to the loss, the other to the gradient's largest entry.
    """
    gradient = float((a[1] - b[1]).abs().max() / b[1].abs().max())
    return max(abs(a[0] - b[0]) / abs(b[0]), gradient)


def hybrid_free(dimensions: int) -> Geometry:
    """Return HypMix's geometry with radii that differ."""
    return inputs.hybrid(inputs.free_scale(dimensions))


def hyp_vit(dimensions: int) -> System:
    """Return Hyp-ViT as released."""
    return released.ball(TAU_BALL, CURVATURE, RADIUS)


PAIRWISE: dict[str, tuple[Callable[[int], Geometry], Callable[[int], System]]] = {
    "cosine": (lambda d: inputs.cosine(), lambda d: released.sphere(TAU_SPHERE)),
    "flat": (lambda d: inputs.flat(), lambda d: released.flat(TAU_BALL, RADIUS)),
    "hyperbolic": (lambda d: inputs.hyperbolic(), hyp_vit),
    "hyperbolic, free radii": (
        lambda d: inputs.hyperbolic(inputs.free_scale(d)),
        lambda d: released.ball(TAU_BALL, CURVATURE, RADIUS, inputs.free_scale(d)),
    ),
    "hybrid": (
        hybrid_free,
        lambda d: released.hybrid(
            TAU_SPHERE_HYBRID, TAU_BALL, LAM, CURVATURE, RADIUS, inputs.free_scale(d)
        ),
    ),
}


def cases(quick: bool) -> list[Case]:
    """Return the cases."""
    shapes = [(4, 3), (6, 2)] if quick else [(100, 9), (450, 2)]
    found = [pairwise_case(name, *shape) for shape in shapes for name in PAIRWISE]
    found += [case for shape in shapes for case in (supervised_case(*shape), proxy_case(*shape))]
    found.append(pairs_case(*((5, 2) if quick else (100, 2))))
    found.append(geometry_case(*shapes[0]))
    if quick:  # a process for each takes seconds
        found = [replace(case, memory=case is found[0]) for case in found]
    counts, widths = ([6, 12], [8, 16]) if quick else ([225, 450, 900, 1800], [32, 128, 512])
    views, middle = (3, 12) if quick else (9, 900)
    sizes = [(count, widths[1]) for count in counts]
    sizes += [(middle, width) for width in widths if width != widths[1]]
    return found + [growth_case(count // views, views, width) for count, width in sizes]


def pairwise_case(name: str, classes: int, views: int) -> Case:
    """Compare our pairwise cross-entropy with the released formula of the same geometry."""
    geometry, system = PAIRWISE[name]
    mine = Implementation("geomix", ours(geometry, pairwise_cross_entropy, classes, views))
    base = Implementation(RELEASED, theirs(system, classes, views))
    title = f"{name}, {views} views x {classes} classes"
    return Case("pairwise", title, (mine, base), (Ratio(RELEASED, "geomix", differ),))


def geometry_case(classes: int, views: int) -> Case:
    """Compare our pairwise cross-entropy in all geometries that are tuned with the first."""
    geometries = inputs.tuned(DIMENSIONS)
    first, *others = geometries

    def choose(name: str) -> Callable[[int], Geometry]:
        """Return what returns a geometry."""
        return lambda dimensions: geometries[name]

    parts = [
        Implementation(name, ours(choose(name), pairwise_cross_entropy, classes, views))
        for name in geometries
    ]
    ratios = tuple(Ratio(name, first) for name in others)
    title = f"{views} views x {classes} classes"
    return Case("geometries", title, tuple(parts), ratios, memory=False)


def supervised_case(classes: int, views: int) -> Case:
    """Compare our supervised contrastive loss in three geometries with the peer's."""
    geometries: dict[str, Callable[[int], Geometry]] = {
        COSINE: lambda d: inputs.cosine(),
        HYPERBOLIC: lambda d: inputs.hyperbolic(),
        HYBRID: hybrid_free,
    }
    parts = [
        Implementation(name, ours(geometry, supervised_contrastive, classes, views))
        for name, geometry in geometries.items()
    ]
    loss = partial(peer.SupConLoss, temperature=TAU_SPHERE)
    parts.append(Implementation(PEER, peers(loss, classes, views)))
    ratios = (
        Ratio(PEER, COSINE, differ),
        Ratio(HYPERBOLIC, PEER),
        Ratio(HYPERBOLIC, COSINE),
        Ratio(HYBRID, COSINE),
    )
    title = f"supervised contrastive, {views} views x {classes} classes"
    return Case("supervised", title, tuple(parts), ratios)


def proxy_case(classes: int, views: int) -> Case:
    """Compare our Proxy-Anchor with the peer's."""
    mine = Implementation(COSINE, our_proxies(classes, views))
    base = Implementation(PEER, peers_proxies(classes, views))
    title = f"Proxy-Anchor, {views} views x {classes} classes"
    return Case("supervised", title, (mine, base), (Ratio(PEER, COSINE, differ),))


def pairs_case(classes: int, views: int) -> Case:
    """Compare with the peer's NT-Xent, at a size that fits in memory.

    With two views it is the pairwise cross-entropy.
    """
    mine = Implementation(
        COSINE, ours(lambda d: inputs.cosine(), pairwise_cross_entropy, classes, views)
    )
    loss = partial(peer.NTXentLoss, temperature=TAU_SPHERE)
    base = Implementation(PEER, peers(loss, classes, views))
    title = f"NT-Xent, {views} views x {classes} classes"
    return Case("supervised", title, (mine, base), (Ratio(PEER, COSINE, differ),))


def growth_case(classes: int, views: int, dimensions: int) -> Case:
    """Time the hyperbolic loss, the released formula, and one matrix product of that size."""
    count = classes * views

    def product(size: Size) -> Call:
        embeddings = draw(size, classes, views, dimensions)[0].detach()
        return lambda: embeddings @ embeddings.T

    geometry, system = PAIRWISE["hyperbolic"]
    mine = ours(geometry, pairwise_cross_entropy, classes, views, dimensions)
    parts = [Implementation(PRODUCT, product), Implementation("geomix", mine)]
    ratios = [Ratio("geomix", PRODUCT)]
    fits = released_bytes(classes, views, dimensions) < 0.7 * free_bytes()
    if count <= LARGEST_RELEASED and fits:
        parts.append(Implementation(RELEASED, theirs(system, classes, views, dimensions)))
        ratios.append(Ratio(RELEASED, "geomix", differ))
    title = f"hyperbolic, {views} views x {classes} classes x {dimensions} dimensions"
    size = (("n", count), ("d", dimensions))
    return Case("growth", title, tuple(parts), tuple(ratios), memory=False, size=size)


def released_bytes(classes: int, views: int, dimensions: int) -> int:
    """Return the memory of the released formula, about.

    It has two float32 (C, C, D) of each matrix, and as much in holes of the heap.
    """
    return 2 * views * (views - 1) * 2 * 2 * 4 * classes**2 * dimensions


def free_bytes() -> int:
    """Return the free memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("loss", cases(options.quick), options, lambda: accuracy_rows(options.quick))


if __name__ == "__main__":
    run(main)
