"""The benchmark of the systems has a line for each but the reference, in the columns that the page reads."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.measure import Options, measure_case
from bench.page import RESULTS, write_csv
from bench.systems import REFERENCE, SECTIONS, cases, shape_of_batch, system
from geomix.config.read import load
from geomix.report.costs import read_costs
from geomix.report.systems import settle


def test_every_system_is_timed_beside_plain_euclidean(root: Path) -> None:
    (case,) = cases(quick=False)
    names = list(load("system", path=root / "params.yaml")["system"])
    assert [one.name for one in case.implementations] == names
    assert [(ratio.implementation, ratio.baseline) for ratio in case.ratios] == [
        (name, REFERENCE) for name in names if name != REFERENCE
    ]


def test_the_page_reads_what_is_written(tmp_path: Path) -> None:
    (case,) = cases(quick=True)
    options = Options(True, tmp_path, 1, 0.01)
    write_csv("systems", measure_case("systems", replace(case, memory=False), options), options)
    costs = read_costs(tmp_path / RESULTS / "systems.csv")
    assert list(costs) == ["hypvit"]
    assert costs["hypvit"][0] > 0


def test_hidden_labels_make_two_views_of_each_image_in_a_batch_as_large() -> None:
    settings = {"batch": {"classes": 32, "images": 4}, "labels": "given"}
    assert shape_of_batch(settings) == (32, 4)
    assert shape_of_batch(settings | {"labels": "hidden"}) == (64, 2)


@pytest.mark.parametrize(
    "name", ["euclidean", "mixture", "proxy_anchor", "hier", "cluster", "dcdc_hidden", "infonce"]
)
def test_a_call_gives_a_loss_and_its_gradient(root: Path, name: str) -> None:
    params = load(*SECTIONS, path=root / "params.yaml")
    settings = settle(params["system"][name]["settings"], params)
    value, gradient = system(settings, params["geometry"][settings["geometry"]], 8)("timed")()
    assert value > 0
    assert gradient.shape == (params["batch"]["classes"] * params["batch"]["images"], 8)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
