"""What a system is trained with: its file over params.yaml, as published and in trials."""

from pathlib import Path
from typing import Any

import pytest

from geomix.config.literature import Systems
from geomix.config.read import load, validate
from geomix.config.stages import SettleParams
from geomix.config.studies import nest
from geomix.config.systems import (
    System,
    TunedSystem,
    list_labels,
    list_ranges,
    read_system,
    settle,
    settle_trials,
)
from geomix.errors import InputError
from tests.conftest import ROOT

CODE = ROOT / "src" / "geomix"


@pytest.fixture(autouse=True)
def start_in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def systems() -> Systems:
    """Return section systems of params.yaml."""
    return load(SettleParams, path=ROOT / "params.yaml").systems


def read(name: str) -> System:
    return read_system(ROOT / "systems", name)


def lay(systems: Systems, **settings: Any) -> Systems:
    return systems.model_copy(update=settings)


def test_a_published_row_lays_its_file_over_what_all_have(systems: Systems) -> None:
    known = lay(systems, common={"epochs": 5, "tau": 9}, hidden={"epochs": 2}, override={})
    given = settle("hcl", read("hcl"), "given", known, CODE)
    hidden = settle("hcl", read("hcl"), "hidden", known, CODE)
    assert (given["full"]["epochs"], hidden["full"]["epochs"]) == (5, 2)
    assert given["settings"]["tau"] == 0.1
    assert [one["settings"]["negatives"]["tau_plus"] for one in (given, hidden)] == [0, 0.1]
    assert (given["full"]["labels"], hidden["full"]["labels"]) == ("given", "hidden")
    assert set(given["code"]) == {"negatives/hard.py", "regularisers/none.py"}
    over = lay(known, override={"hcl": {"tau": 0.7, "epochs": 1}})
    assert settle("hcl", read("hcl"), "hidden", over, CODE)["full"]["epochs"] == 1


def test_a_trial_lays_what_is_tried_over_what_the_file_needs(systems: Systems) -> None:
    tuned = systems.tuned.model_copy(update={"settings": {"epochs": 4, "head": {"norm": "layer"}}})
    rows = [{"tau": 0.05, "loss.rate_factor": 7.0}, {"tau": 0.06, "loss.rate_factor": 8.0}]
    known = lay(systems, tuned=tuned)
    first, second = settle_trials("hier", read("hier"), "given", known, rows, CODE)
    assert (first["trial"], second["trial"]) == ("00", "01")
    settings = nest(second["settings"])
    assert (settings["tau"], settings["loss"]["rate_factor"]) == (0.06, 8.0)
    assert settings["loss"]["name"] == "proxy_anchor"
    assert settings["epochs"] == 6  # its file wins over what all tuned systems have
    assert settings["head"] == {"norm": "layer"}
    assert set(first["code"]) == {"negatives/uniform.py", "regularisers/hier.py"}


def test_a_file_adds_to_what_all_search_and_replaces_a_key_of_the_same_name(
    systems: Systems,
) -> None:
    plain = list_ranges(read("hcl"), systems.tuned)
    assert plain == systems.tuned.searched
    own = list_ranges(read("hier"), systems.tuned)
    assert list(own) == [*plain, "loss.rate_factor"]
    assert own["tau"] != plain["tau"]


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"reference": "ash"}, "tuned.reference: found ash, expected a name under systems.tuned"),
        ({"search": {"epochs": {"low": 0, "high": 2}}}, "epochs: found 0, expected greater than"),
        (
            {"search": {"epochs": {"low": 1, "high": 2.5}}},
            "epochs: found 2.5, expected a valid int",
        ),
    ],
)
def test_a_search_that_params_yaml_refuses_is_one_line(
    systems: Systems, tuning: dict[str, Any], message: str
) -> None:
    own = TunedSystem.model_validate({"why": "So.", **tuning})
    system = read("hcl").model_copy(update={"tuned": own})
    with pytest.raises(InputError, match=message) as caught:
        settle_trials("hcl", system, "given", systems, [], CODE)
    assert str(caught.value).startswith("systems/hcl.yaml")


def test_a_twin_that_does_not_run_is_refused(systems: Systems) -> None:
    system = read("hypvit").model_copy(update={"twin": "round"})
    with pytest.raises(InputError, match="hypvit.yaml: twin: found round, expected a system that"):
        settle("hypvit", system, "given", systems, CODE)


def test_every_hyperbolic_system_has_a_twin_that_differs_in_the_space_alone(
    systems: Systems,
) -> None:
    for name in systems.listed:
        system = read(name)
        known = load(SettleParams, system.settings, path=ROOT / "params.yaml")
        spaces = known.geometry[system.geometry].values()
        ball = known.regulariser.name == "hier" or any(one.space == "ball" for one in spaces)
        if name.endswith("_flat"):
            assert system.twin is None
        else:
            assert (system.twin is not None) == ball, name
        if system.twin is None:
            continue
        twin = read(system.twin)
        assert (twin.labels, twin.tuned) == (system.labels, system.tuned), name
        changed = {"curvature", "geometry", "regulariser"}
        own, other = (
            {key: value for key, value in one.settings.items() if key not in changed}
            for one in (system, twin)
        )
        assert own == other, name
        assert (name in systems.tuned.names) == (system.twin in systems.tuned.names)


def test_cells_are_those_that_were_settled(tmp_path: Path, raw: dict[str, Any]) -> None:
    systems = validate(raw).systems
    for name in systems.listed:
        (tmp_path / "settings" / name).mkdir(parents=True)
        (tmp_path / "settings" / name / "given.json").touch()
    (tmp_path / "settings" / "hypvit" / "hidden.json").touch()
    published, winners = systems.cells(tmp_path), systems.tuned.cells(tmp_path)
    assert len(published) == len(systems.listed) + 1
    assert {"hypvit-0/hidden/0", "ash-0/given/0"} <= set(published)
    assert len(winners) == 3 * (len(systems.tuned.names) + 1)
    assert {"hypvit/hidden/10", "hier/given/12"} <= set(winners)


def test_ensembles_are_of_one_seed_or_of_a_system_with_itself(systems: Systems) -> None:
    pairs = {"geometry": ["euclidean", "hypvit"], "seed": ["euclidean", "euclidean"]}
    fused = dict(lay(systems, ensemble=pairs).fusions())
    assert fused["geometry"][1] == ("euclidean/given/11", "hypvit/given/11")
    seeds = [("10", "11"), ("11", "12"), ("12", "10")]
    expected = [(f"euclidean/given/{a}", f"euclidean/given/{b}") for a, b in seeds]
    assert fused["seed"] == expected


def test_both_kinds_of_labels_are_two_rows() -> None:
    assert list_labels(read("hcl")) == ["given", "hidden"]
    assert list_labels(read("infonce")) == ["hidden"]
