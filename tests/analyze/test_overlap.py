"""Which negatives are hard: sets, ranks, and what no curvature can change."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from geomix.analyze.overlap import Asked, correlate, draw_anchors, rank_negatives, share_hardest
from geomix.evaluate.acted import other_class
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Flat, Inner

LABELS = np.arange(80) // 4


def draw_vectors(shift: float = 1.5) -> Tensor:
    random = torch.Generator().manual_seed(4)
    vectors = torch.randn(80, 5, generator=random, dtype=torch.float64)
    return vectors * (shift + torch.rand(80, 1, generator=random, dtype=torch.float64))


def ask() -> Asked:
    rows = np.arange(80)
    return draw_anchors(LABELS, rows, rows, other_class(LABELS), 0)


def test_anchors_are_one_of_each_class_with_another_of_it() -> None:
    asked = ask()
    assert LABELS[asked.anchors].tolist() == list(range(20))
    assert (LABELS[asked.positives] == LABELS[asked.anchors]).all()
    assert (asked.positives != asked.anchors).all()
    assert (asked.negative.sum(1) == 76).all()


def test_anchors_are_queries_and_the_rest_is_of_the_gallery() -> None:
    queries, gallery = np.arange(0, 80, 2), np.arange(1, 80, 2)
    asked = draw_anchors(LABELS, queries, gallery, other_class(LABELS), 0)
    assert set(asked.anchors) <= set(queries)
    assert set(asked.positives) <= set(gallery)
    assert asked.items.tolist() == gallery.tolist()


def test_ranks_and_sets_are_those_of_the_definition() -> None:
    asked, vectors = ask(), draw_vectors()
    geometries = [cosine(), Geometry([Inner(1.0, None)], [1.0], 1.0)]
    one, other = (rank_negatives(geometry, vectors, asked) for geometry in geometries)
    shared, correlations = share_hardest(one, other), correlate(one, other)
    for at, anchor in enumerate(asked.anchors):
        items = np.flatnonzero(LABELS[anchor] != LABELS)
        products = (vectors @ vectors[anchor]).numpy()
        cosines = products / vectors.norm(dim=1).numpy()
        sets = [set(items[np.argsort(-values[items])[:10]]) for values in (cosines, products)]
        assert set(one.hardest[at]) == sets[0]
        jaccard = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        assert shared[at] == pytest.approx(jaccard)
        expected = spearmanr(cosines[items], products[items]).statistic
        assert correlations[at] == pytest.approx(expected, abs=1e-6)
    assert shared.min() < 1


@pytest.mark.parametrize("curvature", [0.1, 1, 4])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_ball_whose_points_are_all_clipped_ranks_negatives_as_the_cosine(
    curvature: float, normalize: bool
) -> None:
    """HypMix as released feeds unit vectors; Hyp-ViT's norms all exceed its clip radius."""
    vectors = draw_vectors(3)
    ball = Ball(curvature, 1.0, 2.3, normalize=normalize)
    radii = ball.radii(ball.place(vectors))
    assert float(radii.std() / radii.mean()) < 1e-12
    one, other = (
        rank_negatives(geometry, vectors, ask())
        for geometry in (cosine(), Geometry([ball], [1.0], 0.2))
    )
    assert (share_hardest(one, other) == 1).all()
    assert correlate(one, other).min() > 1 - 1e-9


def test_with_free_radii_a_ball_ranks_negatives_unlike_the_cosine() -> None:
    ball = Geometry([Ball(1.0, 0.4, None)], [1.0], 0.2)
    one, other = (rank_negatives(one, draw_vectors(0.3), ask()) for one in (cosine(), ball))
    assert share_hardest(one, other).mean() < 0.8


def test_temperature_and_a_factor_on_a_distance_change_no_list() -> None:
    flat = [Geometry([Flat(scale, None)], [1.0], tau) for scale, tau in ((1.0, 0.1), (3.0, 7.0))]
    one, other = (rank_negatives(geometry, draw_vectors(), ask()) for geometry in flat)
    assert (one.hardest == other.hardest).all()
    assert (one.ranks == other.ranks).all()
