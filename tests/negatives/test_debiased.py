"""The debiased loss: HCL at beta 0, to the last bit, with the floor of the geometry."""

import math

import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Debiased
from geomix.geometry.geometry import Geometry
from geomix.losses.table import Table
from geomix.negatives.debiased import build, debiased
from geomix.negatives.hard import hard
from tests.losses.conftest import table


@pytest.mark.parametrize(("tau_plus", "lowest"), [(0.0, -9.0), (0.1, -9.0), (0.9, -0.3)])
def test_it_is_hcl_at_beta_0(
    tau_plus: float, lowest: float, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    found = debiased(logits, *pair, tau_plus=tau_plus, lowest=lowest)
    assert torch.equal(found, hard(logits, *pair, beta=0, tau_plus=tau_plus, lowest=lowest))


def test_the_floor_is_the_lowest_logit_of_the_geometry(geometry: Geometry) -> None:
    batch = table([0, 1, 0, 1], [0, 0, 1, 1])
    embeddings = torch.tensor([[9.0, 0.0], [-9.0, 0.0]], dtype=torch.float64).repeat(2, 1)
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    rule = build(Debiased(rule="debiased", tau_plus=0.5), geometry, 2, seed=0)
    found = rule(geometry, embeddings, points, batch)
    # Of the two negatives of a term nothing is left but the floor.
    expected = math.log1p(2 * math.exp(geometry.lowest_logit - float(logits[0, 2])))
    assert expected > 0
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert debiased(logits, batch, batch, tau_plus=0.5) == 0
