"""Losses of a batch: weights without gradient, hidden labels."""

import math

import pytest
import torch

from geomix.errors import InputError
from geomix.losses.batch_loss import require_classes, weighted
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from tests.losses.conftest import random_logits


def test_no_gradient_flows_through_weights(pair: tuple[Table, Table]) -> None:
    given = random_logits(len(pair[0]), len(pair[1]), 1.0).requires_grad_()
    fixed = torch.full_like(given, math.log(2.0)).masked_fill(
        pair[0].label.unsqueeze(1) == pair[1].label, 0
    )
    loss = weighted(lambda given, *_: fixed + given * 0).loss(given, *pair)
    by_rule = torch.autograd.grad(loss, given)[0]
    expected = torch.autograd.grad(pairwise_cross_entropy(given + fixed, *pair), given)[0]
    torch.testing.assert_close(by_rule, expected)


def test_hidden_labels_are_refused_where_classes_are_needed() -> None:
    assert require_classes(3, "x") == 3
    with pytest.raises(InputError, match="labels: found hidden for the loss x, expected given"):
        require_classes(None, "x")
