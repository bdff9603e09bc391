"""UnReMix: its weights by definition."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import MixedImportance
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.mixed_importance import mixed_importance_weights

TAU = 0.5


def test_mixed_importance_equals_its_definition(logits: Tensor, pair: tuple[Table, Table]) -> None:
    rows, columns = pair
    given = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pairwise_cross_entropy(given, rows, columns), given)
    settings = MixedImportance(
        rule="mixed_importance", similarity=0.3, uncertainty=0.4, distance=0.2
    )
    weights = mixed_importance_weights(logits, rows, columns, settings=settings).exp()
    unlike = rows.label.unsqueeze(1) != columns.label
    means = [float(logits[unlike[:, q], q].mean()) * TAU for q in range(len(columns))]
    for r in range(len(rows)):
        chosen = [q for q in range(len(columns)) if unlike[r, q]]
        a = [math.exp(logits[r, q]) for q in chosen]
        u = [
            math.sqrt(sum(float(gradient[k, q]) ** 2 for k in range(len(rows)) if unlike[k, q]))
            for q in chosen
        ]
        d = [max(means) - means[q] for q in chosen]
        for n, q in enumerate(chosen):
            share = [kind[n] * len(kind) / sum(kind) - 1 for kind in (a, u, d)]
            assert float(weights[r, q]) == pytest.approx(
                1 + 0.3 * share[0] + 0.4 * share[1] + 0.2 * share[2], rel=1e-9
            )
