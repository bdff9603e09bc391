"""HIER: its loss by definition, mutual neighbours, triplets, proxies, gradients, the tree."""

import math

import geoopt
import pytest
import torch
from torch import Tensor

from geomix.config.losses import Hier
from geomix.geometry.distances import expmap0
from geomix.geometry.spaces import Ball
from geomix.losses.table import Table
from geomix.regularisers import hier
from geomix.regularisers.hier import (
    Hierarchy,
    draw_triplets,
    grow_tree,
    mutual_neighbours,
    rescale_gradient,
    triplet_loss,
)

SETTINGS = Hier(
    name="hier",
    weight=0.5,
    proxies=9,
    neighbours=4,
    triplets=5,
    margin=0.1,
    curvature=0.1,
    clip_radius=2.3,
    rate_factor=50,
)
BALL = Ball(0.1, 1.0, 2.3)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gumbel(*shape: int) -> Tensor:
    return (
        -torch.rand(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
        .log()
        .neg()
        .log()
    )


def table(labels: list[int]) -> Table:
    numbers = torch.arange(len(labels))
    return Table(numbers, torch.tensor(labels), torch.zeros_like(numbers))


TRIPLETS = (
    torch.tensor([0, 3]),
    torch.tensor([[1, 2, 1], [4, 5, 2]]),
    torch.tensor([[5, 3, 4], [0, 1, 1]]),
)


def loss_by_definition(distances: Tensor, noise: Tensor, margin: float) -> tuple[Tensor, int]:
    """Sum one triplet at a time, with the straight-through Gumbel-softmax written out.

    Count those of one ancestor.
    """
    total, same = distances.new_zeros(()), 0
    anchors, partners, strangers = TRIPLETS
    for row, anchor in enumerate(anchors.tolist()):
        for column in range(partners.shape[1]):
            i, j, k = (
                distances[int(number)]
                for number in (anchor, partners[row, column], strangers[row, column])
            )
            chosen = []
            for part, farthest in enumerate(
                [torch.maximum(i, j), torch.maximum(torch.maximum(i, j), k)]
            ):
                soft = torch.softmax(-farthest / 0.1 + noise[part, row, column], 0)
                hard = torch.nn.functional.one_hot(soft.argmax(), len(soft))
                chosen.append(hard - soft.detach() + soft)
            pair, triple = chosen
            if pair.argmax() == triple.argmax():
                same += 1
                continue
            total = (
                total
                + (i @ pair - i @ triple + margin).relu()
                + (j @ pair - j @ triple + margin).relu()
            )
            total = total + (k @ triple - k @ pair + margin).relu()
    return total, same


@pytest.mark.parametrize("margin", [0.1, 0.5])
def test_value_and_gradient_equal_the_definition(margin: float) -> None:
    distances, noise = normal(6, 8).abs().requires_grad_(), gumbel(2, 2, 3, 8)
    expected, same = loss_by_definition(distances, noise, margin)
    assert 0 < same < 6
    value, through = triplet_loss(distances, TRIPLETS, noise, margin)
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    (found,), (wanted,) = (
        torch.autograd.grad(scalar, distances) for scalar in (value + through, expected)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_one_ancestor_for_all_gives_no_loss_and_no_gradient() -> None:
    distances, noise = (
        normal(6, 8).abs().requires_grad_(),
        torch.zeros(2, 2, 3, 8, dtype=torch.float64),
    )
    noise[..., 5] = 1e6
    value, through = triplet_loss(distances, TRIPLETS, noise, 0.1)
    (gradient,) = torch.autograd.grad(value + through, distances)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("block", [1, 2 * 24, 2**20])
def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setitem(hier.BLOCK, "cpu", block)
    triplets = draw_triplets(
        mutual_neighbours((near := normal(9, 9)) + near.T, 5), 3, torch.Generator().manual_seed(0)
    )
    distances, noise, drawn = (
        normal(9, 8).abs().requires_grad_(),
        gumbel(2, len(triplets[0]), 3, 8),
        0,
    )

    def draw(*shape: int) -> Tensor:
        nonlocal drawn
        drawn += shape[1]
        return noise[:, drawn - shape[1] : drawn]

    mean = hier._MeanOverTriplets.apply(distances, triplets, 0.1, draw)
    whole, through = triplet_loss(distances, triplets, noise, 0.1)
    count = triplets[1].numel()
    (found,), (wanted,) = (
        torch.autograd.grad(scalar, distances)
        for scalar in (3 * mean, 3 * (whole + through) / count)
    )
    torch.testing.assert_close((mean.detach(), found), (whole.detach() / count, wanted))


@pytest.mark.parametrize("neighbours", [2, 4, 30])
def test_mutual_neighbours_equal_the_definition_and_are_symmetric(neighbours: int) -> None:
    closeness = normal(12, 12)
    closeness = closeness + closeness.T
    nearest = []
    for row in range(12):
        others = sorted(
            (column for column in range(12) if column != row),
            key=lambda column: -closeness[row, column],
        )
        nearest.append(set(others[: neighbours - 1]))
    mutual = mutual_neighbours(closeness, neighbours)
    assert torch.equal(mutual, mutual.T)
    assert mutual.tolist() == [
        [j in nearest[i] and i in nearest[j] for j in range(12)] for i in range(12)
    ]


def test_permuted_points_have_permuted_neighbours_and_the_same_loss() -> None:
    closeness, order = normal(6, 6), torch.tensor([4, 2, 0, 5, 1, 3])
    moved = mutual_neighbours(closeness[order][:, order], 3)
    assert torch.equal(moved, mutual_neighbours(closeness, 3)[order][:, order])
    distances, noise = normal(6, 8).abs(), gumbel(2, 2, 3, 8)
    renamed = tuple(order.argsort()[rows] for rows in TRIPLETS)
    first, second = (
        triplet_loss(given, triplets, noise, 0.1)[0]  # type: ignore[arg-type]
        for given, triplets in ((distances, TRIPLETS), (distances[order], renamed))
    )
    torch.testing.assert_close(first, second)


def test_triplets_are_of_mutual_neighbours_and_of_strangers_that_are_not_the_anchor() -> None:
    mutual = mutual_neighbours((closeness := normal(30, 30)) + closeness.T, 6)
    anchors, partners, strangers = draw_triplets(mutual, 40, torch.Generator().manual_seed(0))
    assert anchors.tolist() == [row for row in range(30) if mutual[row].any()]
    assert partners.shape == strangers.shape == (len(anchors), 40)
    assert mutual[anchors.unsqueeze(1), partners].all()
    assert not mutual[anchors.unsqueeze(1), strangers].any()
    assert (strangers != anchors.unsqueeze(1)).all()
    for row, anchor in enumerate(anchors):
        assert len(set(partners[row].tolist())) > mutual[anchor].sum() / 2


def test_a_batch_of_fewer_samples_than_neighbours_has_the_term_of_the_proxies_alone() -> None:
    embeddings = normal(3, 4).float().requires_grad_()
    hierarchy = Hierarchy(SETTINGS, 4, 0)
    loss = hierarchy(embeddings, table([0, 1, 2]))
    loss.backward()
    assert loss > 0
    assert embeddings.grad is not None
    assert (embeddings.grad == 0).all()
    everyone = Hierarchy(SETTINGS.model_copy(update={"neighbours": 99}), 4, 0)
    assert everyone(embeddings, table([0, 1, 2])) == 0


def test_samples_of_a_class_are_nearer_than_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def watch(closeness: Tensor, neighbours: int) -> Tensor:
        seen.append(mutual_neighbours(closeness, neighbours))
        return seen[-1]

    monkeypatch.setattr(hier, "mutual_neighbours", watch)
    Hierarchy(SETTINGS.model_copy(update={"neighbours": 2}), 4, 0)(
        normal(8, 4), table([0, 1, 2, 3, 0, 1, 2, 3])
    )
    assert seen[0].nonzero().tolist() == [[row, (row + 4) % 8] for row in range(8)]


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 100.0])
def test_gradients_are_finite_from_the_origin_to_the_clip_radius(scale: float) -> None:
    embeddings = (normal(10, 4) * scale).float().requires_grad_()
    hierarchy = Hierarchy(SETTINGS, 4, 0)
    with torch.no_grad():
        hierarchy.proxies[0] = expmap0(BALL.place(embeddings[:1]), 0.1)[
            0
        ]  # a proxy where a sample is
    loss = hierarchy(embeddings, table([0, 1, 2, 3, 4] * 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(hierarchy.proxies.grad).all()


def test_the_seed_fixes_the_loss_and_each_step_draws_anew() -> None:
    embeddings, batch = normal(10, 4), table([0, 1, 2, 3, 4] * 2)
    hierarchies = [Hierarchy(SETTINGS, 4, seed) for seed in (0, 0, 1)]
    first, again, other = (
        [part(embeddings, batch).item() for _ in range(2)] for part in hierarchies
    )
    assert first == again
    assert first[0] != first[1]
    assert first != other


def test_the_weight_multiplies() -> None:
    embeddings, batch = normal(10, 4), table([0, 1, 2, 3, 4] * 2)
    once, twice = (
        Hierarchy(SETTINGS.model_copy(update={"weight": weight}), 4, 0)(embeddings, batch)
        for weight in (0.5, 1.0)
    )
    assert twice.item() == pytest.approx(2 * once.item())


def test_proxies_start_within_the_clip_radius() -> None:
    points = Hierarchy(SETTINGS.model_copy(update={"proxies": 200}), 64, 0).points().detach()
    assert float(BALL.radii(points).max()) <= 2.3 * (1 + 1e-12)
    assert float(BALL.radii(points).mean()) == pytest.approx(0.9 * 2.3, rel=0.02)


def test_the_first_step_of_a_proxy_is_a_geodesic_as_long_as_the_rate() -> None:
    hierarchy = Hierarchy(SETTINGS, 4, 0)
    before = hierarchy.points().detach().clone()
    (optimizer,) = hierarchy.optimizers(0.03)
    hierarchy(normal(10, 4), table([0, 1, 2, 3, 4] * 2)).backward()
    moved = hierarchy.proxies.grad.abs().sum(1) > 0
    optimizer.step()
    steps = -BALL.paired_similarity(before, hierarchy.points().detach())
    torch.testing.assert_close(steps[moved], torch.full_like(steps[moved], 0.03), rtol=1e-4, atol=0)
    assert moved.any()


@pytest.mark.parametrize("rate", [0.1, 3.0])
def test_proxies_stay_in_the_ball(rate: float) -> None:
    hierarchy = Hierarchy(SETTINGS, 4, 0)
    (optimizer,) = hierarchy.optimizers(rate)
    for seed in range(15):
        optimizer.zero_grad()
        hierarchy(normal(10, 4, seed=seed), table([0, 1, 2, 3, 4] * 2)).backward()
        optimizer.step()
    assert float(hierarchy.proxies.detach().norm(dim=1).max()) < 1 / math.sqrt(0.1)
    assert torch.isfinite(hierarchy.points()).all()


def test_the_gradient_of_samples_is_the_riemannian_one_of_the_ball() -> None:
    features = normal(5, 3)
    leaf = features.clone().requires_grad_()
    rescale_gradient(leaf * 1, 0.1).pow(2).sum().backward()

    point = expmap0(features, 0.1).requires_grad_()
    ball = geoopt.PoincareBall(torch.tensor(0.1, dtype=torch.float64))
    radius = point.norm(dim=1, keepdim=True)
    back = point / radius * torch.atanh(math.sqrt(0.1) * radius) / math.sqrt(0.1)
    back.pow(2).sum().backward()
    assert point.grad is not None
    riemannian = ball.egrad2rgrad(point.detach(), point.grad)
    _, chained = torch.autograd.functional.vjp(lambda v: expmap0(v, 0.1), features, riemannian)
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, chained)


def test_the_parent_is_the_likeliest_ancestor_of_a_proxy_and_its_mutual_neighbours() -> None:
    hierarchy = Hierarchy(SETTINGS.model_copy(update={"proxies": 15}), 3, 0)
    points = (
        hierarchy.points().detach() * torch.linspace(0.1, 1, 15).unsqueeze(1)[torch.randperm(15)]
    )
    distances, radii = BALL.similarity(points, points, -1.0), BALL.radii(points)
    parents = grow_tree(distances, radii, 4)
    mutual = mutual_neighbours(-distances, 4)
    for proxy in range(15):
        inner = [other for other in range(15) if radii[other] < radii[proxy]]
        family = [proxy, *mutual[proxy].nonzero().flatten().tolist()]
        farthest = {
            other: max(float(distances[member, other]) for member in family) for other in inner
        }
        assert parents[proxy] == (min(farthest, key=lambda other: farthest[other]) if inner else -1)
    assert (parents == -1).sum() == 1


def test_samples_belong_to_their_nearest_proxy() -> None:
    hierarchy = Hierarchy(SETTINGS, 4, 0)
    proxies = hierarchy.points().detach()
    assert hierarchy.nearest(proxies * 1.001).tolist() == list(range(9))
    assert hierarchy.grow().shape == (9,)
