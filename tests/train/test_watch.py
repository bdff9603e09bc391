"""What is watched: spread and effective negatives as evaluation has them, and what is told."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate.acted import effective_number, spread_degrees, weigh_negatives
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball
from geomix.losses.table import Table
from geomix.train import watch
from geomix.train.watch import describe_batch, list_worries, name_worst, refuse_infinite
from tests.train.conftest import build, fit

BALL = Geometry([Ball(0.5, 1, 2.3)], [1.0], 0.2)
LABELS = torch.tensor([0, 2, 1, 0, 2, 1, 0])
BATCH = Table(torch.arange(7), LABELS, torch.zeros(7, dtype=torch.int64))


def embeddings() -> torch.Tensor:
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(0))


def test_a_batch_is_described_as_evaluation_describes_a_split() -> None:
    vectors = embeddings() + 2
    found = describe_batch(BALL, vectors, BALL.place(vectors), BATCH, "class")
    assert found["spread"] == pytest.approx(spread_degrees(vectors.double()), rel=1e-9)
    points = BALL.place(vectors.double())
    differs = LABELS[:, None] != LABELS
    weights = weigh_negatives(BALL.similarity(points, points) / BALL.tau, differs)
    assert found["effective_negatives"] == pytest.approx(effective_number(weights), rel=1e-4)


def test_in_a_tree_relatives_are_no_negatives() -> None:
    paths = torch.tensor([[0, -1], [0, 1], [0, 2], [3, -1], [3, -1], [3, 4], [5, -1]])
    table = Table(BATCH.sample, BATCH.label, BATCH.view, paths)
    vectors = torch.ones(7, 5)
    found = describe_batch(BALL, vectors, BALL.place(vectors), table, "lineage")
    counts = [4, 5, 5, 4, 4, 4, 6]  # all weigh alike
    assert found["effective_negatives"] == pytest.approx(np.mean(counts))
    assert found["spread"] == pytest.approx(0, abs=1e-5)


def test_without_negatives_there_is_no_number() -> None:
    vectors, one = embeddings(), Table(BATCH.sample, torch.zeros_like(LABELS), BATCH.view)
    points = BALL.place(vectors)
    for table, task in ((one, "class"), (BATCH, "distances")):
        found = describe_batch(BALL, vectors, points, table, task)  # type: ignore[arg-type]
        assert math.isnan(found["effective_negatives"])


def test_few_anchors_stand_for_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ANCHORS", 3)
    vectors = embeddings()
    found = describe_batch(BALL, vectors, BALL.place(vectors), BATCH, "class")
    points, rows = BALL.place(vectors.double()), torch.tensor([0, 3, 6])
    logits = BALL.similarity([points[0][rows]], points) / BALL.tau
    weights = weigh_negatives(logits, LABELS[rows][:, None] != LABELS)
    assert found["effective_negatives"] == pytest.approx(effective_number(weights), rel=1e-4)


def test_a_collapse_is_told_once_and_a_loss_at_its_start_at_the_end() -> None:
    rows = [{"epoch": n + 1, "spread": s, "loss": 4.0} for n, s in enumerate((5, 0.5, 0.1))]
    told = [list(list_worries(rows[: n + 1], 4.0, n == 2)) for n in range(3)]
    assert [len(lines) for lines in told] == [0, 1, 1]
    assert "epoch 2: collapsed: embeddings are spread over 0.5 degrees" in told[1][0]
    assert "never left its start" in told[2][0]
    assert not list(list_worries([rows[0], rows[0] | {"loss": 3.9}], 4.0, True))


def test_a_collapse_is_told_while_it_happens(
    packed: Packed, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"cosine": {"space": "sphere", "weight": 1}}
    settings["optim"]["learning_rate"] = 1e-9
    flat = Packed(packed.samples, np.zeros_like(packed.images), packed.card)
    settings["augment"] = dict.fromkeys(settings["augment"], 0)
    run = fit(flat, build(parts, tau=0.1, curvature=0.5, lam=1), settings, 0, "cell")
    assert all(row["spread"] < 1e-3 for row in run.history)
    err = capsys.readouterr().err
    assert err.count("training of cell: epoch 1: collapsed") == 1
    assert "training of cell: the loss never left its start" in err


def test_the_worst_tensor_is_named() -> None:
    modules = {"encoder": torch.nn.Linear(2, 3), "geometry": torch.nn.Linear(1, 1)}
    state: Any = SimpleNamespace(modules=modules)
    state.modules["encoder"].bias.grad = torch.tensor([0.0, -7.5, 1])
    assert name_worst(state) == "the gradient of encoder.bias (up to 7.5)"
    state.modules["encoder"].bias.grad[0] = math.inf
    expected = "the gradient of encoder.bias (1 of 3 numbers not finite)"
    assert name_worst(state) == expected
    state.modules["geometry"].weight.data.fill_(math.nan)
    assert name_worst(state) == "geometry.weight (1 of 1 numbers not finite)"
    with pytest.raises(InputError, match="found loss nan, expected a finite one"):
        refuse_infinite(torch.tensor(math.nan), "loss")
