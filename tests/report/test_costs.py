"""Costs of the systems: as measured, and how far equal ones are apart."""

import math
from pathlib import Path

import pandas as pd

from geomix.report.costs import Cost, Noise, find_noise, read_costs


def test_costs_are_beside_those_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    assert read_costs(path, "given/euclidean") == {}
    measures = {
        "implementation": ["hidden/hcl"],
        "ratio": [1.234],
        "extra_mib": [1.5],
        "baseline_extra_mib": [0.25],
    }
    pd.DataFrame(measures).to_csv(path)
    found = {"given/euclidean": Cost(1.0, 0.0), "hidden/hcl": Cost(1.234, 1.25)}
    assert read_costs(path, "given/euclidean") == found
    assert math.isnan(Cost().time)


def test_noise_is_read_off_the_systems_with_the_same_work() -> None:
    plain = {"geometry": "euclidean", "tau": 0.1, "lam": None, "labels": "given"}
    settings = {
        "e": plain,
        "a": plain | {"tau": 0.5},
        "b": plain,
        "c": plain | {"geometry": "flat"},
        "unmeasured": plain,
    }
    costs = {"e": Cost(1, 0), "a": Cost(0.8, 0), "b": Cost(1.1, 0), "c": Cost(3.0, 0)}
    assert find_noise(costs, settings) == Noise("b", "a", 1.1, 0.8)
    assert find_noise({"e": Cost(1, 0), "c": Cost(3, 0)}, settings) is None
    assert find_noise({}, settings) is None
