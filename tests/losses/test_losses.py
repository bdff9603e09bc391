"""Losses: their definitions in slow loops, the released values, peers, laws, refusals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Space, Sphere
from geomix.geometry.tangent import Ball
from geomix.losses.losses import pairwise_cross_entropy, proxy_anchor, supervised_contrastive
from geomix.losses.table import Table

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")


def settings(system: str) -> list[str]:
    return sorted(
        {key.rsplit("/", 1)[0] for key in REFERENCE.files if key.startswith(f"{system}/")}
    )


def reference(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def numbers(setting: str) -> dict[str, float]:
    pairs = (pair.split("=") for pair in setting.rsplit("/", 1)[1].split(",") if "=" in pair)
    return {name: float(value) for name, value in pairs}


def table(labels: list[int], views: list[int], samples: list[int] | None = None) -> Table:
    return Table(
        *(torch.tensor(column) for column in (samples or list(range(len(labels))), labels, views))
    )


def class_major(classes: int, views: int) -> Table:
    return table([a for a in range(classes) for _ in range(views)], list(range(views)) * classes)


def random_logits(rows: int, columns: int, scale: float = 2.0) -> Tensor:
    return (
        torch.randn(rows, columns, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        * scale
    )


# Columns from elsewhere: views out of order, a class twice in a view, a view and a class that no
# row has.
ROWS = table([0, 1, 2, 0, 1, 3], [0, 0, 1, 1, 2, 0])
COLUMNS = table([1, 0, 0, 2, 1, 4, 0, 1], [1, 0, 1, 0, 0, 3, 1, 2], [9, 0, 8, 7, 1, 6, 3, 4])


def terms_by_definition(
    logits: Tensor, rows: Table, columns: Table
) -> list[tuple[float, list[float]]]:
    """Give the positive's logit and the negatives' logits of each term of the losses by views."""
    found = []
    for r in range(len(rows)):
        for p in range(len(columns)):
            if (
                rows.label[r] != columns.label[p]
                or rows.view[r] == columns.view[p]
                or rows.sample[r] == columns.sample[p]
            ):
                continue
            negatives = [
                float(logits[r, q])
                for q in range(len(columns))
                if columns.label[q] != rows.label[r]
                and columns.view[q] in (rows.view[r], columns.view[p])
            ]
            found.append((float(logits[r, p]), negatives))
    return found


@pytest.mark.parametrize(
    ("rows", "columns"), [(class_major(5, 3), class_major(5, 3)), (ROWS, COLUMNS)]
)
def test_pairwise_cross_entropy_equals_its_definition(rows: Table, columns: Table) -> None:
    logits = random_logits(len(rows), len(columns))
    terms = [
        -math.log(math.exp(positive) / (math.exp(positive) + sum(map(math.exp, negatives))))
        for positive, negatives in terms_by_definition(logits, rows, columns)
    ]
    assert float(pairwise_cross_entropy(logits, rows, columns)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-12
    )


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


def test_proxy_anchor_equals_its_definition() -> None:
    rows, proxies = table([0, 1, 1, 2, 5], [0] * 5), table([2, 0, 1, 3], [0] * 4, [-1, -2, -3, -4])
    logits, margin = random_logits(5, 4), 0.7
    pull, push = [], []
    for p in range(4):
        mine = [float(logits[r, p]) for r in range(5) if rows.label[r] == proxies.label[p]]
        others = [float(logits[r, p]) for r in range(5) if rows.label[r] != proxies.label[p]]
        if mine:
            pull.append(math.log(1 + sum(math.exp(margin - value) for value in mine)))
        push.append(math.log(1 + sum(math.exp(margin + value) for value in others)))
    expected = sum(pull) / len(pull) + sum(push) / len(push)
    assert float(proxy_anchor(logits, rows, proxies, margin=margin)) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("setting", [*settings("hypvit"), *settings("hypmix")])
def test_loss_and_gradient_equal_the_released_code(setting: str) -> None:
    given = numbers(setting)
    classes, views = int(given["classes"]), int(given["views"])
    spaces: list[Space] = [Sphere()] if "hyperbolic" not in setting else [Ball(given["c"], 1, 2.3)]
    weights, tau = [1.0], given.get("tau", math.nan)
    if setting.startswith("hypmix"):
        spaces, tau = [Sphere(), Ball(given["c"], 1, 2.3, normalize=True)], given["tau_e"]
        weights = [1.0, given["lam"] * given["tau_e"] / given["tau_h"]]
    geometry = Geometry(spaces, weights, tau)
    output = reference(f"{setting}/head_output").requires_grad_()
    points = geometry.place(output.view(classes * views, -1))
    batch = class_major(classes, views)
    loss = (
        pairwise_cross_entropy(geometry.similarity(points, points) / tau, batch, batch)
        * views
        * (views - 1)
    )
    loss.backward()
    expected = reference(f"{setting}/grad")
    # The released ball adds 1e-5 in two places.
    loss_error, gradient_error = (1e-12, 1e-12) if "sphere" in setting else (2e-5, 2e-4)
    assert loss.item() == pytest.approx(float(REFERENCE[f"{setting}/loss_sum"]), rel=loss_error)
    assert output.grad is not None
    torch.testing.assert_close(
        output.grad, expected, rtol=0, atol=gradient_error * float(expected.abs().max())
    )


def test_supervised_contrastive_and_proxy_anchor_equal_pytorch_metric_learning() -> None:
    from pytorch_metric_learning import losses

    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 3])
    batch = table(labels.tolist(), [0] * 8)
    features = random_logits(8, 6)
    cosine = Geometry([Sphere()], [1.0], 0.1)
    points = cosine.place(features)
    mine = supervised_contrastive(cosine.similarity(points, points) / 0.1, batch, batch)
    assert float(mine) == pytest.approx(
        float(losses.SupConLoss(temperature=0.1)(features, labels)), rel=1e-9
    )

    peer = losses.ProxyAnchorLoss(5, 6, margin=0.1, alpha=32).double()
    proxies = table(list(range(5)), [0] * 5, [-1, -2, -3, -4, -5])
    logits = cosine.similarity(points, cosine.place(peer.proxies.detach())) * 32
    assert float(proxy_anchor(logits, batch, proxies, margin=3.2)) == pytest.approx(
        float(peer(features, labels).detach()), rel=1e-9
    )


LOSSES = {
    "pairwise": pairwise_cross_entropy,
    "supervised": supervised_contrastive,
}


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_rows_and_columns_does_not_matter(name: str) -> None:
    logits = random_logits(len(ROWS), len(COLUMNS))
    i, j = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([3, 7, 1, 0, 6, 2, 5, 4])
    rows, columns = (
        Table(t.sample[k], t.label[k], t.view[k]) for t, k in ((ROWS, i), (COLUMNS, j))
    )
    torch.testing.assert_close(
        LOSSES[name](logits[i][:, j], rows, columns), LOSSES[name](logits, ROWS, COLUMNS)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_constant_added_to_a_row_changes_nothing(name: str) -> None:
    batch, logits = class_major(4, 3), random_logits(12, 12)
    shifted = logits + torch.arange(12, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(
        LOSSES[name](shifted, batch, batch), LOSSES[name](logits, batch, batch)
    )


def test_equal_logits_give_the_log_of_the_choices() -> None:
    batch = class_major(5, 4)
    assert float(pairwise_cross_entropy(torch.zeros(20, 20), batch, batch)) == pytest.approx(
        math.log(2 * 5 - 1)
    )
    assert float(supervised_contrastive(torch.zeros(20, 20), batch, batch)) == pytest.approx(
        math.log(19)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_finite_differences(name: str) -> None:
    logits = random_logits(len(ROWS), len(COLUMNS), 1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: LOSSES[name](given, ROWS, COLUMNS), logits)
    proxies = table([0, 1, 2, 3], [0] * 4, [-1, -2, -3, -4])
    given = random_logits(6, 4, 1.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda logits: proxy_anchor(logits, ROWS, proxies, margin=0.3), given
    )


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


def test_same_class_columns_other_than_the_positive_have_no_gradient() -> None:
    batch, logits = class_major(3, 2), random_logits(6, 6).requires_grad_()
    pairwise_cross_entropy(logits, batch, batch).backward()
    assert logits.grad is not None
    assert (logits.grad.diagonal() == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_bad_input_is_refused(name: str) -> None:
    batch = class_major(3, 2)
    with pytest.raises(InputError, match=r"found logits \(6, 5\), expected \(6, 6\)"):
        LOSSES[name](torch.zeros(6, 5), batch, batch)
    with pytest.raises(InputError, match="found logits that are not finite"):
        LOSSES[name](torch.full((6, 6), math.nan), batch, batch)
    single = table([0, 1, 2], [0, 0, 0])
    with pytest.raises(InputError, match="found no row with a positive"):
        LOSSES[name](torch.zeros(3, 3), single, single)


def test_several_proxies_of_a_class_are_refused() -> None:
    with pytest.raises(InputError, match="several proxies of a class"):
        proxy_anchor(torch.zeros(2, 2), table([0, 1], [0, 0]), table([1, 1], [0, 0]), margin=0)
