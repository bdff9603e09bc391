"""Fit: the loss falls, the seed fixes everything, what is not finite stops before the update."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.config.losses import Hier, NoRegulariser, PairwiseCrossEntropy
from geomix.config.negatives import Uniform
from geomix.config.sections import Optim
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.progress import open_bar
from geomix.regularisers.hier import Hierarchy
from geomix.train import batches
from geomix.train import fit as module
from geomix.train.device import choose_device
from geomix.train.fit import learning_rate
from geomix.train.objective import Objective, build_objective
from geomix.train.state import build_optimizers
from geomix.train.views import Batch
from tests.train.conftest import build, fit

HYBRID = {
    "cosine": {"space": "sphere", "weight": 1},
    "distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3},
}


def hybrid() -> Geometry:
    return build(HYBRID, tau=0.1, curvature=0.5, lam=1)


def test_the_loss_falls_and_the_scale_is_trained(packed: Packed, settings: dict[str, Any]) -> None:
    geometry = hybrid()
    before = geometry.describe()["spaces"][1]["scale"]
    run = fit(packed, geometry, settings | {"epochs": 12}, 0, "cell")
    assert run.history[-1]["loss"] < 0.7 * run.history[0]["loss"]
    assert run.geometry.describe()["spaces"][1]["scale"] != before
    assert [row["epoch"] for row in run.history] == list(range(1, 13))
    assert run.history[0]["radius_mean"] > 0


def test_a_learned_curvature_is_trained_kept_in_range_and_told_for_each_epoch(
    packed: Packed, settings: dict[str, Any]
) -> None:
    parts = {
        "ball": {
            "space": "ball",
            "weight": 1,
            "scale": "learned",
            "clip_radius": 2.3,
            "learn_curvature": True,
        }
    }
    geometry = build(parts, tau=0.1, curvature=0.5, lam=None)
    wild = settings | {"optim": settings["optim"] | {"learning_rate": 3.0, "clip_norm": 1e9}}
    curvatures = [row["ball.curvature"] for row in fit(packed, geometry, wild, 0, "cell").history]
    assert curvatures[-1] != 0.5
    assert all(0.05 * (1 - 1e-6) <= curvature <= 5.0 * (1 + 1e-6) for curvature in curvatures)
    assert geometry.describe()["spaces"][0]["curvature"] == pytest.approx(curvatures[-1])
    ratio = dict(geometry.named_parameters())["spaces.0.log_ratio"]
    assert abs(ratio.item()) <= math.log(10) + 1e-6


def test_what_a_geometry_learns_is_updated_last_and_ten_times_as_fast() -> None:
    more = {"learn_curvature": True, "learn_weight": True}
    parts = HYBRID | {"distance": HYBRID["distance"] | more}
    geometry, encoder = build(parts, tau=0.1, curvature=0.5, lam=None), torch.nn.Linear(4, 8)
    optim = Optim(learning_rate=0.002, weight_decay=0, warmup=0, clip_norm=1)
    objective = build_objective(
        PairwiseCrossEntropy(name="pairwise_cross_entropy"),
        Uniform(rule="uniform"),
        NoRegulariser(name="none"),
        geometry,
        *(None, 8, 0),
    )
    (adam,) = build_optimizers(encoder, geometry, objective, optim)
    learned = list(geometry.parameters())
    assert [id(one) for one in adam.param_groups[-1]["params"]] == [id(one) for one in learned]
    assert [group["factor"] for group in adam.param_groups] == [1, 1, 10]
    before = [one.item() for one in learned]
    for group in adam.param_groups:
        group["lr"] *= group["factor"]
    points = geometry.place(encoder(torch.randn(6, 4, generator=torch.Generator().manual_seed(0))))
    geometry.logits(points, points).sum().backward()
    adam.step()
    steps = [abs(one.item() - start) for one, start in zip(learned, before, strict=True)]
    assert steps == pytest.approx([0.02] * 3, rel=1e-3)  # of scale, curvature and weight


def test_learned_weights_are_trained_kept_in_range_and_told_for_each_epoch(
    packed: Packed, settings: dict[str, Any]
) -> None:
    parts = {name: part | {"learn_weight": True} for name, part in HYBRID.items()}
    geometry = build(parts, tau=0.1, curvature=0.5, lam=None)
    wild = settings | {"optim": settings["optim"] | {"learning_rate": 3.0, "clip_norm": 1e9}}
    history = fit(packed, geometry, wild, 0, "cell").history
    for name, part in zip(parts, geometry.describe()["spaces"], strict=True):
        weights = [row[f"{name}.weight"] for row in history]
        assert weights[-1] != 1.0
        assert all(0.1 * (1 - 1e-6) <= weight <= 10 * (1 + 1e-6) for weight in weights)
        assert part["weight"] == weights[-1]


LOSSES = [
    {"name": "supervised_contrastive"},
    {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 100.0},
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss["name"])
def test_every_loss_falls_in_a_sum_of_spaces(
    packed: Packed, settings: dict[str, Any], loss: dict[str, Any]
) -> None:
    run = fit(packed, hybrid(), settings | {"epochs": 12, "loss": loss}, 0, "cell")
    assert run.history[-1]["loss"] < 0.8 * run.history[0]["loss"]


HIER = {"name": "hier", "weight": 0.5, "proxies": 8, "neighbours": 3, "triplets": 4, "margin": 0.1}
HIER |= {"curvature": 0.1, "clip_radius": 2.3, "rate_factor": 5}


def without_relatives(packed: Packed, but: int = 0) -> Packed:
    """Return the data set with each sample at a leaf of its own, but for the first of train."""
    paths = [f"g{row // 10}/leaf{row}" for row in range(len(packed.samples))]
    for row in packed.rows("train")[:but]:
        paths[row] = "g/leaf"
    return replace(packed, samples=packed.samples.assign(lineage=paths))


def test_lineages_without_relatives_are_refused_before_training(
    packed: Packed, settings: dict[str, Any]
) -> None:
    settings["relevance"] = "lineage"
    with pytest.raises(InputError, match="relevance: found lineage, and in the train split no"):
        fit(without_relatives(packed), hybrid(), settings, 0, "cell")
    fit(without_relatives(packed), hybrid(), settings | {"loss": {"name": "distances"}}, 0, "cell")


def test_a_batch_without_relatives_is_named(
    packed: Packed, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WHOLE", 4)
    settings |= {"relevance": "lineage", "epochs": 30, "batch": {"classes": 2, "images": 2}}
    with pytest.raises(InputError, match=r"cell: step \d+: loss: found no row with a positive"):
        fit(without_relatives(packed, but=2), hybrid(), settings, 0, "cell")


def test_the_proxies_of_a_hierarchy_are_trained_beside_any_loss(
    packed: Packed, settings: dict[str, Any]
) -> None:
    loss = {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 100.0}
    runs = [
        fit(
            packed,
            hybrid(),
            settings | {"epochs": 12, "loss": loss, "regulariser": HIER},
            0,
            "cell",
        )
        for _ in range(2)
    ]
    assert runs[0].history == runs[1].history
    assert runs[0].history[-1]["loss"] < 0.8 * runs[0].history[0]["loss"]
    first, again = (run.objective.hierarchy for run in runs)
    assert isinstance(first, Hierarchy)
    assert isinstance(again, Hierarchy)
    assert torch.equal(first.proxies, again.proxies)
    moved = (first.points() - Hierarchy(Hier.model_validate(HIER), 8, 0).points()).norm(dim=1)
    assert (moved > 0.01).all()


RULES = [
    {"rule": "hard", "beta": 1.0, "tau_plus": 0.0, "anneal": "down"},
    {"rule": "false_negative_elimination", "margin": 0.2, "prior": 0.0001, "suspicious": 0.001},
    {
        "rule": "doubly_contrastive",
        "clusters": 6,
        "temperature": 0.5,
        "weight": 1,
        "rate_factor": 1,
    },
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
def test_a_rule_trains_and_hears_of_every_epoch(
    packed: Packed, settings: dict[str, Any], rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, int]] = []
    start = Objective.start_epoch

    def hear(objective: Objective, epoch: int, epochs: int) -> None:
        heard.append((epoch, epochs))
        start(objective, epoch, epochs)

    monkeypatch.setattr(Objective, "start_epoch", hear)
    run = fit(packed, hybrid(), settings | {"epochs": 8, "negatives": rule}, 0, "cell")
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert heard == [(epoch, 8) for epoch in range(8)]


def test_the_seed_fixes_every_weight(packed: Packed, settings: dict[str, Any]) -> None:
    first, again, other = (fit(packed, hybrid(), settings, seed, "cell") for seed in (1, 1, 2))
    same = [
        torch.equal(a, b)
        for a, b in zip(
            first.encoder.state_dict().values(), again.encoder.state_dict().values(), strict=True
        )
    ]
    assert all(same)
    assert first.history == again.history
    assert first.history != other.history


def weights(packed: Packed, settings: dict[str, Any], **changes: Any) -> list[Tensor]:
    """Train and give the weights."""
    return list(fit(packed, hybrid(), settings | changes, 0, "cell").encoder.state_dict().values())


def test_hidden_labels_are_never_seen(packed: Packed, settings: dict[str, Any]) -> None:
    labels = packed.samples["label"].where(packed.samples["split"] != "train", "one")
    blank = Packed(packed.samples.assign(label=labels), packed.images, packed.card)
    first, second = (weights(one, settings, labels="hidden") for one in (packed, blank))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    given = weights(packed, settings)
    assert not torch.equal(first[-1], given[-1])
    with pytest.raises(InputError, match="batch.classes"):
        weights(blank, settings)


def apart(packed: Packed) -> Packed:
    """Give images that have nothing in common, unlike those of a class."""
    tiles = np.random.default_rng(1).integers(0, 256, (len(packed.samples), 4, 4, 1), np.uint8)
    return Packed(packed.samples, tiles.repeat(4, 1).repeat(4, 2), packed.card)


@pytest.mark.parametrize("loss", ["pairwise_cross_entropy", "supervised_contrastive"])
def test_the_loss_falls_without_labels(packed: Packed, settings: dict[str, Any], loss: str) -> None:
    harder = {
        "augment": settings["augment"] | {"noise": 0.5},
        "batch": {"classes": 10, "images": 4},
    }
    changed = settings | harder | {"epochs": 30, "labels": "hidden", "loss": {"name": loss}}
    run = fit(apart(packed), hybrid(), changed, 0, "cell")
    assert run.history[-1]["loss"] < 0.8 * run.history[0]["loss"]


def test_the_two_views_of_an_image_differ(
    packed: Packed, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Batch] = []
    draw = module.draw_views

    def note(*given: Any) -> Iterator[Batch]:
        for one in draw(*given):
            seen.append(one)
            yield one

    monkeypatch.setattr(module, "draw_views", note)
    fit(apart(packed), hybrid(), settings | {"labels": "hidden"}, 0, "cell")
    assert len(seen) == 2 * (20 // 3)
    for rows, table, views in seen:
        assert (rows == packed.rows("train")[table.label]).all()
        first, second = views[table.view == 0], views[table.view == 1]
        gaps = (first[:, None] - second[None]).abs().mean((2, 3, 4))
        assert (gaps.diag() > 0).all()
        assert gaps.argmin(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("relevance", ["class", "lineage"])
@pytest.mark.parametrize("whole", [4, 2048])
def test_the_progress_bar_ends_where_training_does(
    packed: Packed,
    settings: dict[str, Any],
    relevance: str,
    whole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bars: list[Any] = []

    def note(**given: Any) -> Any:
        bars.append(open_bar(**given))
        return bars[-1]

    monkeypatch.setattr(batches, "WHOLE", whole)
    monkeypatch.setattr(module, "open_bar", note)
    fit(packed, hybrid(), settings | {"relevance": relevance}, 0, "cell")
    assert [bar.n for bar in bars] == [bar.total for bar in bars]
    assert bars[0].total > 0


@pytest.mark.parametrize("labels", ["given", "hidden"])
def test_batches_made_ahead_give_the_same_weights(
    packed: Packed, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    changed = settings | {"labels": labels, "crop": {"area": 0.3, "flip": 0.5, "centre": 1}}
    inline = weights(packed, changed)
    monkeypatch.setattr(module, "pays", lambda *_: True)
    assert all(torch.equal(a, b) for a, b in zip(inline, weights(packed, changed), strict=True))


def test_only_the_train_split_is_touched(packed: Packed, settings: dict[str, Any]) -> None:
    images = np.array(packed.images)
    images[packed.rows("val")] = 0
    images[packed.rows("test")] = 255
    changed = Packed(packed.samples, images, packed.card)
    assert (
        fit(changed, hybrid(), settings, 0, "cell").history
        == fit(packed, hybrid(), settings, 0, "cell").history
    )


def test_a_loss_that_is_not_finite_stops_before_the_update(
    packed: Packed, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[None] = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: steps.append(None))
    geometry = hybrid()
    for scale in geometry.parameters():
        scale.data.fill_(math.nan)
    with pytest.raises(
        InputError,
        match="cell: step 1: loss: found logits that are not finite, .*; the update was not made",
    ):
        fit(packed, geometry, settings, 0, "cell")
    assert not steps


def test_a_gradient_that_is_not_finite_stops_before_the_update(
    packed: Packed, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(
        InputError, match="cell: step 1: found gradient norm inf, expected a finite one"
    ):
        fit(packed, hybrid(), settings, 0, "cell")


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate(step, 100, 2.0, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 0.002
    assert learning_rate(0, 10, 1.0, 0.0) == 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match="device: found cuda, expected auto or cpu"):
        choose_device("cuda")
