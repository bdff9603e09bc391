"""The regulariser `hier`: HIER, a hierarchy of learned proxies on a Poincare ball.

Kim, Jeong, Kwak 2023 (arXiv:2212.14258), added to any loss. Proxies become the ancestors of near
samples, and of each other. Of mutual neighbours i, j and a stranger k, the ancestor of i and j
should be nearer to them than that of all three, and farther from k. Distances are those of
`geomix.geometry`: exact, from one matrix product. geoopt keeps the proxies, points of the ball, and
moves them (Riemannian Adam).
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from geomix.config.losses import Hier
from geomix.geometry.distances import expmap0, logmap0
from geomix.geometry.spaces import Ball
from geomix.losses.regulariser import Regulariser
from geomix.losses.table import Table

with warnings.catch_warnings():
    # geoopt 0.5.1 compiles a function with torch.jit.script, deprecated in torch 2.10.
    warnings.simplefilter("ignore", FutureWarning)
    import geoopt

START = 0.9  # of the clip radius: the norm of a proxy at the start, about
SHARPNESS = 10.0  # over a distance: the logit of a proxy to be an ancestor
BLOCK = {"cpu": 2**20, "cuda": 2**24}  # triplets times proxies at a time

# Anchors i (A,), mutual neighbours j (A, T), strangers k (A, T).
Triplets = tuple[Tensor, Tensor, Tensor]


class Hierarchy(Regulariser):
    """Proxies on a ball of their own, whatever the geometry of the loss, and their term."""

    def __init__(self, settings: Hier, dimensions: int, seed: int) -> None:
        """Draw the proxies.

        Args:
            settings: Section `regulariser` of params.yaml.
            dimensions: D of the embeddings.
            seed: Of the first proxies, of triplets and of noise.
        """
        super().__init__()
        self.settings, self.seed = settings, seed
        self.ball = Ball(settings.curvature, 1.0, settings.clip_radius)
        first = torch.Generator().manual_seed(seed)
        normal = torch.randn(settings.proxies, dimensions, generator=first, dtype=torch.float64)
        start = self.ball.place(normal * (START * settings.clip_radius / dimensions**0.5))
        manifold = geoopt.PoincareBallExact(torch.tensor(self.ball.curvature, dtype=torch.float64))
        self.proxies = geoopt.ManifoldParameter(
            expmap0(start, self.ball.curvature), manifold=manifold
        )
        self._generator: torch.Generator | None = None

    def forward(self, embeddings: Tensor, batch: Table) -> Tensor:
        """Return the weight times the sum of the terms of the samples and of the proxies.

        Args:
            embeddings: Those of the batch, (N, D).
            batch: Who they are; samples of one class are nearer to each other than to all others.

        Returns:
            Scalar, float64. Where no sample has both a mutual neighbour and a stranger, as in a
            batch of no more samples than neighbours, the samples' term is 0.

        Cost:
            With T triplets for each of N samples and P proxies, O((N + P) T P) in time; in memory
            O((N + P) P) and a block.
        """
        points = rescale_gradient(self.ball.place(embeddings), self.ball.curvature)
        proxies = self.points()
        with torch.no_grad():
            closeness = torch.exp(self.ball.similarity(points, points))
            closeness += batch.label.unsqueeze(1) == batch.label
        between = self.ball.similarity(proxies, proxies, -1.0)
        samples = self._term(self.ball.similarity(points, proxies, -1.0), closeness)
        return self.settings.weight * (samples + self._term(between, torch.exp(-between.detach())))

    def optimizers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        """Build Riemannian Adam, whose first step is a geodesic as long as the learning rate.

        Args:
            learning_rate: Before the factor of the group, `rate_factor`.
        """
        manifold = self.proxies.manifold
        manifold.to(self.proxies.device)  # its curvature is no parameter of this module
        groups = [{"params": [self.proxies], "factor": self.settings.rate_factor}]
        return [geoopt.optim.RiemannianAdam(groups, lr=learning_rate)]

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the next draws depend on."""
        return {"draws": self._generator_on(self.proxies.device).get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take such a state."""
        self._generator_on(self.proxies.device).set_state(state["draws"])

    def points(self) -> Tensor:
        """Return the proxies as `Ball` has its points, tangent vectors of the origin, (P, D)."""
        tensor: Tensor = self.proxies
        return logmap0(tensor.as_subclass(torch.Tensor), self.ball.curvature)

    @torch.no_grad()
    def nearest(self, embeddings: Tensor) -> Tensor:
        """Return the number of the proxy nearest to each embedding, int64 (N,)."""
        return self.ball.similarity(self.ball.place(embeddings), self.points()).argmax(1)

    @torch.no_grad()
    def grow(self) -> Tensor:
        """Return the parent of each proxy, int64 (P,); see `grow_tree`."""
        points = self.points()
        distances = self.ball.similarity(points, points, -1.0)
        return grow_tree(distances, self.ball.radii(points), self.settings.neighbours)

    def _term(self, distances: Tensor, closeness: Tensor) -> Tensor:
        """Return the mean loss of triplets of points.

        Args:
            distances: From the points to the proxies, (N, P).
            closeness: Of the points to each other, (N, N).
        """
        generator = self._generator_on(distances.device)
        mutual = mutual_neighbours(closeness, self.settings.neighbours)
        triplets = draw_triplets(mutual, self.settings.triplets, generator)
        if not triplets[1].numel():
            return distances.sum() * 0

        def draw(*shape: int) -> Tensor:
            """Draw from the Gumbel distribution, in float32."""
            uniform = torch.rand(shape, generator=generator, device=distances.device)
            return uniform.log_().neg_().log_().neg_()

        mean: Tensor = _MeanOverTriplets.apply(
            distances.float(), triplets, self.settings.margin, draw
        )
        return mean.double()

    def _generator_on(self, device: torch.device) -> torch.Generator:
        if self._generator is None or self._generator.device.type != device.type:
            self._generator = torch.Generator(device).manual_seed(self.seed)
        return self._generator


def rescale_gradient(points: Tensor, curvature: float) -> Tensor:
    """Return the points; their gradient becomes the Riemannian one at their places in the ball.

    As released, that is the gradient over the square of the conformal factor: times
    (1 - c |x|^2)^2 / 4 = 1 / (4 cosh^4(sqrt(c) |v|)) for a point x = expmap0(v). A factor passes
    through the map.

    Args:
        points: Tangent vectors v of the origin, (N, D).
        curvature: c > 0.
    """
    if points.requires_grad:
        radii = torch.linalg.vector_norm(points.detach(), dim=1, keepdim=True)
        factors = (curvature**0.5 * radii).cosh().pow(-4) / 4
        points.register_hook(lambda gradient: gradient * factors)
    return points


def mutual_neighbours(closeness: Tensor, neighbours: int) -> Tensor:
    """Tell which points are among each other's nearest.

    Args:
        closeness: Of all pairs, (N, N), larger is closer; of equally close points those that come
            first are taken.
        neighbours: K, how many are near, the point itself among them; all where there are no more.

    Returns:
        Symmetric booleans (N, N), false on the diagonal.
    """
    others = closeness.clone().fill_diagonal_(torch.inf)
    nearest = others.topk(min(neighbours, len(others)), dim=1).indices
    near = torch.zeros_like(others, dtype=torch.bool).scatter_(1, nearest, True)
    return (near & near.T).fill_diagonal_(False)


def draw_triplets(mutual: Tensor, count: int, generator: torch.Generator) -> Triplets:
    """Draw triplets, with replacement, for each point with a mutual neighbour and a stranger.

    Args:
        mutual: From `mutual_neighbours`, (N, N).
        count: T, triplets of an anchor.
        generator: On the device of mutual.

    Returns:
        Anchors i (A,), their mutual neighbours j (A, T), and points k (A, T) that are neither i nor
        its mutual neighbours.
    """
    strange = (~mutual).fill_diagonal_(False)
    anchors = (mutual.any(1) & strange.any(1)).nonzero().squeeze(1)
    if not len(anchors):
        return anchors, anchors.new_empty(0, count), anchors.new_empty(0, count)
    partners, strangers = (
        torch.multinomial(rows[anchors].float(), count, replacement=True, generator=generator)
        for rows in (mutual, strange)
    )
    return anchors, partners, strangers


def triplet_loss(
    distances: Tensor, triplets: Triplets, noise: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    r"""Sum the loss of triplets: of i, j the ancestor rho_ij, of i, j, k the ancestor rho_ijk.

        rho_ij = argmax_p ( noise - 10 max(d_ip, d_jp) )
        rho_ijk = argmax_p ( noise - 10 max(d_ip, d_jp, d_kp) )
        [d(i, rho_ij) - d(i, rho_ijk) + m]_+ + [d(j, rho_ij) - d(j, rho_ijk) + m]_+
            + [d(k, rho_ijk) - d(k, rho_ij) + m]_+

    and 0 where both are one.

    Args:
        distances: d of points to proxies, (N, P).
        triplets: Anchors i (A,), j (A, T), k (A, T).
        noise: Gumbel variables, (2, A, T, P).
        margin: m, a distance.

    Returns:
        The sum, and a second scalar of no meaning whose gradient is to be added: that of the
        straight-through Gumbel-softmax, by which the choice of ancestors learns. The hinges are
        linear in the two choices, so it is that of the softmaxes weighed by the distances of active
        hinges.

    Source:
        Kim et al. 2023 (arXiv:2212.14258), eqs. 4 to 7; the released code's margin and temperature.
    """
    anchors, partners, strangers = triplets
    i = distances.index_select(0, anchors).unsqueeze(1)
    j, k = (
        distances.index_select(0, rows.flatten()).view(*rows.shape, -1)
        for rows in (partners, strangers)
    )  # (A, T, P)
    highest = torch.maximum(i, j)
    pair, triple = noise[0] - SHARPNESS * highest, noise[1] - SHARPNESS * torch.maximum(highest, k)
    lower, upper = pair.detach().argmax(-1, keepdim=True), triple.detach().argmax(-1, keepdim=True)
    gaps = [side.gather(-1, lower) - side.gather(-1, upper) for side in (i.expand_as(j), j, k)]
    hinges = torch.stack([gaps[0] + margin, gaps[1] + margin, margin - gaps[2]]).relu()
    hinges = torch.where(lower != upper, hinges, 0)
    active = (hinges.detach() > 0).to(distances.dtype)
    pulls = active[0] * i.detach() + active[1] * j.detach() - active[2] * k.detach()
    return hinges.sum(), (pulls * (pair.softmax(-1) - triple.softmax(-1))).sum()


class _MeanOverTriplets(torch.autograd.Function):
    """The mean of `triplet_loss`, in blocks of anchors.

    The gradient is computed on the way, so that no block is kept.
    """

    @staticmethod
    def forward(
        ctx: Any, distances: Tensor, triplets: Triplets, margin: float, draw: Callable[..., Tensor]
    ) -> Tensor:
        """Return the mean, drawing noise of shape (2, A, T, P) for each block."""
        count, proxies = triplets[1].shape[1], distances.shape[1]
        step = max(1, BLOCK[distances.device.type] // (count * proxies))
        leaf = distances.detach().requires_grad_()
        total, gradient = leaf.new_zeros(()), torch.zeros_like(leaf)
        for anchors, partners, strangers in zip(
            *(part.split(step) for part in triplets), strict=True
        ):
            noise = draw(2, len(anchors), count, proxies)
            with torch.enable_grad():
                value, through = triplet_loss(leaf, (anchors, partners, strangers), noise, margin)
                (pull,) = torch.autograd.grad(value + through, leaf)
            total += value.detach()
            gradient += pull
        ctx.save_for_backward(gradient / triplets[1].numel())
        return total / triplets[1].numel()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the distances."""
        return grads[0] * ctx.saved_tensors[0], None, None, None


def grow_tree(distances: Tensor, radii: Tensor, neighbours: int) -> Tensor:
    """Make a tree of the proxies.

    The parent of each is the likeliest ancestor of it and its mutual neighbours: as in
    `triplet_loss`, but without noise, the proxy whose largest distance to them is smallest.
    Only proxies nearer to the origin can be parents, so that there is one root and no cycle.

    Args:
        distances: Of the proxies, (P, P).
        radii: Of the proxies, (P,); of equal ones the first counts as nearer.
        neighbours: K, as in `mutual_neighbours`.

    Returns:
        The number of the parent of each proxy, int64 (P,); -1 for the root.
    """
    mutual = mutual_neighbours(-distances, neighbours).fill_diagonal_(True)
    farthest = torch.stack([distances[family].amax(0) for family in mutual])
    place = radii.argsort(stable=True).argsort()
    farthest[place >= place.unsqueeze(1)] = torch.inf
    parents = farthest.argmin(1)
    parents[place == 0] = -1
    return parents


def build(settings: Hier, dimensions: int, seed: int) -> Regulariser:
    """Build the regulariser."""
    return Hierarchy(settings, dimensions, seed)
