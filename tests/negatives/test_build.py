"""Every rule of params.yaml is built, trains in every geometry and repeats itself; beta over the epochs."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from torch import Tensor

from geomix.config.negatives import Negatives
from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table
from geomix.negatives.build import Hard, build_rule
from geomix.negatives.corrections import hard

TEXT = (Path(__file__).parents[2] / "params.yaml").read_text()
RULES: list[dict[str, Any]] = [
    yaml.safe_load(found) for found in re.findall(r"^# (\{rule: .*?\})", TEXT, re.M)
]
FEW = {"clusters": 4, "top": 4}  # a small batch


def test_params_names_every_rule() -> None:
    known = [
        get_args(kind.model_fields["rule"].annotation)[0]
        for kind in get_args(get_args(Negatives)[0])
    ]
    assert [rule["rule"] for rule in RULES] == known


@pytest.mark.parametrize("settings", RULES[1:], ids=lambda settings: settings["rule"])
def test_a_rule_gives_finite_gradients_and_the_seed_fixes_it(
    settings: dict[str, Any], geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    small = {key: FEW.get(key, value) for key, value in settings.items()}
    found = []
    for _ in range(2):
        rule = build_rule(small, geometry, 4, seed=7)
        rule.start_epoch(0, 2)
        points = geometry.place(embeddings)
        losses = [rule(geometry, embeddings, points, batch) for _ in range(3)]
        (gradient,) = torch.autograd.grad(losses[-1], embeddings)
        assert torch.isfinite(gradient).all()
        found.append(torch.stack(losses))
    assert torch.isfinite(found[0]).all()
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("anneal", "expected"),
    [("none", [2, 2, 2, 2]), ("up", [0.5, 1, 1.5, 2]), ("down", [2, 1.5, 1, 0.5])],
)
def test_beta_changes_over_the_epochs(
    anneal: str, expected: list[float], geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    rule, points = Hard(beta=2, tau_plus=0.1, anneal=anneal), geometry.place(embeddings)
    logits = geometry.logits(points, points)
    for epoch, beta in enumerate(expected):
        rule.start_epoch(epoch, 4)
        assert rule.beta == pytest.approx(beta)
        loss = hard(logits, batch, batch, beta=beta, tau_plus=0.1, lowest=geometry.lowest_logit)
        torch.testing.assert_close(rule(geometry, embeddings, points, batch), loss)
