"""The oracle of the accuracy benchmark equals the definition with 60 digits."""

import mpmath
import pytest
import torch

from bench.accuracy import BANDS, CURVATURES, accuracy_rows, draw_pairs, exact_distance
from bench.inputs import RADIUS


def distance_by_definition(x: list[float], y: list[float], c: float) -> mpmath.mpf:
    """Return 2 / sqrt(c) artanh(sqrt(c) |(-a) (+) b|) of clipped and mapped points."""
    root = mpmath.sqrt(c)

    def point(z: list[float]) -> list[mpmath.mpf]:
        norm = mpmath.sqrt(sum(mpmath.mpf(value) ** 2 for value in z))
        factor = mpmath.tanh(root * min(norm, mpmath.mpf(RADIUS))) / (root * norm)
        return [factor * value for value in z]

    a, b = [-value for value in point(x)], point(y)
    pairs = list(zip(a, b, strict=True))
    aa, bb, ab = sum(v * v for v in a), sum(v * v for v in b), sum(v * w for v, w in pairs)
    below = 1 + 2 * c * ab + c**2 * aa * bb
    total = [((1 + 2 * c * ab + c * bb) * v + (1 - c * aa) * w) / below for v, w in pairs]
    return 2 / root * mpmath.atanh(root * mpmath.sqrt(sum(v * v for v in total)))


@pytest.mark.parametrize("c", CURVATURES)
def test_the_oracle_equals_the_definition(c: float) -> None:
    x, y = draw_pairs(3, c)
    x, y = x.double().repeat(3, 1), y.double()
    found = exact_distance(x, y, c)
    with mpmath.workdps(60):
        for i in range(9):
            expected = distance_by_definition(x[i].tolist(), y[i].tolist(), c)
            assert abs(found[i].item() - expected) <= 1e-8 * expected


@pytest.mark.parametrize("c", CURVATURES)
def test_near_pairs_fall_into_the_bands(c: float) -> None:
    x, y = draw_pairs(20, c)
    near, further = exact_distance(x.double().repeat(2, 1), y[20:].double(), c).chunk(2)
    for distances, (low, high) in ((near, BANDS[0]), (further, BANDS[1])):
        assert ((distances >= low) & (distances < high)).all()
    assert (x.norm(dim=1) > RADIUS).any()
    assert (x.norm(dim=1) < RADIUS).any()


def test_each_curvature_and_band_has_a_row_of_both() -> None:
    rows = accuracy_rows(quick=True)
    assert len(rows) == len(CURVATURES) * len(BANDS) * 2
    assert all(row["pairs"] >= 8 and 0 <= row["difference"] < float("inf") for row in rows)
    ours = [row["difference"] for row in rows if row["implementation"] == "geomix"]
    assert max(ours) < 2e-5
    assert torch.get_default_dtype() == torch.float32
