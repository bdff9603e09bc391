"""Costs of the systems: as measured, and how far equal ones are apart."""

import math
from pathlib import Path

import pandas as pd

from geomix.report.costs import Cost, Noise, find_noise, read_costs
from tests.report.conftest import make_system


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
    systems = [
        make_system("e"),
        make_system("a", tau=0.5),
        make_system("b"),
        make_system("c", geometry="flat"),
        make_system("b", "hidden"),
        make_system("unmeasured"),
    ]
    times = {"given/e": 1.0, "given/a": 0.8, "given/b": 1.1, "given/c": 3.0, "hidden/b": 5.0}
    costs = {name: Cost(time, 0) for name, time in times.items()}
    assert find_noise(costs, systems) == Noise("b", "a", 1.1, 0.8)
    assert find_noise({name: costs[name] for name in ("given/e", "given/c")}, systems) is None
    assert find_noise({}, systems) is None
