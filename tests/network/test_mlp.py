"""The MLP: a function of the whole vector, the same for the same seed; linear: the vector."""

from typing import Any

import numpy as np
import pytest
import torch

from geomix.errors import InputError
from geomix.network.mlp import DEPTH, WIDTH, Block, build_mlp
from tests.network.conftest import build, section

SETTINGS: dict[str, Any] = {"name": "mlp", "width": 16, "depth": 3}
MOMENTS = (np.array([1.0, -2.0]), np.array([0.5, 3.0]))


@pytest.mark.parametrize(
    ("change", "width", "depth"), [({}, 16, 3), ({"width": None, "depth": None}, WIDTH, DEPTH)]
)
def test_it_has_the_size_asked_for(change: dict[str, Any], width: int, depth: int) -> None:
    network, found = build_mlp(section(SETTINGS | change), 2, seed=0)
    assert network(torch.zeros(4, 2)).shape == (4, width)
    assert found == width
    assert sum(isinstance(module, Block) for module in network) == depth


def test_a_seed_gives_the_same_weights() -> None:
    first, again, other = (
        build_mlp(section(SETTINGS), 5, seed)[0].state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_a_block_adds_to_its_input() -> None:
    block = Block(4, 0)
    for weight in block.mlp.fc2.parameters():
        torch.nn.init.zeros_(weight)
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(features), features)


def test_linear_is_a_linear_map_of_the_standardised_vector() -> None:
    linear = {"name": "linear", "width": 30, "heads": 4}  # what of params.yaml has no use here
    encoder = build(linear, 7, (1, 1, 2), 0, MOMENTS)
    vectors = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    features, embeddings = encoder(vectors)
    assert torch.equal(features, vectors)
    torch.testing.assert_close(embeddings, vectors @ encoder.head.weight.T)
    names = ["mean", "std", "head.weight", "head.bias"]
    assert list(encoder.state_dict()) == names


def test_vectors_of_one_number_are_told_apart() -> None:
    network, _ = build_mlp(section(SETTINGS), 1, seed=0)
    features = network(torch.tensor([[-1.0], [0.5], [2.0]]))
    assert torch.cdist(features, features)[0, 1:].min() > 0.1


def test_drop_path_rises_over_the_blocks() -> None:
    network, _ = build_mlp(section(SETTINGS | {"drop_path": 0.2}), 2, seed=0)
    found = [module.drop_path.drop_prob for module in network if isinstance(module, Block)]
    assert found == pytest.approx([0, 0.1, 0.2])


def test_the_moments_of_the_data_are_saved_with_the_weights() -> None:
    encoder = build(SETTINGS, 7, (1, 1, 2), 0, MOMENTS)
    assert encoder.state_dict()["mean"].tolist() == [1, -2]
    assert encoder.state_dict()["std"].tolist() == [0.5, 3]
    features, embeddings = encoder(torch.zeros(4, 2))
    assert (features.shape, embeddings.shape) == ((4, 16), (4, 7))


@pytest.mark.parametrize(
    ("name", "moments"), [("mlp", None), ("linear", None), ("vit_tiny_patch16_224", MOMENTS)]
)
def test_a_backbone_that_does_not_fit_the_data_is_a_defect(name: str, moments: Any) -> None:
    data = "vectors" if moments else "images"
    with pytest.raises(ValueError, match=f"found {name}, expected a backbone for {data}"):
        build(SETTINGS | {"name": name}, 7, (1, 1, 2), 0, moments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretrained": True}, "backbone.pretrained: found True, expected none: mlp starts from"),
        ({"checkpoint": "w.pth"}, "backbone.checkpoint: found w.pth, expected none"),
    ],
)
def test_weights_from_elsewhere_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(SETTINGS | change, 7, (1, 1, 2), 0, MOMENTS)
