"""Costs of the systems: as measured, and how far equal ones are apart."""

from pathlib import Path

import pandas as pd
import pytest

from geomix.report.costs import read_costs, say_noise, write_cost


def test_memory_is_that_beyond_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    assert read_costs(path) == {}
    measures = {
        "implementation": ["hypvit"],
        "ratio": [1.234],
        "extra_mib": [1.5],
        "baseline_extra_mib": [0.25],
    }
    pd.DataFrame(measures).to_csv(path)
    assert read_costs(path) == {"hypvit": (1.234, 1.25)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("euclidean", ["1.00", "< 1"]),
        ("small", ["1.20", "< 1"]),
        ("less", ["0.70", "< 1"]),
        ("large", ["25.90", "+15.9"]),
        ("other", ["not measured", "not measured"]),
    ],
)
def test_memory_below_a_mib_is_not_told_apart(name: str, expected: list[str]) -> None:
    costs = {"small": (1.2, 0.99), "less": (0.7, -0.3), "large": (25.9, 15.9)}
    assert list(write_cost(costs, name).values()) == expected


def test_noise_is_read_off_the_systems_with_the_same_work() -> None:
    plain = {"geometry": "euclidean", "tau": 0.1, "lam": None, "labels": "given"}
    settings = {
        "euclidean": plain,
        "a": plain | {"tau": 0.5},
        "b": plain,
        "c": plain | {"geometry": "flat"},
    }
    said = say_noise({"a": (0.8, 0), "b": (1.1, 0), "c": (3.0, 0)}, settings)
    assert said.startswith(
        "`b` and `a` do the same work and read 1.10 and 0.80, so a difference of 38 % is noise, "
    )
    assert say_noise({"a": (1.2, 0), "c": (9.0, 0)}, settings).startswith(
        "`a` and `euclidean` do the same work"
    )
    assert say_noise({"c": (3.0, 0)}, settings) == ""
    assert say_noise({}, settings) == ""
