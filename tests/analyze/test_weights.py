"""Weights of negatives: p is the gradient's, the pull is autograd's, and temperatures match."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.analyze.negatives import measure_weights
from geomix.analyze.weights import (
    Terms,
    collect_terms,
    cosine_slopes,
    draw_batches,
    gather_terms,
    weigh_terms,
)
from geomix.config.read import load
from geomix.config.stages import CellParams
from geomix.geometry.geometry import Geometry, build_geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Sphere
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from tests.conftest import ROOT

GEOMETRIES = load(CellParams, path=ROOT / "params.yaml").geometry
# Those whose spaces all see the whole embedding, which one cosine is of.
WHOLE = [key for key, parts in GEOMETRIES.items() if not any(p.outputs for p in parts.values())]
VIEWS, CLASSES = 3, 4


def draw_vectors(count: int = VIEWS * CLASSES, dimensions: int = 6, seed: int = 0) -> Tensor:
    """Draw vectors of unequal lengths: some are clipped at 2.3, some are not."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, dimensions, generator=random, dtype=torch.float64)
    return vectors * torch.linspace(0.3, 2.5, count, dtype=torch.float64).unsqueeze(1)


def build(name: str, tau: float = 0.7) -> Geometry:
    geometry = build_geometry(GEOMETRIES[name], tau=tau, curvature=1.3, lam=0.8, dimensions=6)
    return geometry.requires_grad_(False)


def as_batch(matrix: Tensor) -> Tensor:
    """Return a matrix of all pairs as one batch, (1, K, P, K, P)."""
    return matrix.view(1, VIEWS, CLASSES, VIEWS, CLASSES)


def test_p_is_the_gradient_of_the_loss_by_the_logits() -> None:
    size = VIEWS * CLASSES
    random = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(size, size, generator=random, dtype=torch.float64)
    logits.requires_grad_()
    labels, views = torch.arange(CLASSES).repeat(VIEWS), torch.arange(VIEWS)
    batch = Table(torch.arange(size), labels, views.repeat_interleave(CLASSES))
    pairwise_cross_entropy(logits, batch, batch).backward()
    _, places = collect_terms(as_batch(torch.arange(size * size)))
    weights = weigh_terms(*collect_terms(as_batch(logits.detach())))
    summed = torch.zeros(size * size, dtype=torch.float64)
    summed.index_add_(0, places.flatten(), weights.flatten() / len(weights))
    negative = labels[:, None] != labels
    assert logits.grad is not None
    torch.testing.assert_close(summed.view(size, size)[negative], logits.grad[negative])
    assert not summed.view(size, size)[~negative].any()


def test_terms_are_those_of_the_definition_one_by_one() -> None:
    similarity = as_batch(torch.arange((VIEWS * CLASSES) ** 2, dtype=torch.float64))
    positives, negatives = collect_terms(similarity)
    expected = [
        (
            similarity[0, i, a, j, a],
            {float(similarity[0, i, a, v, b]) for v in (i, j) for b in range(CLASSES) if b != a},
        )
        for i in range(VIEWS)
        for j in range(VIEWS)
        for a in range(CLASSES)
        if i != j
    ]
    assert positives.tolist() == [one for one, _ in expected]
    assert [set(row) for row in negatives.tolist()] == [others for _, others in expected]


@pytest.mark.parametrize("name", WHOLE)
def test_the_pull_of_each_negative_is_the_gradient_of_autograd(name: str) -> None:
    geometry, vectors = build(name), draw_vectors()
    terms = gather_terms(geometry, vectors, np.arange(len(vectors)).reshape(1, VIEWS, CLASSES))
    pulls = terms.weigh(geometry.tau) * terms.slopes / geometry.tau
    size = len(vectors)
    places, others = collect_terms(as_batch(torch.arange(size * size)))
    compared = 0
    for term in range(0, len(places), 5):
        anchor, positive = divmod(int(places[term]), size)
        negatives = others[term] % size
        columns = vectors.clone().requires_grad_()
        x, y = geometry.place(vectors[anchor : anchor + 1]), geometry.place(columns)
        logits = (geometry.similarity(x, y) / geometry.tau)[0]
        picked = torch.cat([logits[positive : positive + 1], logits[negatives]])
        (picked.logsumexp(0) - picked[0]).backward()
        assert columns.grad is not None
        for pull, at in zip(pulls[term], negatives.tolist(), strict=True):
            towards, own = vectors[anchor].div(vectors[anchor].norm()), vectors[at]
            direction = own / own.norm()
            side = towards - (towards @ direction) * direction  # its length is the angle's sine
            turned = columns.grad[at] @ side * own.norm() / side.norm() ** 2
            assert float(pull) == pytest.approx(float(turned), rel=1e-5)
            compared += 1
    assert compared >= 30


def test_slopes_of_a_ball_near_curvature_0_are_those_of_the_flat_space() -> None:
    points = draw_vectors()
    ball = cosine_slopes(Geometry([Ball(1e-8, 1.0, None)], [1.0], 1.0), [points])
    flat = cosine_slopes(Geometry([Flat(1.0, None)], [1.0], 1.0), [points])
    unlike = ~torch.eye(len(points), dtype=torch.bool)
    torch.testing.assert_close(ball[unlike], flat[unlike], rtol=1e-6, atol=0)


