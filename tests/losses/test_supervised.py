"""The supervised contrastive loss: its definition, its peer, equal logits."""

import math

import pytest
import torch

from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Sphere
from geomix.losses.supervised import supervised_contrastive
from geomix.losses.table import Table
from tests.losses.conftest import COLUMNS, ROWS, class_major, random_logits, table


@pytest.mark.parametrize(
    ("rows", "columns"), [(class_major(4, 3), class_major(4, 3)), (ROWS, COLUMNS)]
)
def test_supervised_contrastive_equals_its_definition(rows: Table, columns: Table) -> None:
    logits = random_logits(len(rows), len(columns))
    anchors = []
    for r in range(len(rows)):
        others = [q for q in range(len(columns)) if columns.sample[q] != rows.sample[r]]
        positives = [q for q in others if columns.label[q] == rows.label[r]]
        total = math.log(sum(math.exp(logits[r, q]) for q in others))
        if positives:
            anchors.append(sum(total - float(logits[r, p]) for p in positives) / len(positives))
    assert float(supervised_contrastive(logits, rows, columns)) == pytest.approx(
        sum(anchors) / len(anchors), rel=1e-12
    )


def test_it_equals_pytorch_metric_learning() -> None:
    from pytorch_metric_learning import losses

    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 3])
    batch = table(labels.tolist(), [0] * 8)
    features = random_logits(8, 6)
    cosine = Geometry([Sphere()], [1.0], 0.1)
    points = cosine.place(features)
    mine = supervised_contrastive(cosine.similarity(points, points) / 0.1, batch, batch)
    peer = losses.SupConLoss(temperature=0.1)(features, labels)
    assert float(mine) == pytest.approx(float(peer), rel=1e-9)


def test_equal_logits_give_the_log_of_the_choices() -> None:
    batch = class_major(5, 4)
    loss = supervised_contrastive(torch.zeros(20, 20), batch, batch)
    assert float(loss) == pytest.approx(math.log(19))
