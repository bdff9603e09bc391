"""The benchmark of the systems has a row for each but the reference, as the page reads them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.measure import Options, measure_case
from bench.page import RESULTS, write_csv
from bench.systems import PARAMS, REFERENCE, build_call, cases, read_systems, shape_of_batch
from geomix.config.negatives import Hard
from geomix.config.read import load
from geomix.config.stages import SettleParams
from geomix.config.systems import list_labels, read_system
from geomix.report.costs import read_costs


def test_every_system_is_timed_beside_plain_euclidean(root: Path) -> None:
    expected = [
        f"{labels}/{name}"
        for name in load(SettleParams, path=PARAMS).systems.listed
        for labels in list_labels(read_system(root / "systems", name))
    ]
    (case,) = cases(quick=False)
    assert [one.name for one in case.implementations] == expected
    pairs = [(ratio.implementation, ratio.baseline) for ratio in case.ratios]
    assert pairs == [(name, REFERENCE) for name in expected if name != REFERENCE]


def test_settings_are_those_of_the_file_with_what_holds_where_labels_are_hidden() -> None:
    systems = read_systems({"epochs": 99})
    given, hidden = (systems[f"{labels}/hcl"][1] for labels in ("given", "hidden"))
    assert (given.labels, hidden.labels) == ("given", "hidden")
    assert isinstance(given.negatives, Hard)
    assert isinstance(hidden.negatives, Hard)
    assert (given.negatives.tau_plus, hidden.negatives.tau_plus) == (0, 0.1)
    assert systems["given/hypvit"][0] == "hyperbolic"
    assert {params.epochs for _, params in systems.values()} == {99}


def test_the_page_reads_what_is_written(tmp_path: Path) -> None:
    (case,) = cases(quick=True)
    options = Options(True, tmp_path, 1, 0.01)
    write_csv("systems", measure_case("systems", replace(case, memory=False), options), options)
    costs = read_costs(tmp_path / RESULTS / "systems.csv", REFERENCE)
    assert list(costs) == [REFERENCE, "given/hypvit"]
    assert costs["given/hypvit"].time > 0


def test_hidden_labels_make_two_views_of_each_image_in_a_batch_as_large() -> None:
    systems = read_systems({"batch": {"classes": 32, "images": 4}})
    assert shape_of_batch(systems["given/hypvit_flat"][1]) == (32, 4)
    assert shape_of_batch(systems["hidden/hypvit_flat"][1]) == (64, 2)


@pytest.mark.parametrize(
    "name",
    [
        REFERENCE,
        "given/mixture",
        "given/proxy_anchor",
        "given/hier",
        "given/cluster",
        "hidden/dcdc",
        "hidden/infonce",
    ],
)
def test_a_call_returns_a_loss_and_its_gradient(name: str) -> None:
    system = read_systems({"head": {"outputs": 8}})[name]
    value, gradient = build_call(system)("timed")()
    classes, views = shape_of_batch(system[1])
    assert value > 0
    assert gradient.shape == (classes * views, 8)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
