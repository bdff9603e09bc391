"""HCL: its definition, its released values, beta over the epochs, limits."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geomix.config.negatives import Hard
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Sphere
from geomix.losses.pairwise import pairwise_cross_entropy
from geomix.losses.table import Table
from geomix.negatives.hard import HardNegatives, hard

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "released_code.npz")
SETTINGS = sorted({key.rsplit("/", 1)[0] for key in REFERENCE.files if key.startswith("hcl/")})
Terms = Callable[[Table, Table], list[tuple[int, int, list[int]]]]


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


def test_neutral_settings_are_uniform(geometry: Geometry, embeddings: Tensor, batch: Table) -> None:
    points = geometry.place(embeddings)
    logits = geometry.logits(points, points)
    expected = pairwise_cross_entropy(logits, batch, batch)
    torch.testing.assert_close(hard(logits, batch, batch, beta=0), expected)
    torch.testing.assert_close(hard(logits, batch, batch, beta=1e-7), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("anneal", "expected"),
    [("none", [2, 2, 2, 2]), ("up", [0.5, 1, 1.5, 2]), ("down", [2, 1.5, 1, 0.5])],
)
def test_beta_changes_over_the_epochs(
    anneal: str, expected: list[float], geometry: Geometry, embeddings: Tensor, batch: Table
) -> None:
    settings = Hard.model_validate({"rule": "hard", "beta": 2, "tau_plus": 0.1, "anneal": anneal})
    rule, points = HardNegatives(settings, geometry), geometry.place(embeddings)
    logits = geometry.logits(points, points)
    for epoch, beta in enumerate(expected):
        rule.start_epoch(epoch, 4)
        assert rule.beta == pytest.approx(beta)
        loss = hard(logits, batch, batch, beta=beta, tau_plus=0.1, lowest=geometry.lowest_logit)
        torch.testing.assert_close(rule(geometry, embeddings, points, batch), loss)


@pytest.mark.parametrize(
    ("key", "value"), [("beta", -1.0), ("beta", math.nan), ("tau_plus", 1.0), ("tau_plus", -0.1)]
)
def test_settings_out_of_range_are_refused(key: str, value: float) -> None:
    settings = {"rule": "hard", "beta": 1.0, "tau_plus": 0.1} | {key: value}
    with pytest.raises(ValueError, match=key):
        Hard.model_validate(settings)
