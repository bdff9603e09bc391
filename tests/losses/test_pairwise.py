"""Pairwise cross-entropy: its definition, the released values, added terms."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Space, Sphere
from geomix.losses.pairwise import cross_entropy_with_added, pairwise_cross_entropy
from geomix.losses.table import Table
from tests.losses.conftest import COLUMNS, ROWS, class_major, random_logits

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


def terms_by_definition(
    logits: Tensor, rows: Table, columns: Table
) -> list[tuple[int, float, list[float]]]:
    """Return the row, the positive's logit and the negatives' logits of each term."""
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
            found.append((r, float(logits[r, p]), negatives))
    return found


@pytest.mark.parametrize(
    ("rows", "columns"), [(class_major(5, 3), class_major(5, 3)), (ROWS, COLUMNS)]
)
def test_pairwise_cross_entropy_equals_its_definition(rows: Table, columns: Table) -> None:
    logits = random_logits(len(rows), len(columns))
    terms = [
        -math.log(math.exp(positive) / (math.exp(positive) + sum(map(math.exp, negatives))))
        for _, positive, negatives in terms_by_definition(logits, rows, columns)
    ]
    assert float(pairwise_cross_entropy(logits, rows, columns)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-12
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


def test_equal_logits_give_the_log_of_the_choices() -> None:
    batch = class_major(5, 4)
    loss = pairwise_cross_entropy(torch.zeros(20, 20), batch, batch)
    assert float(loss) == pytest.approx(math.log(2 * 5 - 1))


def test_same_class_columns_other_than_the_positive_have_no_gradient() -> None:
    batch, logits = class_major(3, 2), random_logits(6, 6).requires_grad_()
    pairwise_cross_entropy(logits, batch, batch).backward()
    assert logits.grad is not None
    assert (logits.grad.diagonal() == 0).all()


def test_what_is_added_counts_as_one_more_negative_of_each_term() -> None:
    batch = class_major(5, 3)
    logits, added = random_logits(15, 15), random_logits(15, 1).squeeze(1)
    terms = [
        math.log(1 + (sum(map(math.exp, negatives)) + math.exp(added[row])) / math.exp(positive))
        for row, positive, negatives in terms_by_definition(logits, batch, batch)
    ]
    assert float(cross_entropy_with_added(logits, batch, added)) == pytest.approx(
        sum(terms) / len(terms), rel=1e-12
    )
