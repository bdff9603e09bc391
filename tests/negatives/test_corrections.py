"""Corrected negatives: HCL and its released values, the positive-unlabelled form, laws, refusals."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Sphere
from geomix.losses.losses import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.corrections import hard, positive_unlabelled

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "released_code.npz")
SETTINGS = sorted({key.rsplit("/", 1)[0] for key in REFERENCE.files if key.startswith("hcl/")})
Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]
RULES: dict[str, Callable[..., Tensor]] = {
    "hard": lambda *given: hard(*given, beta=1.0, tau_plus=0.1, lowest=-10.0),
    "positive_unlabelled": lambda *given: positive_unlabelled(*given, prior=0.1),
}


@pytest.mark.parametrize(
    ("beta", "tau_plus", "lowest"),
    [(0.0, 0.0, -9.0), (1.0, 0.1, -9.0), (2.0, 0.9, -0.3), (0.0, 0.9, -9)],
)
def test_hard_equals_its_definition(
    logits: Tensor,
    pair: tuple[Table, Table],
    find_terms: Terms,
    beta: float,
    tau_plus: float,
    lowest: float,
) -> None:
    terms, floors = [], 0
    for r, p, unlike in find_terms(*pair):
        positive, negatives = float(logits[r, p]), [float(logits[r, q]) for q in unlike]
        count = len(negatives)
        if not count:
            terms.append(0.0)
            continue
        weights = [math.exp(beta * value) for value in negatives]
        summed = sum(w * math.exp(value) for w, value in zip(weights, negatives, strict=True)) / (
            sum(weights) / count
        )
        corrected = (summed - tau_plus * count * math.exp(positive)) / (1 - tau_plus)
        floors += corrected < count * math.exp(lowest)
        terms.append(math.log(1 + max(corrected, count * math.exp(lowest)) / math.exp(positive)))
    assert floors > 0 or tau_plus < 0.5
    found = hard(logits, *pair, beta=beta, tau_plus=tau_plus, lowest=lowest)
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-10)


@pytest.mark.parametrize("name", RULES)
def test_a_row_without_negatives_costs_nothing_however_low_its_logits(name: str) -> None:
    batch = Table(torch.arange(2), torch.zeros(2, dtype=torch.int64), torch.arange(2))
    logits = torch.full((2, 2), -180.0, requires_grad=True)
    loss = RULES[name](logits, batch, batch)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_hard_and_its_gradient_equal_the_released_code(setting: str) -> None:
    given = {
        key: float(value) for key, value in (part.split("=") for part in setting.split(",")[1:])
    }
    views = [
        torch.from_numpy(REFERENCE[f"{setting}/view{number}"]).requires_grad_() for number in (1, 2)
    ]
    cosine = Geometry([Sphere()], [1.0], given["temperature"])
    points = cosine.place(torch.cat(views))
    count = len(views[0])
    batch = Table(
        torch.arange(2 * count),
        torch.arange(count).repeat(2),
        torch.arange(2).repeat_interleave(count),
    )
    options = {"beta": given["beta"], "tau_plus": given["tau_plus"], "lowest": cosine.lowest_logit}
    loss = hard(cosine.similarity(points, points) / given["temperature"], batch, batch, **options)
    loss.backward()
    assert loss.item() == pytest.approx(float(REFERENCE[f"{setting}/loss"]), rel=1e-12)
    for number, view in enumerate(views, 1):
        assert view.grad is not None
        expected = torch.from_numpy(REFERENCE[f"{setting}/grad{number}"])
        torch.testing.assert_close(
            view.grad, expected, rtol=0, atol=1e-12 * float(expected.abs().max())
        )


@pytest.mark.parametrize("prior", [0.0, 0.1, 0.7])
def test_positive_unlabelled_equals_its_definition(
    logits: Tensor, pair: tuple[Table, Table], find_terms: Terms, prior: float
) -> None:
    found = find_terms(*pair)
    terms = []
    for r, p, unlike in found:
        mine = [math.exp(logits[row, column]) for row, column, _ in found if row == r]
        unlabelled = sum(math.exp(logits[r, q]) for q in unlike) / max(1, len(unlike))
        rest = max(0.0, (unlabelled - prior * sum(mine) / len(mine)) / (1 - prior))
        terms.append(math.log(1 + len(unlike) * rest / math.exp(logits[r, p])))
    assert float(positive_unlabelled(logits, *pair, prior=prior)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-10
    )


def test_neutral_settings_are_uniform(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    expected = pairwise_cross_entropy(logits, batch, batch)
    torch.testing.assert_close(hard(logits, batch, batch, beta=0), expected)
    torch.testing.assert_close(hard(logits, batch, batch, beta=1e-7), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(positive_unlabelled(logits, batch, batch, prior=0), expected)


def test_of_two_views_positive_unlabelled_is_the_debiased_loss_with_0_for_its_floor(
    batch: Table,
) -> None:
    two = Table(batch.sample[:10], batch.label[:10], batch.view[:10])
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        positive_unlabelled(logits, two, two, prior=0.3),
        hard(logits, two, two, beta=0, tau_plus=0.3, lowest=-math.inf),
    )


@pytest.mark.parametrize("name", RULES)
def test_order_of_rows_and_columns_does_not_matter(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    orders = [
        torch.randperm(len(part), generator=torch.Generator().manual_seed(1)) for part in pair
    ]
    rows, columns = (
        Table(t.sample[k], t.label[k], t.view[k]) for t, k in zip(pair, orders, strict=True)
    )
    torch.testing.assert_close(
        RULES[name](logits[orders[0]][:, orders[1]], rows, columns), RULES[name](logits, *pair)
    )


@pytest.mark.parametrize("name", RULES)
def test_gradients_equal_finite_differences(
    name: str, logits: Tensor, pair: tuple[Table, Table]
) -> None:
    assert torch.autograd.gradcheck(
        lambda given: RULES[name](given, *pair), logits.requires_grad_()
    )


@pytest.mark.parametrize("name", RULES)
def test_loss_and_gradient_are_finite_at_extreme_logits(name: str, batch: Table) -> None:
    logits = (
        torch.randn(15, 15, generator=torch.Generator().manual_seed(2)).sign() * 1e4
    ).requires_grad_()
    loss = RULES[name](logits, batch, batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (hard, {"beta": -1.0}, "hard: found beta -1.0 .* expected beta >= 0"),
        (hard, {"beta": math.nan}, "hard: found beta nan"),
        (hard, {"beta": 1.0, "tau_plus": 1.0}, "tau_plus 1.0, expected .* tau_plus < 1"),
        (hard, {"beta": 1.0, "tau_plus": -0.1}, "tau_plus -0.1"),
        (positive_unlabelled, {"prior": 1.0}, "positive_unlabelled: found prior 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(
    rule: Callable[..., Tensor], settings: dict[str, Any], message: str, batch: Table
) -> None:
    with pytest.raises(InputError, match=message):
        rule(torch.zeros(15, 15), batch, batch, **settings)
