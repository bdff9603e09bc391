"""Benchmark of the losses: from embeddings (N, D) to the loss and its gradient. `python -m bench.loss`."""

if __package__ != "bench":
    raise SystemExit(
        "error: start this benchmark from the root of the repository: python -m bench.loss"
    )

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pytorch_metric_learning import losses as peer
from torch import Tensor

from bench import inputs, released
from bench.accuracy import accuracy_rows
from bench.command import parse_options, run_benchmark
from bench.inputs import CURVATURE, LAM, RADIUS, TAU_BALL, TAU_SPHERE, TAU_SPHERE_HYBRID
from bench.measure import Call, Case, Implementation, Ratio, Size
from bench.released import System, summed_loss
from geomix.geometry.geometry import Geometry
from geomix.losses.losses import pairwise_cross_entropy, proxy_anchor, supervised_contrastive
from geomix.losses.table import Table
from stages import run

MARGIN, ALPHA = 0.1, 32.0  # of Proxy-Anchor
PEER = "pytorch-metric-learning"
LARGEST_RELEASED = 900  # embeddings: above it the released loop takes minutes and tens of GB
Loss = Callable[[Tensor, Table, Table], Tensor]


def ours(
    geometry: Callable[[int], Geometry], loss: Loss, classes: int, views: int, dimensions: int = 128
) -> Callable[[Size], Call]:
    """Give a call from embeddings to loss and gradient, with our geometry (of D) and loss."""

    def build(size: Size) -> Call:
        count = 3 if size == "tiny" else classes
        embeddings, table = (
            inputs.draw_batch(count, views, dimensions).requires_grad_(),
            inputs.batch_table(count, views),
        )
        space = geometry(dimensions)

        def call() -> tuple[float, Tensor]:
            points = space.place(embeddings)
            value = loss(space.logits(points, points), table, table)
            return value.item(), torch.autograd.grad(value, embeddings)[0]

        return call

    return build


def theirs(
    system: Callable[[int], System], classes: int, views: int, dimensions: int = 128
) -> Callable[[Size], Call]:
    """Give such a call with the released formula of a system (of D); its sum over pairs of views becomes a mean."""

    def build(size: Size) -> Call:
        count = 3 if size == "tiny" else classes
        embeddings = inputs.draw_batch(count, views, dimensions).requires_grad_()
        used = system(dimensions)

        def call() -> tuple[float, Tensor]:
            value = summed_loss(embeddings.view(views, count, -1), used) / (views * (views - 1))
            return value.item(), torch.autograd.grad(value, embeddings)[0]

        return call

    return build


def peers(loss: Callable[[], torch.nn.Module], classes: int, views: int) -> Callable[[Size], Call]:
    """Give such a call with a loss of pytorch-metric-learning, for the cosine."""

    def build(size: Size) -> Call:
        count = 3 if size == "tiny" else classes
        embeddings, labels = (
            inputs.draw_batch(count, views, 128).requires_grad_(),
            torch.arange(count).repeat(views),
        )
        used = loss()

        def call() -> tuple[float, Tensor]:
            value = used(embeddings, labels)
            return value.item(), torch.autograd.grad(value, embeddings)[0]

        return call

    return build


def our_proxies(classes: int, views: int) -> Callable[[Size], Call]:
    """Give a call of our Proxy-Anchor; the proxies get a gradient too."""

    def build(size: Size) -> Call:
        count = 3 if size == "tiny" else classes
        embeddings, rows = (
            inputs.draw_batch(count, views, 128).requires_grad_(),
            inputs.batch_table(count, views),
        )
        number = torch.arange(count)
        columns, proxies = Table(-1 - number, number, number), draw_proxies(count)
        space = inputs.cosine(1 / ALPHA)

        def call() -> tuple[float, Tensor]:
            value = proxy_anchor(
                space.logits(space.place(embeddings), space.place(proxies)),
                rows,
                columns,
                margin=MARGIN * ALPHA,
            )
            return value.item(), torch.autograd.grad(value, (embeddings, proxies))[0]

        return call

    return build


def peers_proxies(classes: int, views: int) -> Callable[[Size], Call]:
    """Give a call of the peer's Proxy-Anchor, with the same proxies."""

    def build(size: Size) -> Call:
        count = 3 if size == "tiny" else classes
        embeddings, labels = (
            inputs.draw_batch(count, views, 128).requires_grad_(),
            torch.arange(count).repeat(views),
        )
        loss = peer.ProxyAnchorLoss(count, 128, margin=MARGIN, alpha=ALPHA)
        loss.proxies.data.copy_(draw_proxies(count).detach())

        def call() -> tuple[float, Tensor]:
            value = loss(embeddings, labels)
            return value.item(), torch.autograd.grad(value, (embeddings, loss.proxies))[0]

        return call

    return build


def draw_proxies(classes: int) -> Tensor:
    """Draw a proxy for each class, (C, 128)."""
    return torch.randn(classes, 128, generator=torch.Generator().manual_seed(2)).requires_grad_()


def differ(a: tuple[float, Tensor], b: tuple[float, Tensor]) -> float:
    """Give how far losses and gradients differ, relative to the loss and to the gradient's largest entry."""
    gradient = float((a[1] - b[1]).abs().max() / b[1].abs().max())
    return max(abs(a[0] - b[0]) / abs(b[0]), gradient)


def hyperbolic_free(dimensions: int) -> Geometry:
    """Give Hyp-ViT's geometry at the scale where radii differ."""
    return inputs.hyperbolic(inputs.free_scale(dimensions))


def hybrid_free(dimensions: int) -> Geometry:
    """Give HypMix's geometry with radii that differ."""
    return inputs.hybrid(inputs.free_scale(dimensions))


