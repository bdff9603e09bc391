"""Losses: the definition in slow loops, the released values, laws, refusals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.model.geometry import Geometry
from geomix.model.spaces import Ball, Sphere
from geomix.train.losses import pairwise_cross_entropy

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")
SETTINGS = sorted({key.rsplit("/", 1)[0] for key in REFERENCE.files if key.startswith("hypvit/")})


def pairwise_cross_entropy_by_definition(logits: torch.Tensor, classes: int, views: int) -> float:
    terms = []
    for i in range(views):
        for j in range(views):
            for a in range(classes):
                if i == j:
                    continue
                anchor = logits[a * views + i].tolist()
                positive = math.exp(anchor[a * views + j])
                total = sum(math.exp(anchor[b * views + j]) for b in range(classes))
                total += sum(math.exp(anchor[b * views + i]) for b in range(classes) if b != a)
                terms.append(-math.log(positive / total))
    return sum(terms) / len(terms)


def random_logits(classes: int, views: int, scale: float = 2.0) -> torch.Tensor:
    count = classes * views
    return torch.randn(count, count, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * scale


@pytest.mark.parametrize(("classes", "views"), [(2, 2), (5, 3), (3, 4)])
def test_loss_equals_its_definition(classes: int, views: int) -> None:
    logits = random_logits(classes, views)  # not symmetric
    expected = pairwise_cross_entropy_by_definition(logits, classes, views)
    assert float(pairwise_cross_entropy(logits, classes, views)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("setting", SETTINGS)
def test_loss_and_gradient_equal_the_released_code(setting: str) -> None:
    values = dict(pair.split("=") for pair in setting.split("/")[2].split(","))
    classes, views, tau = int(values["classes"]), int(values["views"]), float(values["tau"])
    sphere = "sphere" in setting
    space = Sphere() if sphere else Ball(float(values["c"]), 1, 2.3)
    geometry = Geometry([space], [1], tau)
    output = torch.from_numpy(REFERENCE[f"{setting}/head_output"]).requires_grad_()
    points = geometry.place(output.view(classes * views, -1))
    loss = pairwise_cross_entropy(geometry.similarity(points, points) / tau, classes, views) * views * (views - 1)
    loss.backward()
    expected = torch.from_numpy(REFERENCE[f"{setting}/grad"])
    loss_error, gradient_error = (1e-13, 1e-12) if sphere else (2e-5, 2e-4)  # the released ball adds 1e-5 in two places
    assert loss.item() == pytest.approx(float(REFERENCE[f"{setting}/loss_sum"]), rel=loss_error)
    assert output.grad is not None
    torch.testing.assert_close(output.grad, expected, rtol=0, atol=gradient_error * float(expected.abs().max()))


def test_order_of_the_classes_does_not_matter() -> None:
    logits = random_logits(4, 3)
    order = torch.tensor([2, 0, 3, 1])
    rows = (order.unsqueeze(1) * 3 + torch.arange(3)).flatten()
    torch.testing.assert_close(pairwise_cross_entropy(logits[rows][:, rows], 4, 3), pairwise_cross_entropy(logits, 4, 3))


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    logits = random_logits(4, 3)
    shifted = logits + torch.arange(12, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(pairwise_cross_entropy(shifted, 4, 3), pairwise_cross_entropy(logits, 4, 3))


def test_equal_logits_give_the_log_of_the_choices() -> None:
    assert float(pairwise_cross_entropy(torch.zeros(20, 20), 5, 4)) == pytest.approx(math.log(2 * 5 - 1))


@pytest.mark.parametrize("scale", [10.0, 700.0])
def test_float32_is_as_accurate_as_stated(scale: float) -> None:
    logits = random_logits(6, 3, scale)
    exact = pairwise_cross_entropy(logits.float().double(), 6, 3)
    stated = 1e-6 * (1 + float(logits.abs().max()) + math.log(12))
    assert abs(float(pairwise_cross_entropy(logits.float(), 6, 3)) - float(exact)) <= stated


def test_gradient_is_finite_at_extreme_logits() -> None:
    logits = (random_logits(4, 2) * 1e4).float().requires_grad_()
    pairwise_cross_entropy(logits, 4, 2).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_same_class_columns_other_than_the_positive_have_no_gradient() -> None:
    logits = random_logits(3, 2).requires_grad_()
    pairwise_cross_entropy(logits, 3, 2).backward()
    assert logits.grad is not None
    assert (logits.grad.diagonal() == 0).all()


@pytest.mark.parametrize(("shape", "classes", "views"), [((6, 6), 2, 2), ((6, 5), 3, 2), ((4, 4), 4, 1), ((2, 2), 1, 2)])
def test_other_shapes_and_sizes_are_refused(shape: tuple[int, int], classes: int, views: int) -> None:
    with pytest.raises(InputError, match="pairwise_cross_entropy: found .*expected"):
        pairwise_cross_entropy(torch.zeros(shape), classes, views)