def test_two_heads_have_no_cosine_to_pull_on() -> None:
    geometry = Geometry([Sphere(), Sphere()], [1.0, 1.0], 1.0, None, [(0, 3), (3, 6)])
    vectors = draw_vectors()
    assert cosine_slopes(geometry, geometry.place(vectors)).isnan().all()


def test_weights_and_the_share_of_the_positive_sum_to_1() -> None:
    positives, negatives = torch.tensor([0.3, -2.0]), torch.tensor([[1.0, 0.2, -5], [0, 0, -900]])
    share = torch.exp(positives) / (torch.exp(positives) + torch.exp(negatives).sum(1))
    weights = weigh_terms(positives, negatives)
    torch.testing.assert_close(weights.sum(1), 1 - share)
    assert (weights > 0).all()


def make_terms(scale: float = 1.0) -> Terms:
    batches = np.arange(12).reshape(1, VIEWS, CLASSES)
    return gather_terms(cosine(), scale * draw_vectors(seed=3), batches)


@pytest.mark.parametrize("near", [1e-3, 0.1, 50])
def test_the_matched_temperature_has_the_effective_negatives(near: float) -> None:
    terms = make_terms()
    tau = terms.match(2.5, near)
    assert float(terms.count_effective(tau).mean()) == pytest.approx(2.5, rel=1e-5)


def test_effective_negatives_are_one_in_the_cold_and_all_in_the_heat() -> None:
    terms = make_terms()
    assert float(terms.count_effective(1e-9).mean()) == pytest.approx(1)
    assert float(terms.count_effective(1e9).mean()) == pytest.approx(2 * (CLASSES - 1))


def test_no_temperature_tells_equal_similarities_apart() -> None:
    terms = gather_terms(cosine(), torch.ones(12, 3).double(), np.arange(12).reshape(1, 3, 4))
    assert math.isnan(terms.match(2.5, 1.0))
    row, _ = measure_weights({}, terms, math.nan)
    assert math.isnan(row["total"])


def test_copies_of_other_classes_weigh_but_do_not_pull() -> None:
    vectors = draw_vectors()
    vectors[1] = vectors[0]
    geometry = Geometry([Flat(1.0, None)], [1.0], 0.5)
    terms = gather_terms(geometry, vectors, np.arange(12).reshape(1, VIEWS, CLASSES))
    assert terms.slopes.isinf().any()
    row, _ = measure_weights({}, terms, 0.5)
    assert 0 < row["pull"] < math.inf


def test_values_of_an_anchor_are_means_over_its_positives() -> None:
    terms = make_terms()
    weights = terms.weigh(0.3).sum(1)
    by_anchor = terms.by_anchor(weights)
    first = [term for term in range(len(weights)) if term // CLASSES < VIEWS - 1]
    mean = weights[[term for term in first if term % CLASSES == 2]].mean()
    assert by_anchor[2] == pytest.approx(float(mean))
    assert by_anchor.shape == (12,)


def test_batches_hold_each_class_once_view_by_view() -> None:
    labels = np.repeat(list("abcdefg"), [5, 5, 2, 6, 5, 5, 5])
    batches = draw_batches(labels, 3, 4, 0)
    assert batches.shape == (2, 4, 3)
    named = labels[batches]
    assert (named == named[:, :1]).all()  # every view has the same classes in one order
    assert len(set(named[:, 0].ravel())) == 6
    assert "c" not in named
    assert len(np.unique(batches)) == batches.size
    assert (batches == draw_batches(labels, 3, 4, 0)).all()
    assert (batches != draw_batches(labels, 3, 4, 1)).any()


@pytest.mark.parametrize(
    ("sizes", "shape"), [([5, 3, 1], (1, 3, 2)), ([9, 1, 1], (0, 1, 3)), ([4], (0, 1, 1))]
)
def test_small_splits_give_smaller_batches_or_none(
    sizes: list[int], shape: tuple[int, int, int]
) -> None:
    assert draw_batches(np.repeat(np.arange(len(sizes)), sizes), 32, 4, 0).shape == shape


def test_slopes_of_published_settings_differ() -> None:
    """At cosine 0.5: Sph-ViT 10, Hyp-ViT 22.5, HypMix 50.4."""
    vectors = torch.tensor([[6.0, 0], [3.0, math.sqrt(27)]]).double()
    cosine_space, fed = Sphere(), Ball(0.1, 1.0, 2.3, normalize=True)
    published = {
        10.0: Geometry([cosine_space], [1.0], 0.1),
        22.5: Geometry([Ball(0.1, 1.0, 2.3)], [1.0], 0.2),
        50.4: Geometry([cosine_space, fed], [1 / 0.05, 3 / 0.2], 1.0),
    }
    for slope, geometry in published.items():
        found = cosine_slopes(geometry, geometry.place(vectors))[0, 1] / geometry.tau
        assert float(found) == pytest.approx(slope, rel=5e-3)