def hyp_vit(dimensions: int) -> System:
    """Give Hyp-ViT as released."""
    return released.ball(TAU_BALL, CURVATURE, RADIUS)


PAIRWISE: dict[str, tuple[Callable[[int], Geometry], Callable[[int], System]]] = {
    "cosine": (lambda d: inputs.cosine(), lambda d: released.sphere(TAU_SPHERE)),
    "flat": (lambda d: inputs.flat(), lambda d: released.flat(TAU_BALL, RADIUS)),
    "hyperbolic": (lambda d: inputs.hyperbolic(), hyp_vit),
    "hyperbolic, free radii": (
        hyperbolic_free,
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
    """Give the cases."""
    shapes = [(4, 3), (6, 2)] if quick else [(100, 9), (450, 2)]
    found = [pairwise_case(name, *shape) for shape in shapes for name in PAIRWISE]
    found += [case for shape in shapes for case in (supervised_case(*shape), proxy_case(*shape))]
    found.append(pairs_case(*((5, 2) if quick else (100, 2))))
    if quick:  # a process for each takes seconds
        found = [replace(case, memory=case is found[0]) for case in found]
    counts, widths = ([6, 12], [8, 16]) if quick else ([225, 450, 900, 1800], [32, 128, 512])
    views, middle = (3, 12) if quick else (9, 900)
    found += [growth_case(count // views, views, widths[1]) for count in counts]
    return found + [
        growth_case(middle // views, views, width) for width in widths if width != widths[1]
    ]


def pairwise_case(name: str, classes: int, views: int) -> Case:
    """Compare our pairwise cross-entropy with the released formula of the same geometry."""
    geometry, system = PAIRWISE[name]
    mine = Implementation("geomix", ours(geometry, pairwise_cross_entropy, classes, views))
    base = Implementation("released formula", theirs(system, classes, views))
    title = f"{name}, {views} views x {classes} classes"
    return Case("pairwise", title, (mine, base), (Ratio("released formula", "geomix", differ),))


def supervised_case(classes: int, views: int) -> Case:
    """Compare our supervised contrastive loss in three geometries with the peer's for the cosine."""
    implementations = (
        Implementation(
            "geomix cosine", ours(lambda d: inputs.cosine(), supervised_contrastive, classes, views)
        ),
        Implementation(
            "geomix hyperbolic",
            ours(lambda d: inputs.hyperbolic(), supervised_contrastive, classes, views),
        ),
        Implementation("geomix hybrid", ours(hybrid_free, supervised_contrastive, classes, views)),
        Implementation(
            PEER, peers(lambda: peer.SupConLoss(temperature=TAU_SPHERE), classes, views)
        ),
    )
    ratios = (
        Ratio(PEER, "geomix cosine", differ),
        Ratio("geomix hyperbolic", PEER),
        Ratio("geomix hyperbolic", "geomix cosine"),
        Ratio("geomix hybrid", "geomix cosine"),
    )
    return Case(
        "supervised",
        f"supervised contrastive, {views} views x {classes} classes",
        implementations,
        ratios,
    )


def proxy_case(classes: int, views: int) -> Case:
    """Compare our Proxy-Anchor with the peer's."""
    mine = Implementation("geomix cosine", our_proxies(classes, views))
    base = Implementation(PEER, peers_proxies(classes, views))
    title = f"Proxy-Anchor, {views} views x {classes} classes"
    return Case("supervised", title, (mine, base), (Ratio(PEER, "geomix cosine", differ),))


def pairs_case(classes: int, views: int) -> Case:
    """Compare with the peer's NT-Xent, which with two views is the pairwise cross-entropy, at a size that fits in memory."""
    mine = Implementation(
        "geomix cosine", ours(lambda d: inputs.cosine(), pairwise_cross_entropy, classes, views)
    )
    base = Implementation(
        PEER, peers(lambda: peer.NTXentLoss(temperature=TAU_SPHERE), classes, views)
    )
    title = f"NT-Xent, {views} views x {classes} classes"
    return Case("supervised", title, (mine, base), (Ratio(PEER, "geomix cosine", differ),))


def growth_case(classes: int, views: int, dimensions: int) -> Case:
    """Time the hyperbolic loss, the released formula and one matrix product of the same size, in float32."""
    count = classes * views

    def product(size: Size) -> Call:
        embeddings = inputs.draw_batch(3 if size == "tiny" else classes, views, dimensions)
        return lambda: embeddings @ embeddings.T

    names: list[tuple[str, Any]] = [("matrix product", product)]
    names.append(
        (
            "geomix",
            ours(lambda d: inputs.hyperbolic(), pairwise_cross_entropy, classes, views, dimensions),
        )
    )
    ratios = [Ratio("geomix", "matrix product")]
    if (
        count <= LARGEST_RELEASED
        and released_bytes(classes, views, dimensions) < 0.7 * free_bytes()
    ):
        names.append(("released formula", theirs(hyp_vit, classes, views, dimensions)))
        ratios.append(Ratio("released formula", "geomix", differ))
    title = f"hyperbolic, {views} views x {classes} classes x {dimensions} dimensions"
    parts = tuple(Implementation(name, build) for name, build in names)
    return Case(
        "growth", title, parts, tuple(ratios), memory=False, size=(("n", count), ("d", dimensions))
    )


def released_bytes(classes: int, views: int, dimensions: int) -> int:
    """Give the memory of the released formula, about: two float32 (C, C, D) of each matrix, and as much in holes of the heap."""
    return 2 * views * (views - 1) * 2 * 2 * 4 * classes**2 * dimensions


def free_bytes() -> int:
    """Give the free memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Measure and write."""
    options = parse_options()
    run_benchmark("loss", cases(options.quick), options, lambda: accuracy_rows(options.quick))


if __name__ == "__main__":
    run(main)
