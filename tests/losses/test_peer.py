"""Losses of pytorch-metric-learning: what they take and learn, refusals."""

import inspect
import re
import warnings
from copy import deepcopy
from typing import Any

import pytest
import torch
from pytorch_metric_learning import distances, losses, reducers
from ruamel.yaml import YAML

from geomix.config.losses import PeerLoss
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Sphere
from geomix.losses.peer import UNFIT, Peer, build_peer
from tests.conftest import ROOT
from tests.losses.conftest import table

BATCH = table([0, 2, 1, 0, 2, 1], [0, 0, 0, 1, 1, 1])


def embeddings() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def build(
    geometry: Geometry,
    loss: str,
    arguments: dict[str, Any] | None = None,
    rate_factor: float = 1,
    seed: int = 0,
    classes: int | None = 3,
) -> Peer:
    settings = PeerLoss(
        name="pytorch_metric_learning",
        loss=loss,
        arguments=arguments or {},
        rate_factor=rate_factor,
    )
    return build_peer(settings, geometry, classes, 5, seed)


@pytest.mark.parametrize(
    ("arguments", "temperature"), [({}, 0.07), ({"temperature": 0.5}, 0.5)], ids=["tau", "own"]
)
def test_a_peer_takes_the_temperature_and_its_arguments(
    arguments: dict[str, float], temperature: float
) -> None:
    geometry = Geometry([Sphere()], [1.0], 0.07)
    points = geometry.place(embeddings())
    found = build(geometry, "SupConLoss", arguments)(geometry, embeddings(), points, BATCH)
    expected = losses.SupConLoss(temperature=temperature)(embeddings(), BATCH.label)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_the_seed_fixes_what_a_peer_learns() -> None:
    global_state = torch.get_rng_state()
    peers = [build(cosine(), "ProxyNCALoss", rate_factor=10, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), global_state)
    first, again, other = (next(peer.parameters()) for peer in peers)
    assert first.shape == (3, 5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert peers[0].rate_factor == 10


@pytest.mark.parametrize(
    ("geometry", "loss", "arguments", "message"),
    [
        (
            Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2),
            "SupConLoss",
            {},
            "found pytorch_metric_learning for a geometry of ball, expected .* one sphere",
        ),
        (
            Geometry([Sphere()], [1.0], 0.1, ["cosine"], learn_weights=[True]),
            "SupConLoss",
            {},
            "that learns cosine.weight",
        ),
        (
            cosine(),
            "NoSuchLoss",
            {},
            "loss.loss: found NoSuchLoss, expected one of .*TripletMarginLoss",
        ),
        (
            cosine(),
            "SupConLoss",
            {"heat": 1},
            "loss.arguments: found {'heat': 1}, refused by SupConLoss",
        ),
    ],
)
def test_peers_that_cannot_be_are_refused(
    geometry: Geometry, loss: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(geometry, loss, arguments)


@pytest.mark.parametrize(
    ("loss", "arguments"), [("ProxyNCALoss", {}), ("ArcFaceLoss", {"num_classes": 3})]
)
def test_a_peer_of_classes_is_refused_where_labels_are_hidden(
    loss: str, arguments: dict[str, Any]
) -> None:
    message = f"labels: found hidden for the loss {loss}, expected given"
    with pytest.raises(InputError, match=message):
        build(cosine(), loss, arguments, classes=None)


def test_a_peer_of_pairs_takes_hidden_labels() -> None:
    assert not list(build(cosine(), "NTXentLoss", classes=None).parameters())


def listed() -> dict[str, str]:
    """Return the rows of the table in docs/systems.md."""
    text = (ROOT / "docs/systems.md").read_text()
    return dict(re.findall(r"^\| `([A-Z]\w+)` \| (.+) \|$", text, re.MULTILINE))


def test_the_table_of_losses_is_that_of_the_library() -> None:
    kinds = {name for name, kind in vars(losses).items() if inspect.isclass(kind)}
    assert list(listed()) == sorted(kinds)
    found = {name: words.removeprefix("no: ") for name, words in listed().items()}
    assert {name: words for name, words in found.items() if name in UNFIT} == UNFIT
    assert {name for name, words in found.items() if words.startswith("yes")} == kinds - {*UNFIT}


@pytest.mark.parametrize("loss", sorted(listed()))
def test_every_loss_of_the_library_trains_or_says_why_it_cannot(loss: str) -> None:
    words = listed()[loss]
    if words.startswith("no"):
        with pytest.raises(InputError, match=f"loss.loss: found {loss}, but {UNFIT[loss]}"):
            build(cosine(), loss)
        return
    needed = re.search(r"`(.+)`", words)
    arguments = YAML(typ="safe").load(f"{{{needed[1]}}}") if needed else {}
    given = embeddings().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        peer = build(cosine(), loss, arguments)
        found = peer(cosine(), given, cosine().place(given), BATCH)
    found.backward()
    assert found.shape == ()
    assert torch.isfinite(found)
    assert given.grad is None or torch.isfinite(given.grad).all()


def test_parts_are_named_with_or_without_arguments_of_their_own() -> None:
    arguments = {
        "margin": 0.3,
        "distance": {"name": "LpDistance", "p": 1, "normalize_embeddings": False},
        "reducer": "MeanReducer",
    }
    points = cosine().place(embeddings())
    found = build(cosine(), "TripletMarginLoss", arguments)(cosine(), embeddings(), points, BATCH)
    expected = losses.TripletMarginLoss(
        margin=0.3,
        distance=distances.LpDistance(p=1, normalize_embeddings=False),
        reducer=reducers.MeanReducer(),
    )
    torch.testing.assert_close(found, expected(embeddings(), BATCH.label))
    nested = {"losses": {"a": "SupConLoss", "b": {"name": "NCALoss", "softmax_scale": 2}}}
    found = build(cosine(), "MultipleLosses", nested)(cosine(), embeddings(), points, BATCH)
    both = losses.SupConLoss(temperature=cosine().tau), losses.NCALoss(softmax_scale=2)
    total = sum(loss(embeddings(), BATCH.label) for loss in both)
    torch.testing.assert_close(found, total)
    weighted = {"reducer": {"name": "ClassWeightedReducer", "weights": [1, 0, 0]}}
    assert build(cosine(), "NormalizedSoftmaxLoss", weighted)


def test_smooth_ap_gets_the_samples_of_a_class_one_after_the_other() -> None:
    geometry = Geometry([Sphere()], [1.0], 0.01)
    points = geometry.place(embeddings())
    found = build(geometry, "SmoothAPLoss")(geometry, embeddings(), points, BATCH)
    order = torch.tensor([0, 3, 2, 5, 1, 4])
    expected = losses.SmoothAPLoss(temperature=0.01)(embeddings()[order], BATCH.label[order])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        ("ArcFaceLoss", {"num_classes": 2}, "arguments.num_classes: found 2, expected at least 3"),
        ("ArcFaceLoss", {"embedding_size": 4}, "arguments.embedding_size: found 4, expected 5"),
        ("RankedListLoss", {}, r"arguments: found {}, refused by RankedListLoss: TypeError"),
        (
            "TripletMarginLoss",
            {"distance": "Lp"},
            "arguments.distance: found Lp, expected one of .*LpDistance",
        ),
        ("TripletMarginLoss", {"distance": 2}, "arguments.distance: found 2, expected the name"),
        (
            "CircleLoss",
            {"distance": "LpDistance"},
            "refused by CircleLoss: AssertionError: CircleLoss requires .* CosineSimilarity",
        ),
        (
            "TripletMarginLoss",
            {"reducer": {"name": "ThresholdReducer"}},
            "arguments.reducer: found {}, refused by ThresholdReducer: AssertionError",
        ),
        ("TripletMarginLoss", {"reducer": "DoNothingReducer"}, "without one number, expected a re"),
        (
            "TripletMarginLoss",
            {"reducer": "PerAnchorReducer"},
            "TripletMarginLoss cannot be computed .NotImplementedError: Triplet reduction not",
        ),
        ("CrossBatchMemory", {"loss": "ArcFaceLoss"}, "refused by CrossBatchMemory: .*ArcFaceLoss"),
        (
            "CrossBatchMemory",
            {"loss": "VICRegLoss"},
            "arguments.loss: found VICRegLoss, but it takes no labels",
        ),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_in_one_line(
    loss: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(cosine(), loss, arguments)
    assert "\n" not in str(caught.value)


def test_a_batch_that_a_loss_refuses_is_told_in_one_line() -> None:
    peer = build(cosine(), "CrossBatchMemory", {"loss": "NCALoss", "memory_size": 5})
    with pytest.raises(InputError, match="CrossBatchMemory cannot be computed .AssertionError"):
        peer(cosine(), embeddings(), cosine().place(embeddings()), BATCH)


def test_a_loss_that_can_do_without_classes_takes_hidden_labels() -> None:
    assert not list(build(cosine(), "MarginLoss", classes=None).parameters())


def test_a_memory_of_batches_goes_on_where_it_was_and_draws_alike() -> None:
    arguments = {"loss": {"name": "TripletMarginLoss", "triplets_per_anchor": 2}, "memory_size": 16}
    geometry = cosine()

    def lose(peer: Peer) -> float:
        return peer(geometry, embeddings(), [], BATCH).item()

    torch.manual_seed(1)
    peer = build(geometry, "CrossBatchMemory", arguments)
    lose(peer)
    kept = deepcopy(peer.state_dict())
    assert kept["_extra_state"]["counters"][""]["queue_idx"] == len(BATCH)
    follows = [lose(peer) for _ in range(4)]
    torch.manual_seed(2)
    resumed = build(geometry, "CrossBatchMemory", arguments)
    resumed.load_state_dict(kept)
    assert [lose(resumed) for _ in range(4)] == follows
