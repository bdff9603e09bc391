"""Chunks: loss and gradients of the whole batch, and the same dropout in both passes."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geomix.data.packed import Packed
from geomix.train.chunks import Chunks
from tests.train.conftest import step_in_double

HIER = {"name": "hier", "weight": 0.5, "proxies": 8, "neighbours": 3, "triplets": 4, "margin": 0.1}
HIER |= {"curvature": 0.1, "clip_radius": 2.3, "rate_factor": 5}
PROXIES = {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 100.0}


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("chunk", [1, 4])
def test_chunks_give_the_loss_and_the_gradients_of_the_whole_batch(
    packed: Packed, settings: dict[str, Any], norm: str, chunk: int
) -> None:
    settings |= {"head": {"outputs": 8, "norm": norm}, "loss": PROXIES, "regulariser": HIER}
    loss, gradients = step_in_double(packed, settings, None)
    found, others = step_in_double(packed, settings, chunk)
    assert found == pytest.approx(loss, rel=1e-6)
    assert others.keys() == gradients.keys()
    assert any("proxies" in name for name in gradients)
    whole = sum(gradient.norm() for gradient in gradients.values())
    for name, gradient in gradients.items():
        # a batch norm leaves the head's bias no gradient but rounding
        gap = (others[name] - gradient).norm()
        assert gap <= 1e-5 * gradient.norm() + 1e-12 * whole, name


def test_dropout_is_the_same_in_both_passes_and_drawn_on_afterwards() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 2)).double()
    images, factors = torch.randn(7, 3).double(), torch.randn(7, 2).double()

    def gradients() -> list[Tensor]:
        return [weight.grad for weight in network.parameters() if weight.grad is not None]

    torch.manual_seed(1)
    features = torch.cat([network(part) for part in images.split(3)])
    (features * factors).sum().backward()
    expected = gradients()
    network.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    chunks = Chunks(network, 3, nullcontext)
    assert torch.equal(chunks.forward(images), features)
    torch.rand(9)  # the loss may draw in between
    after = torch.get_rng_state()
    chunks.backward(factors)
    assert torch.equal(torch.get_rng_state(), after)
    for gradient, other in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-12, atol=1e-14)
