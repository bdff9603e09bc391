"""Laws of the losses on logits: order, shifts, gradients, accuracy, extremes, refusals."""

import math

import pytest
import torch

from geomix.errors import InputError
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.supervised import supervised_contrastive
from tests.losses.conftest import COLUMNS, ROWS, class_major, random_logits, table

LOSSES = {
    "pairwise": pairwise_cross_entropy,
    "supervised": supervised_contrastive,
}


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_rows_and_columns_does_not_matter(name: str) -> None:
    logits = random_logits(len(ROWS), len(COLUMNS))
    i, j = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([3, 7, 1, 0, 6, 2, 5, 4])
    torch.testing.assert_close(
        LOSSES[name](logits[i][:, j], ROWS[i], COLUMNS[j]), LOSSES[name](logits, ROWS, COLUMNS)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_constant_added_to_a_row_changes_nothing(name: str) -> None:
    batch, logits = class_major(4, 3), random_logits(12, 12)
    shifted = logits + torch.arange(12, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(
        LOSSES[name](shifted, batch, batch), LOSSES[name](logits, batch, batch)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_finite_differences(name: str) -> None:
    logits = random_logits(len(ROWS), len(COLUMNS), 1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: LOSSES[name](given, ROWS, COLUMNS), logits)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [10.0, 700.0])
def test_float32_is_as_accurate_as_stated(name: str, scale: float) -> None:
    batch, logits = class_major(6, 3), random_logits(18, 18, scale)
    exact = LOSSES[name](logits.float().double(), batch, batch)
    stated = 1e-6 * (1 + float(logits.abs().max()) + math.log(18))
    assert abs(float(LOSSES[name](logits.float(), batch, batch)) - float(exact)) <= stated


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_finite_at_extreme_logits(name: str) -> None:
    batch, logits = class_major(4, 2), (random_logits(8, 8) * 1e4).float().requires_grad_()
    loss = LOSSES[name](logits, batch, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_bad_input_is_refused(name: str) -> None:
    batch = class_major(3, 2)
    with pytest.raises(ValueError, match=r"found logits \(6, 5\), expected \(6, 6\)"):
        LOSSES[name](torch.zeros(6, 5), batch, batch)
    with pytest.raises(InputError, match="found logits that are not finite"):
        LOSSES[name](torch.full((6, 6), math.nan), batch, batch)
    single = table([0, 1, 2], [0, 0, 0])
    with pytest.raises(ValueError, match="found no row with a positive"):
        LOSSES[name](torch.zeros(3, 3), single, single)
