"""The unit cube and settings: linear, logarithmic, categories; rounding; text and back."""

import math
from typing import Any

import numpy as np
import pytest

from geomix.config.tuning import Among, Range, Ranges
from geomix.tune.ranges import locate, place_point, read_value, round_number, write_value


def test_the_ends_of_the_cube_are_the_ends_of_the_ranges(ranges: Ranges) -> None:
    low = place_point(ranges, [0, 0, 0, 0])
    high = place_point(ranges, [1 - 1e-12] * 4)
    assert list(low.values()) == [0.01, 0, "none", None]
    assert list(high.values()) == [1, 0.5, "layer", 2.3]


def test_the_middle_is_the_mean_or_the_geometric_mean(ranges: Ranges) -> None:
    middle = place_point(ranges, [0.5, 0.5, 0.5, 0.5])
    assert list(middle.values()) == [0.1, 0.25, "batch", 2.3]


def test_a_point_may_have_more_columns_than_keys(ranges: Ranges) -> None:
    assert place_point(ranges, [0.5] * 16) == place_point(ranges, [0.5] * 4)


def test_categories_have_equal_shares() -> None:
    among = {"norm": Among(among=["none", "batch", "layer"])}
    points = np.linspace(0, 1, 3000, endpoint=False)
    values = [place_point(among, [point])["norm"] for point in points.tolist()]
    assert [values.count(one) for one in ("none", "batch", "layer")] == [1000] * 3


@pytest.mark.parametrize("seed", range(3))
def test_numbers_have_three_figures_and_stay_in_their_range(seed: int) -> None:
    one = Range(low=0.00123456, high=7.654321, log=True)
    for point in np.random.default_rng(seed).random(200).tolist():
        value = place_point({"x": one}, [point])["x"]
        exact = 0.00123456 * (7.654321 / 0.00123456) ** point
        assert 0.00123456 <= value <= 7.654321
        assert abs(value - exact) <= 0.0051 * exact
        assert value in (0.00123456, 7.654321) or value == float(f"{value:.3g}")


def test_rounding_never_leaves_the_range() -> None:
    one = Range(low=0.12345, high=0.98765)
    assert round_number(one, 0.12346) == 0.12345
    assert round_number(one, 0.98764) == 0.98765
    assert round_number(one, 0.5) == 0.5


@pytest.mark.parametrize("log", [False, True])
def test_locate_is_the_inverse_of_place(log: bool) -> None:
    one = Range(low=0.01, high=10, log=log)
    for point in (0.0, 0.1, 0.37, 0.9, 1.0):
        value = place_point({"x": one}, [point])["x"]
        assert locate(one, value) == pytest.approx(point, abs=0.01 if not log else 0.002)
    assert (locate(one, 0.01), locate(one, 10)) == (0, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (0.1, "0.1"), (1.0, "1"), (3, "3"), ("batch", "batch")],
)
def test_values_are_written_as_in_params(value: Any, text: str) -> None:
    assert write_value(value) == text


def test_a_number_that_needs_all_its_digits_keeps_them() -> None:
    assert write_value(0.0012345678) == "0.0012345678"


@pytest.mark.parametrize("value", [None, True, 2.3, 4, "batch"])
def test_a_value_read_back_is_the_same(value: Any) -> None:
    one = Among(among=[None, True, 2.3, 4, "batch"])
    read = read_value(one, write_value(value))
    assert read == value
    assert type(read) is type(value)


def test_a_number_read_back_is_the_same() -> None:
    for value in (0.1, 1.0, 0.000512, math.pi):
        assert read_value(Range(low=0, high=9), write_value(value)) == value


def test_a_text_that_is_not_searched_is_refused() -> None:
    with pytest.raises(ValueError, match="found layer, expected one of none, null"):
        read_value(Among(among=["none", None]), "layer")
